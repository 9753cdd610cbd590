"""Conversations from replies that exist already, of a file, folder or hub set, joined to the prompts by hash."""

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line, progress
from stages.lib.core.text import is_blank
from stages.lib.core.types import Row
from stages.lib.engines.request import RequestConfig, identity
from stages.lib.generation.conversations import Conversation, split_reply
from stages.lib.generation.costs import attribute_no_cost
from stages.lib.generation.reply_formats import WHERE, choose_columns, is_value, key_column, parse_reply
from stages.lib.generation.source import to_row
from stages.lib.generation.store import SEGMENT
from stages.lib.models.catalogue import HUB_PREFIX, Model, check_copy, import_digest
from stages.lib.models.hub import find_copy, hub_data
from stages.lib.readers.chats import Chat, ParsedTurn
from stages.lib.readers.drafts import groups_of
from stages.lib.readers.files import JSON, PARQUET, list_data_files
from stages.lib.readers.keys import Choice, KeyedRows
from stages.lib.readers.reasons import Reason, UnreadableRows
from stages.lib.readers.rows import read_rows
from stages.lib.readers.values import to_id
from stages.lib.records.responses import IMPORTED, UNANSWERED, Turn
from stages.lib.records.shards import chunks

PACKED = pa.schema([
    ("conversation_hash", pa.string()),
    ("turns", pa.list_(pa.struct([("user", pa.string()), ("reply", pa.string()), ("finish", pa.string())]))),
])
MAX_VALUES_SHOWN = 20
ENDS = [*PARQUET, *JSON, *(f"{end}.*" for end in JSON)]  # of the names of files of a hub set


class ImportedReplies:
    """The replies to the prompts, packed as Arrow: a million conversations take the memory of their UTF-8."""

    def __init__(self) -> None:
        self.rows = 0
        self.left_out = Counter[str]()
        self._batches: list[pa.RecordBatch] = []
        self._positions: dict[str, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._positions)

    def add(self, rows: list[Row]) -> None:
        """Keep rows of PACKED; of several with one conversation_hash the last counts, unless `choose` says another."""
        batch = len(self._batches)
        self._positions |= {row["conversation_hash"]: (batch, number) for number, row in enumerate(rows)}
        self._batches.append(pa.RecordBatch.from_pylist(rows, schema=PACKED))

    def choose(self, choice: Choice) -> None:
        """Use the chosen ones of all rows that were added, and count the others."""
        starts = [0, *accumulate(batch.num_rows for batch in self._batches)]
        for index in choice.rows.tolist():
            batch = bisect_right(starts, index) - 1
            row = index - starts[batch]
            self._positions[self._batches[batch]["conversation_hash"][row].as_py()] = batch, row
        self.left_out.update(count_repeats(choice))

    def turns_of(self, conversation_hash: str) -> list[ParsedTurn]:
        """Return the turns of a conversation; none when the set lacks it."""
        if conversation_hash not in self._positions:
            return []
        batch, row = self._positions[conversation_hash]
        turns: list[ParsedTurn] = self._batches[batch]["turns"][row].as_py()
        return turns

    def summary(self) -> dict[str, Any]:
        """Count the rows that were read, and those left out by reason."""
        return {"rows": self.rows, "imported": self.rows - self.left_out.total(), "left_out": dict(self.left_out)}


def count_repeats(choice: Choice) -> dict[str, int]:
    """Return how many rows were not chosen, by reason."""
    counts = {"duplicate_conversation": choice.duplicates, "conflict_conversation": choice.conflicts}
    return {reason: count for reason, count in counts.items() if count}


def add_to(keyed: KeyedRows, key: str, chat: Chat, rest: str = "", missing: int = 0) -> None:
    """Note what decides which of a model's replies to one prompt is used.

    It is the one with the fewest turns without a reply, then the fewest other values `missing`.
    """
    turns = chat.turns
    content = "\x1e".join([chat.system, *(f"{turn['user']}\x1f{turn['reply']}" for turn in turns)])
    finishes = "\x1f".join(str(turn["finish"]) for turn in turns)
    num_blank = sum(turn["finish"] in UNANSWERED or is_blank(turn["reply"] or "") for turn in turns)
    keyed.add(key, 0, content, f"{finishes}\x1e{rest}", 2 * num_blank + missing)


