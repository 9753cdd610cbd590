"""One function for each kind of source that others make: it reads a file or folder as the pipeline does.

Each returns the rows that are used and how many are left out by reason, or raises UserError; anything else is a bug, so
these are what to fuzz.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from commands.analyse.columns import read_by_role
from commands.analyse.ingest import ingest
from stages.auxiliary import RowCounts, to_chats, write_sorted
from stages.auxiliary import read_source as read_set
from stages.lib.core.types import Row
from stages.lib.generation.imports import read_replies
from stages.lib.judging.questions import read_questions
from stages.lib.models.catalogue import Model, import_digest
from stages.lib.readers.auxiliary_formats import FORMATS
from stages.lib.readers.reasons import UnreadableRows
from stages.lib.records.shards import read_rows
from stages.lib.settings.sections import Auxiliary, Prompts
from stages.prompts import read_source, write_prompts

Read = tuple[list[Row], dict[str, int]]
PROMPTS = Prompts(source="x", license="", max_prompts=10**6, max_turns=10**6, languages=[], exclude_toxic=False, seed=1)


def read_prompts(source: Path, **changes: Any) -> Read:
    """The rows of data/prompts."""
    unreadable, left_out = UnreadableRows(), Counter[str]()
    with TemporaryDirectory() as folder:
        rows = read_source(source, unreadable)
        write_prompts(rows, PROMPTS.model_copy(update=changes), Path(folder), left_out)
        return list(read_rows(Path(folder))), dict(+(left_out + unreadable.counts))


def read_auxiliary(source: Path, name: str, **more: Any) -> Read:
    """The rows of data/auxiliary/<set>, of a set in the format `name`."""
    auxiliary, counts = Auxiliary(source=str(source), format=name, license="MIT", **more), RowCounts()
    with TemporaryDirectory() as folder:
        write_sorted(to_chats(read_set(auxiliary, counts.unreadable), "set", auxiliary, counts), Path(folder), counts)
        return list(read_rows(Path(folder))), counts.all_left_out()


def read_all_questions(source: Path) -> Read:
    """The questions; there is none that is left out."""
    return read_questions(source), {}


def read_imports(source: Path) -> Read:
    """The replies imported for prompts whose hashes are 0 to 9."""
    keys = [str(number) for number in range(10)]
    commit = import_digest(source)
    model = Model(
        id="m", name="m", kind="import", location=str(source), commit=commit, parameters_billions=0, context_window=0
    )
    replies = read_replies(model, keys)
    return [{"turns": replies.turns_of(key)} for key in keys if replies.turns_of(key)], dict(+replies.left_out)


def read_analysed(source: Path) -> Read:
    """The replies of all models that are analysed."""
    unreadable = UnreadableRows()
    with TemporaryDirectory() as folder:
        rows = read_by_role(source, unreadable)
        ingested = ingest(rows, Path(folder), source.name, unreadable)
        replies = {name: model.replies() for name, model in sorted(ingested.models.items())}
        keys = [prompt["conversation_hash"] for prompt in ingested.prompts.rows("x")]
        used = [{"model": name, "turns": each.turns_of(key)} for name, each in replies.items() for key in keys]
        return [row for row in used if row["turns"]], dict(+Counter(ingested.all_left_out()))


def of_format(name: str) -> Callable[[Path], Read]:
    """Read an auxiliary set in one of the formats."""
    return lambda source: read_auxiliary(source, name)


READERS: dict[str, Callable[[Path], Read]] = {
    "prompts": read_prompts,
    "questions": read_all_questions,
    "imports": read_imports,
    "analysed": read_analysed,
    **{name: of_format(name) for name in FORMATS},
}
