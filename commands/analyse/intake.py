"""Replies of several models sorted by model on disk, with the prompts that they answer."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from commands.analyse.columns import plain, to_judgment, to_key, to_said
from stages.lib.console.errors import UserError
from stages.lib.core.types import Row
from stages.lib.generation.imports import PACKED, ImportedReplies
from stages.lib.generation.reply_formats import ROWS_PER_BATCH
from stages.lib.records.hashing import keyed_hash
from stages.lib.records.messages import ParsedTurn
from stages.lib.records.prompts import PROMPT
from stages.lib.records.shards import chunks, write_rows

TAKEN = pa.schema([*PACKED, ("judged", pa.bool_()), ("score", pa.float64()), ("text", pa.string())])
WAITING = 100  # rows of a model that are in memory before they are written
MOST_MODELS = 500


@dataclass
class Taken:
    """What was taken of one model: counted here, the rows of TAKEN in a file."""

    file: Path
    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    keys: set[str] = field(default_factory=set)  # of the prompts that it answered
    waiting: list[Row] = field(default_factory=list)
    writer: pq.ParquetWriter | None = None

    @property
    def imported(self) -> int:
        """How many replies it has."""
        return self.rows - self.left_out.total()

    def add(self, key: str, said: list[ParsedTurn], judgment: Row) -> None:
        """Take a row."""
        self.keys.add(key)
        self.waiting.append({"conversation_hash": key, "turns": said, **judgment})
        if len(self.waiting) == WAITING:
            self.write()

    def write(self) -> None:
        """Move what waits to the file."""
        self.writer = self.writer or pq.ParquetWriter(self.file, TAKEN, compression="zstd")
        self.writer.write_table(pa.Table.from_pylist(self.waiting, schema=TAKEN))
        self.waiting.clear()

    def close(self) -> None:
        """Write the rest."""
        self.write()
        if self.writer:
            self.writer.close()

    def replies(self) -> ImportedReplies:
        """All of it, for an import; memory holds the texts of this one model."""
        found = ImportedReplies()
        found.rows, found.left_out = self.rows, Counter(self.left_out)
        for batch in self._batches(PACKED.names):
            found.add(batch.to_pylist())
        return found

    def summary(self) -> dict[str, Any]:
        """How many rows were read, and why the others were not taken."""
        return {"rows": self.rows, "imported": self.imported, "left_out": dict(self.left_out)}

    def judgments(self) -> Iterator[Row]:
        """The rows that have a place for a score, with `chars`, the length of the replies."""
        for batch in self._batches(TAKEN.names):
            for row in batch.to_pylist():
                if row["judged"]:
                    yield {**row, "chars": sum(len(turn["reply"]) for turn in row["turns"])}

    def _batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        with pq.ParquetFile(self.file) as file:
            yield from file.iter_batches(ROWS_PER_BATCH, columns=columns)


class Intake:
    """Takes rows in: replies go to one file for each model; memory holds the prompts' texts as Arrow, and the keys."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.rows = 0
        self.left_out = Counter[str]()  # of rows that name no model, and of models without a reply
        self.silent: list[str] = []  # the models without a reply
        self.models: dict[str, Taken] = {}
        self._asked = ImportedReplies()  # what the users say; of a prompt that was told several times the last counts
        self._told: dict[str, tuple[bool, int]] = {}  # of each prompt: whether its texts are known, and its turns
        self._waiting: list[Row] = []
        self._about: dict[str, tuple[str, bool]] = {}  # of prompts of which it is told: language, and whether toxic

    def take(self, row: Row) -> None:
        """Take a row, or count why not."""
        self.rows += 1
        name = plain(row["model"])
        if not name:
            self.left_out["no_model"] += 1
            return
        taken = self.models.get(name) or self._new(name)
        taken.rows += 1
        said = to_said(row)
        key = "" if isinstance(said, str) else to_key(row, said)
        if isinstance(said, str):
            taken.left_out[said] += 1
        elif not key or key in taken.keys:
            taken.left_out["duplicate_conversation" if key else "null_hash"] += 1
        else:
            taken.add(key, said, to_judgment(row))
            self._ask(key, said)
            self._describe(key, row)

    def _new(self, name: str) -> Taken:
        if len(self.models) == MOST_MODELS:
            raise UserError(f"more than {MOST_MODELS} models, such as {name!r}: is that column the model's name?")
        found = self.models[name] = Taken(self._folder / f"{len(self.models)}.parquet")
        return found

    def _ask(self, key: str, said: list[ParsedTurn]) -> None:
        """Keep what the users say, if more is told than before."""
        told = all(turn["user"] for turn in said), len(said)
        if told > self._told.get(key, (False, 0)):
            self._told[key] = told
            users = [{"user": turn["user"] or "", "reply": None, "finish": None} for turn in said]
            self._waiting.append({"conversation_hash": key, "turns": users})
        if len(self._waiting) == ROWS_PER_BATCH:
            self._flush()

    def _describe(self, key: str, row: Row) -> None:
        language, toxic = self._about.get(key, ("", False))
        now = language or plain(row.get("language")), toxic or row.get("toxic") is True
        if any(now):
            self._about[key] = now

    def _flush(self) -> None:
        self._asked.add(self._waiting)
        self._waiting.clear()

    def close(self) -> None:
        """End the reading; models of which nothing was taken are no longer among the models."""
        self._flush()
        for taken in self.models.values():
            taken.close()
        self.silent = sorted(name for name, taken in self.models.items() if not taken.imported)
        for name in self.silent:
            self.left_out.update(self.models.pop(name).left_out)

    def prompts(self, source: str) -> Iterator[Row]:
        """Rows of PROMPT of all keys, in keyed-hash order: the first are a fair choice, whatever the file's order."""
        for key in sorted(self._told, key=lambda key: keyed_hash(0, key)):
            language, toxic = self._about.get(key, ("", False))
            turns = [{"user": turn["user"], "reference": ""} for turn in self._asked.turns_of(key)]
            yield {"conversation_hash": key, "source": source, "language": language, "toxic": toxic, "turns": turns}

    def all_left_out(self) -> dict[str, int]:
        """How many rows were left out for each reason, of all models."""
        return dict(sum((taken.left_out for taken in self.models.values()), self.left_out))