class RowFilter:
    """Decides which rows of a set are imported; the others are counted by reason."""

    def __init__(self, model: Model, hashes: Collection[str], left_out: Counter[str]) -> None:
        self.where = model.where
        self.other_values: dict[str, None] = {}  # of the columns of `where`, in the order of the rows
        self._hashes, self._left_out = hashes, left_out

    def __call__(self, row: Row) -> bool:
        """Tell whether to read the texts of a row that holds only the key and the columns of `where`."""
        reason = self._find_reason(row)
        if reason:
            self._left_out[reason] += 1
        return not reason

    def _find_reason(self, row: Row) -> str:
        """Return why a row is left out; empty when it is imported."""
        for column, wanted in self.where.items():
            value = row[WHERE + column]
            if not is_value(value, wanted):
                if len(self.other_values) < MAX_VALUES_SHOWN:
                    self.other_values[str(value)] = None
                return "not_in_where"
        key = to_id(row["key"])
        if isinstance(key, Reason):
            return key.name
        return "null_hash" if key is None else "" if key in self._hashes else "not_a_prompt"


def find_data_files(model: Model) -> list[Path]:
    """Return the files of a model's replies: of the hub at its commit, or local ones that model.json still matches."""
    if model.location.startswith(HUB_PREFIX):
        repository = model.location.removeprefix(HUB_PREFIX)
        patterns = [model.files] if model.files else [f"*{end}" for end in ENDS]
        copy = check_copy(find_copy(repository, model.commit, model.id, "dataset"), model)
        source = copy.folder if copy else hub_data(repository, model.commit, patterns)
    else:
        source = Path(model.location)
        if import_digest(source) != model.commit:
            raise UserError(
                f"{source} does not match the digest in models/{model.id}/model.json; `make pin ID={model.id}`"
            )
    return list_data_files(source, model.files)


def read_replies(model: Model, hashes: Collection[str]) -> ImportedReplies:
    """Read a model's replies to the prompts of these hashes; raise UserError when there are none."""
    replies, keyed, unreadable = ImportedReplies(), KeyedRows(), UnreadableRows()
    is_wanted = RowFilter(model, hashes, replies.left_out)
    rows = (
        row
        for file in find_data_files(model)
        for row in read_rows(file, partial(choose_columns, model=model, file=file), unreadable, is_wanted)
    )
    packed = pack_rows(progress(rows, desc=model.id, unit="replies"), keyed, replies.left_out)
    for batch in groups_of(packed):
        replies.add(batch)
    unreadable.log()
    replies.choose(keyed.choose())
    replies.left_out.update(unreadable.counts)
    replies.rows = len(replies) + replies.left_out.total()
    check_replies(model, replies, is_wanted)
    return replies


def check_replies(model: Model, replies: ImportedReplies, is_wanted: RowFilter) -> None:
    """Raise UserError when no row answers a prompt."""
    if replies.rows and replies.left_out["not_in_where"] == replies.rows:
        values = ", ".join(is_wanted.other_values)
        raise UserError(f"{model.location}: no row is {model.where}; there are: {values}")
    if not replies:
        raise UserError(
            f"{model.location}: none of its {replies.rows} rows answers a prompt: {dict(replies.left_out)}; "
            f"is {key_column(model)!r} the hash that the prompts have?"
        )


def pack_rows(rows: Iterable[Row], keyed: KeyedRows, left_out: Counter[str]) -> Iterator[Row]:
    """Yield rows of PACKED, each noted in `keyed`; those whose texts cannot be used are counted."""
    for row in rows:
        chat = parse_reply(row)
        if isinstance(chat, Reason):
            left_out[chat.name] += 1
            continue
        key = str(to_id(row["key"]))
        add_to(keyed, key, chat)
        yield {"conversation_hash": key, "turns": chat.turns}


def to_imported_turn(user: str, reply: str, finish: str = IMPORTED) -> Turn:
    """Build a turn from its text and, if known, its finish reason."""
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


