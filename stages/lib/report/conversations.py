"""Conversations as the browser reads them: replies of models to prompts, with verdicts, judgments and choices."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from stages.lib.console.errors import UserError
from stages.lib.core.types import Row
from stages.lib.records.prompts import system_of
from stages.lib.records.responses import UNANSWERED
from stages.lib.report.page import NOTES


@dataclass(frozen=True, slots=True)
class Turn:
    """A user message, the reply to it, and the judgment of the reply."""

    user: str  # empty where it is not known
    assistant: str
    finish_reason: str
    score: float | None = None
    judgment: str = ""  # the text of the judge
    unscored: str = ""  # why a judgment has no score
    answer: str | None = None  # what was scored of the reply to a row of a benchmark; empty: nothing was found in it


@dataclass(frozen=True, slots=True)
class Conversation:
    """The turns of one model on one prompt."""

    key: str  # of the prompt
    group: str  # the prompt's language or category; empty where it is not known
    turns: Sequence[Turn]
    status: str  # ok, or why it ended early
    keep: bool | None = None  # None: not validated
    reasons: Sequence[str] = ()
    system: str = ""  # the system message of its prompt
    labels: Sequence[str] = ()  # of a row of a benchmark; else they follow from the rest
    target: str = ""  # the right answer to a row of a benchmark


@dataclass(frozen=True, slots=True)
class Choice:
    """A judge's choice between two models' replies to one turn, in one order."""

    one: str
    other: str
    key: str
    turn: int  # from 1
    first: str  # the model that was shown first
    winner: str | None  # a model, or `tie`; None: the judge made no choice, see `reason`
    text: str
    reason: str


@dataclass(frozen=True)
class Collection:
    """Prompts that several models answered. Conversations are read once, model by model."""

    name: str  # of its files: small letters
    title: str
    group: str  # what the groups of its prompts are: language, category
    models: Mapping[str, Iterable[Conversation]]
    choices: Iterable[Choice] = ()
    is_rows: bool = False  # of a benchmark: replies are shown as they were written
    note: str = ""  # on what is not here


def from_responses(rows: Iterable[Row], verdicts: Iterable[Row] | None = None) -> Iterator[Conversation]:
    """Convert a DGM's rows of RESPONSE, with the rows of VERDICT in the same order.

    Raises UserError where a verdict is on another conversation, or the numbers of rows differ.
    """
    if verdicts is None:
        yield from (_from_response(row, {}) for row in rows)
        return
    for row, verdict in zip_longest(rows, verdicts):
        if row is None or verdict is None or (row["conversation_hash"] or "") != verdict["conversation_hash"]:
            raise UserError("data/verdicts does not match data/responses: run `dvc repro validate`")
        yield _from_response(row, verdict)


def _from_response(row: Row, verdict: Row) -> Conversation:
    return Conversation(
        key=row["conversation_hash"] or "",
        group=verdict.get("language") or "",
        turns=[_to_turn(turn) for turn in row["turns"] or []],
        status=row["status"] or "",
        keep=verdict.get("keep"),
        reasons=verdict.get("reasons") or (),
        system=system_of(row),
    )


def _to_turn(turn: Row | None) -> Turn:
    """Convert a turn, in which an import may lack anything: validation reports it, and the page shows the rest."""
    known = turn or {}
    return Turn(known.get("user") or "", known.get("assistant") or "", known.get("finish_reason") or "")


def add_judgments(conversations: Iterable[Conversation], judgments: Iterable[Row]) -> Iterator[Conversation]:
    """Add rows of JUDGMENT, whose `question_id` is the position of the prompt, to a DGM's conversations."""
    by_turn = {(row["question_id"], row["turn"]): row for row in judgments}
    for position, conversation in enumerate(conversations):
        turns = [
            _add_judgment(turn, by_turn.get((position, number)))
            for number, turn in enumerate(conversation.turns, start=1)
        ]
        yield replace(conversation, turns=turns)


def from_answers(rows: Iterable[Row], judgments: Iterable[Row] = ()) -> Iterator[Conversation]:
    """Convert a compared model's rows of ANSWER, with the rows of JUDGMENT on them."""
    by_turn = {(row["question_id"], row["turn"]): row for row in judgments}
    for row in rows:
        turns = [
            _add_judgment(_to_turn(turn), by_turn.get((row["question_id"], number)))
            for number, turn in enumerate(row["turns"], start=1)
        ]
        yield Conversation(str(row["question_id"]), row["category"], turns, row["status"])


def _add_judgment(turn: Turn, judgment: Row | None) -> Turn:
    if judgment is None:
        return turn
    return replace(turn, score=judgment["score"], judgment=judgment["text"], unscored=judgment["reason"])


def from_pairings(rows: Iterable[Row]) -> Iterator[Choice]:
    """Convert rows of PAIRING."""
    for row in rows:
        values = {name: row[name] for name in ("one", "other", "turn", "first", "winner", "text", "reason")}
        yield Choice(key=str(row["question_id"]), **values)


def list_labels(conversation: Conversation) -> list[str]:
    """Return the labels of a conversation, by which the page filters, the most important first."""
    if conversation.labels:
        return list(conversation.labels)
    labels = {True: ["kept"], False: ["dropped"], None: []}[conversation.keep]
    effect = "dropped" if conversation.keep is False else "noted"
    labels += [f"{effect}: {reason.replace('_', ' ')}" for reason in conversation.reasons]
    if conversation.status != "ok":
        labels.append(f"ended early: {NOTES.get(conversation.status, conversation.status) or 'no status'}")
    if any(turn.finish_reason == "length" for turn in conversation.turns):
        labels.append(NOTES["length"])
    if not conversation.turns or any(_is_blank(turn) for turn in conversation.turns):
        labels.append("no text")
    return labels or ["answered"]


def _is_blank(turn: Turn) -> bool:
    return not turn.assistant.strip() and turn.finish_reason not in UNANSWERED