def take_in(rows: Iterable[Row], folder: Path, source: str) -> Intake:
    """Take all rows in; raise UserError when not one of them has a reply."""
    intake = Intake(folder)
    for row in rows:
        intake.take(row)
    intake.close()
    if not intake.models:
        said = ", ".join(f"{reason} {count}" for reason, count in sorted(intake.left_out.items()))
        raise UserError(f"{source}: none of its {intake.rows} rows has a reply to analyse{said and ': ' + said}")
    return intake


def write_prompts(folder: Path, prompts: Iterable[Row]) -> Counter[str]:
    """Fill a folder with rows of PROMPT; how many have how many turns."""
    by_turns = Counter[str]()
    for number, chunk in enumerate(chunks(prompts)):
        write_rows(folder, number, chunk, PROMPT)
        by_turns.update(str(len(row["turns"])) for row in chunk)
    return by_turns


def ids_of(names: Iterable[str]) -> dict[str, str]:
    """An id for each model's name, in the names' order: letters, digits, `-`, `_` and `.`; equal ones are numbered.

    It can be a folder's name, whatever the model's name holds. Case alone makes no other id: not every disk knows it.
    """
    found: dict[str, str] = {}
    for name in sorted(names):
        plain_name = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._-")[:100] or "model"
        start = re.sub(r"\.tmp$", "_tmp", plain_name)  # a folder of that end is one that is being written
        numbered = (start if number == 1 else f"{start}-{number}" for number in range(1, len(found) + 2))
        met = {own.casefold() for own in found.values()}
        found[name] = next(own for own in numbered if own.casefold() not in met)
    return found