def to_conversation(prompt: Row, turns: list[ParsedTurn]) -> Conversation:
    """Build the finished conversation of a prompt from imported turns.

    The user's texts are the imported ones, so that validation sees where they differ from the prompt's; where they are
    unknown, the prompt's. A conversation that the set lacks has empty replies and the status `not_imported`; one whose
    last turn was never answered has the finish reason of that turn as its status.
    """
    users = [turn["user"] for turn in prompt["turns"]]
    is_absent = not turns or (turns[0]["user"] is None and len(turns) != len(users))
    known: list[ParsedTurn] = [{"user": None, "reply": "", "finish": IMPORTED}] * len(users) if is_absent else turns
    finish = str(known[-1]["finish"])
    status = "not_imported" if is_absent else finish if finish in UNANSWERED else "ok"
    conversation = Conversation(prompt["conversation_hash"], users, status=status)
    for number, turn in enumerate(known):
        user = users[number] if turn["user"] is None else turn["user"]
        conversation.turns.append(to_imported_turn(user, turn["reply"] or "", turn["finish"] or IMPORTED))
    return conversation


def reference_conversation(prompt: Row) -> Conversation:
    """Build the conversation of a prompt with its source's replies; `not_imported` where one is missing."""
    turns = [to_imported_turn(turn["user"], turn["reference"]) for turn in prompt["turns"]]
    is_complete = all(turn["assistant"] for turn in turns)
    users = [turn["user"] for turn in turns]
    return Conversation(prompt["conversation_hash"], users, turns=turns, status="ok" if is_complete else "not_imported")


@dataclass
class ImportedConversations:
    """A source of conversations whose replies exist already: those given, or without any the reference replies."""

    model: Model
    config: RequestConfig
    replies: ImportedReplies | None
    finishes: Counter[str] = field(default_factory=Counter)  # of the replies in the tables so far

    def tables(self, prompts: Iterable[Row]) -> Iterator[pa.Table]:
        """Yield all conversations, at no cost; see ConversationSource."""
        for rows in chunks(self._rows(prompts)):
            yield pa.Table.from_pylist(attribute_no_cost(rows), schema=SEGMENT)
        if self.num_unknown_finishes:
            log_line(
                f"{self.model.id}: {self.num_unknown_finishes} of {self.finishes.total()} replies do not tell how they "
                f"ended, though others do; they are counted as {IMPORTED!r}, which is unknown"
            )

    @property
    def num_unknown_finishes(self) -> int:
        """How many replies do not tell how they ended, if others do."""
        unknown = self.finishes[IMPORTED]
        return unknown if unknown < self.finishes.total() else 0

    def summary(self) -> dict[str, Any]:
        """Return how many rows of the replies were imported, and why the others were not."""
        if not self.replies:
            return {}
        unknown = {"unknown_finish_reasons": self.num_unknown_finishes} if self.num_unknown_finishes else {}
        return {"import": self.replies.summary() | unknown}

    def conversations(self, prompts: Iterable[Row]) -> Iterator[Conversation]:
        """Yield the conversation of every prompt; count the replies that do not fit their prompt's turns."""
        engine = json.dumps(["import", self.model.columns, self.model.where, self.model.files], sort_keys=True)
        for prompt in prompts:
            conversation = self._conversation(prompt)
            conversation.identity = identity(prompt, self.model, self.config, engine)
            yield conversation

    def _conversation(self, prompt: Row) -> Conversation:
        if self.replies is None:
            conversation = reference_conversation(prompt)
        else:
            turns = self.replies.turns_of(prompt["conversation_hash"])
            conversation = to_conversation(prompt, turns)
            if turns and conversation.status == "not_imported":
                self.replies.left_out["one_reply_for_many_turns"] += 1
            self.finishes.update(str(turn["finish"]) for turn in turns)
        for turn in conversation.turns:
            turn["assistant"], turn["raw"] = split_reply(turn["assistant"], self.config, turn["user"])
        return conversation

    def _rows(self, prompts: Iterable[Row]) -> Iterator[Row]:
        for conversation in self.conversations(prompts):
            yield to_row(conversation, self.model.id, self.config, "import")
