"""Rows of several models sorted by model on disk, with the prompts that they answer."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from commands.analyse.columns import parse_judgment, parse_labels, parse_row, to_key
from commands.analyse.model_rows import ModelRows
from commands.analyse.prompt_texts import PromptTexts
from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.core.types import Row
from stages.lib.readers.reasons import Reason, UnreadableRows
from stages.lib.readers.values import to_id

MAX_MODELS = 500
MAX_ID_CHARS = 100


class IngestedRows:
    """Sorts rows by model: each model's replies go to a file, memory holds the prompts' texts and the keys."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.rows = 0
        self.left_out = Counter[str]()  # rows that name no model, and those of models without replies
        self.models_without_replies: list[str] = []
        self.models: dict[str, ModelRows] = {}
        self.prompts = PromptTexts()

    def add(self, row: Row) -> None:
        """Add a row, or count why it is left out."""
        self.rows += 1
        name = to_id(row["model"])
        if not name or isinstance(name, Reason):
            self.left_out["no_model"] += 1
            return
        model = self.models.get(name) or self._add_model(name)
        model.rows += 1
        chat, labels = parse_row(row), parse_labels(row)
        key = chat if isinstance(chat, Reason) else to_key(row, chat)
        if isinstance(chat, Reason) or isinstance(key, Reason) or isinstance(labels, Reason):
            model.left_out[next(each.name for each in (chat, key, labels) if isinstance(each, Reason))] += 1
            return
        model.add(key, chat, parse_judgment(row))
        self.prompts.add(key, chat, labels)

    def _add_model(self, name: str) -> ModelRows:
        if len(self.models) == MAX_MODELS:
            raise UserError(f"more than {MAX_MODELS} models, such as {name!r}: is that column the model's name?")
        model = self.models[name] = ModelRows(self._folder / f"{len(self.models)}.parquet")
        return model

    def close(self) -> None:
        """End the reading, and drop the models without replies."""
        self.prompts.flush()
        for model in self.models.values():
            model.close()
        self.models_without_replies = sorted(name for name, model in self.models.items() if not model.num_replies)
        for name in self.models_without_replies:
            self.left_out.update(self.models.pop(name).left_out)

    def all_left_out(self) -> dict[str, int]:
        """Count the rows of all models that were left out, by reason."""
        return dict(sum((model.left_out for model in self.models.values()), self.left_out))


def ingest(rows: Iterable[Row], folder: Path, source: str, unreadable: UnreadableRows) -> IngestedRows:
    """Sort all rows by model into files of a folder; raise UserError when not one of them has a reply.

    `unreadable` counts the rows that could not be read, once the others were.
    """
    ingested = IngestedRows(folder)
    for row in rows:
        ingested.add(row)
    ingested.close()
    ingested.rows += unreadable.counts.total()
    ingested.left_out.update(unreadable.counts)
    unreadable.log()
    if not ingested.models:
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(ingested.left_out.items()))
        raise UserError(
            f"{source}: none of its {ingested.rows} rows has a reply to analyse{': ' + reasons if reasons else ''}"
        )
    return ingested


def assign_ids(names: Iterable[str]) -> dict[str, str]:
    """Return an id for each model's name, in the order of the names: a name of a folder, equal ones numbered.

    An id has letters, digits, `-`, `_` and `.`. Ids that differ only in case are equal, as they are on some disks. A
    line says which name has a numbered id.
    """
    ids: dict[str, str] = {}
    for name in sorted(names):
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._-")[:MAX_ID_CHARS] or "model"
        start = re.sub(r"\.tmp$", "_tmp", plain)  # .tmp ends the name of a folder that is being written
        numbered = (start if number == 1 else f"{start}-{number}" for number in range(1, len(ids) + 2))
        used = {model.casefold() for model in ids.values()}
        ids[name] = next(model for model in numbered if model.casefold() not in used)
        if ids[name] != start:
            log_line(f"the model {name!r} has the id {ids[name]}: another one's name is written {start}, too")
    return ids
