"""Replies that exist already, as conversations: those of a file, folder or hub set, joined to the prompts by hash."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from stages.lib.console.errors import UserError
from stages.lib.console.shell import progress
from stages.lib.core.types import Row
from stages.lib.generation.conversations import Conversation
from stages.lib.generation.reply_formats import READERS, ROWS_PER_BATCH, ParsedTurn, key_column, parse_reply
from stages.lib.models.catalogue import HUB, Model, import_digest
from stages.lib.models.hub import hub_data
from stages.lib.records.readers import list_data_files
from stages.lib.records.responses import IMPORTED, UNANSWERED, Turn

PACKED = pa.schema([
    ("conversation_hash", pa.string()),
    ("turns", pa.list_(pa.struct([("user", pa.string()), ("reply", pa.string()), ("finish", pa.string())]))),
])


class ImportedReplies:
    """The replies that the prompts ask for, packed as Arrow: a million conversations take what their UTF-8 takes."""

    def __init__(self) -> None:
        self.rows = 0
        self.left_out = Counter[str]()
        self._batches: list[pa.RecordBatch] = []
        self._place: dict[str, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._place)

    def add(self, rows: list[Row]) -> None:
        """Keep rows of PACKED."""
        self._place |= {row["conversation_hash"]: (len(self._batches), at) for at, row in enumerate(rows)}
        self._batches.append(pa.RecordBatch.from_pylist(rows, schema=PACKED))

    def of(self, name: str) -> list[ParsedTurn]:
        """What a conversation holds; nothing when the set lacks it."""
        if name not in self._place:
            return []
        batch, row = self._place[name]
        said: list[ParsedTurn] = self._batches[batch]["turns"][row].as_py()
        return said

    def summary(self) -> dict[str, Any]:
        """How many rows were read, and why the others were not imported."""
        return {"rows": self.rows, "imported": self.rows - self.left_out.total(), "left_out": dict(self.left_out)}


class RowFilter:
    """Which rows of a set are wanted; the others are counted under the reason."""

    def __init__(self, model: Model, asked: set[str], replies: ImportedReplies) -> None:
        self.key = key_column(model)
        self.where = model.where
        self.others: dict[str, None] = {}  # what stands where `where` wants something else, in order
        self._asked, self._replies, self._seen = asked, replies, set[str]()

    def __call__(self, row: Row) -> bool:
        """Whether to read the texts of a row of which only the key and the columns of `where` are known."""
        self._replies.rows += 1
        reason = self._refuse(row)
        if reason:
            self._replies.left_out[reason] += 1
        return not reason

    def _refuse(self, row: Row) -> str:
        for column, value in self.where.items():
            if row.get(column) != value:
                if len(self.others) < 20:
                    self.others[str(row.get(column))] = None
                return "not_in_where"
        name = row.get(self.key)
        if name is None:
            return "null_hash"
        if str(name) not in self._asked:
            return "not_a_prompt"
        if str(name) in self._seen:
            return "duplicate_conversation"
        self._seen.add(str(name))
        return ""


def find_data_files(model: Model) -> list[Path]:
    """The files that a model's replies are in: of the hub at its commit, or here and still as model.json names them."""
    if model.location.startswith(HUB):
        patterns = [model.files] if model.files else [f"*{suffix}" for suffix in READERS]
        source = hub_data(model.location.removeprefix(HUB), model.commit, patterns)
    else:
        source = Path(model.location)
        if import_digest(source) != model.commit:
            raise UserError(f"{source} is not what models/{model.id}/model.json names; `make pin ID={model.id}`")
    return list_data_files(source, model.files, READERS)


def read_replies(model: Model, asked: set[str]) -> ImportedReplies:
    """Read the replies to the prompts of these hashes; raise UserError when there are none."""
    replies = ImportedReplies()
    wanted = RowFilter(model, asked, replies)
    rows = (row for file in find_data_files(model) for row in READERS[file.suffix](file, model, wanted))
    taken = pack_rows(progress(rows, desc=model.id, unit="replies"), wanted.key, model, replies)
    while batch := list(islice(taken, ROWS_PER_BATCH)):
        replies.add(batch)
    if replies.rows and replies.left_out["not_in_where"] == replies.rows:
        raise UserError(f"{model.location}: no row is {model.where}; there are: {', '.join(wanted.others)}")
    if not replies:
        raise UserError(
            f"{model.location}: none of its {replies.rows} rows answers a prompt: {dict(replies.left_out)}; "
            f"is {wanted.key!r} the hash that the prompts have?"
        )
    return replies


def pack_rows(rows: Iterable[tuple[Row, list[str]]], key: str, model: Model, replies: ImportedReplies) -> Iterator[Row]:
    """Rows of PACKED; those that say nothing usable are counted."""
    for row, texts in rows:
        said = parse_reply(row, texts, model)
        if isinstance(said, str):
            replies.left_out[said] += 1
        else:
            yield {"conversation_hash": str(row[key]), "turns": said}


def to_imported_turn(user: str, reply: str, finish: str = IMPORTED) -> Turn:
    """A turn of which nothing but its text, and perhaps how it ended, is known."""
    return Turn(
        user=user,
        assistant=reply,
        raw="",
        finish_reason=finish,
        prompt_tokens=0,
        completion_tokens=0,
        trimmed_turns=0,
        prompt_sha="",
    )


def to_conversation(prompt: Row, said: list[ParsedTurn]) -> Conversation:
    """A prompt and what was said, as a finished conversation.

    The user's texts are the imported ones, so that validation sees where they are not the prompt's; where they are not
    known, the prompt's. A conversation that the set lacks has empty replies and the status `not_imported`; one whose
    last turn was never answered has the status that this turn's finish says.
    """
    users = [turn["user"] for turn in prompt["turns"]]
    absent = not said or (said[0]["user"] is None and len(said) != len(users))
    known: list[ParsedTurn] = [{"user": None, "reply": "", "finish": IMPORTED}] * len(users) if absent else said
    finish = str(known[-1]["finish"])
    status = "not_imported" if absent else finish if finish in UNANSWERED else "ok"
    conversation = Conversation(prompt["conversation_hash"], users, status=status)
    for number, turn in enumerate(known):
        user = users[number] if turn["user"] is None else turn["user"]
        conversation.turns.append(to_imported_turn(user, turn["reply"] or "", turn["finish"] or IMPORTED))
    return conversation


def reference_conversation(prompt: Row) -> Conversation:
    """A prompt with the replies of its source; where one is missing, `not_imported`."""
    turns = [to_imported_turn(turn["user"], turn["reference"]) for turn in prompt["turns"]]
    complete = all(turn["assistant"] for turn in turns)
    users = [turn["user"] for turn in turns]
    return Conversation(prompt["conversation_hash"], users, turns=turns, status="ok" if complete else "not_imported")


def import_conversations(prompts: Iterable[Row], replies: ImportedReplies | None) -> Iterator[tuple[Row, Conversation]]:
    """Every prompt with its conversation; without replies, with those that its source has."""
    for prompt in prompts:
        if replies is None:
            yield prompt, reference_conversation(prompt)
            continue
        said = replies.of(prompt["conversation_hash"])
        conversation = to_conversation(prompt, said)
        if said and conversation.status != "ok":
            replies.left_out["one_reply_for_many_turns"] += 1
        yield prompt, conversation
