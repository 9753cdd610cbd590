"""A page on which to read what models replied to the same prompts, two at a time; it works from a disk, offline.

The page is `browser.html` with its style and its script. A model's replies are a file that the page loads when the
model is chosen: one call with a list of texts, each the JSON of one conversation. The one script that the page trusts
is its own, by its hash, and so what that one adds ('strict-dynamic'): browsers agree on it, but not on what the origin
of a file is.
"""

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from markupsafe import Markup

from stages.lib.console.errors import UserError
from stages.lib.records.pairings import TIE
from stages.lib.records.responses import UNANSWERED
from stages.lib.report.page import NOTES, render, render_markdown

PAGE, DATA = "conversations.html", "conversations"  # the page, and the folder beside it with what it loads
HERE = Path(__file__)

Row = dict[str, Any]  # of a table of the pipeline


@dataclass(frozen=True, slots=True)
class Turn:
    """One user turn, the reply to it, and what a judge said of it."""

    user: str  # empty where it is not known
    assistant: str
    finish_reason: str
    score: float | None = None
    judge: str = ""  # all that the judge said
    unscored: str = ""  # why there is no score, where one was asked for


@dataclass(frozen=True, slots=True)
class Conversation:
    """What one model replied to one prompt."""

    key: str  # of the prompt
    group: str  # the prompt's language or category; empty where it is not known
    turns: Sequence[Turn]
    status: str  # ok, or why it ended early
    keep: bool | None = None  # None: nobody validated it
    reasons: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """A judge's choice between two models' replies to one turn, in one order."""

    one: str
    other: str
    key: str
    turn: int  # from 1
    first: str  # the model that was shown first
    winner: str | None  # a model, or `tie`; None: no verdict, for a reason
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


def of_responses(rows: Iterable[Row], verdicts: Iterable[Row] | None = None) -> Iterator[Conversation]:
    """A DGM's rows of RESPONSE, with the rows of VERDICT on them, which stand in the same order.

    Raises UserError where the two do not belong together.
    """
    if verdicts is None:
        yield from (_of_response(row, {}) for row in rows)
        return
    for row, verdict in zip_longest(rows, verdicts):
        if row is None or verdict is None or (row["conversation_hash"] or "") != verdict["conversation_hash"]:
            raise UserError("data/verdicts: not of these responses; run `dvc repro validate`")
        yield _of_response(row, verdict)


def _of_response(row: Row, verdict: Row) -> Conversation:
    turns = [_turn(turn) for turn in row["turns"] or []]
    found = (verdict.get("language") or "", turns, row["status"] or "", verdict.get("keep"))
    return Conversation(row["conversation_hash"] or "", *found, verdict.get("reasons") or ())


def _turn(turn: Row | None) -> Turn:
    """A turn of an import may lack anything; validation says so, and the page shows what is there."""
    found = turn or {}
    return Turn(found.get("user") or "", found.get("assistant") or "", found.get("finish_reason") or "")


def scored(conversations: Iterable[Conversation], judgments: Iterable[Row]) -> Iterator[Conversation]:
    """A DGM's conversations, with rows of JUDGMENT on them, whose `question_id` is the place of the prompt."""
    judged = {(row["question_id"], row["turn"]): row for row in judgments}
    for place, conversation in enumerate(conversations):
        turns = [_with(turn, judged.get((place, number))) for number, turn in enumerate(conversation.turns, start=1)]
        yield replace(conversation, turns=turns)


def of_answers(rows: Iterable[Row], judgments: Iterable[Row] = ()) -> Iterator[Conversation]:
    """A compared model's rows of ANSWER, with the rows of JUDGMENT on them."""
    judged = {(row["question_id"], row["turn"]): row for row in judgments}
    for row in rows:
        turns = [
            _with(_turn(turn), judged.get((row["question_id"], number)))
            for number, turn in enumerate(row["turns"], start=1)
        ]
        yield Conversation(str(row["question_id"]), row["category"], turns, row["status"])


def _with(turn: Turn, judgment: Row | None) -> Turn:
    """A turn with what a judge said of it."""
    if judgment is None:
        return turn
    return replace(turn, score=judgment["score"], judge=judgment["text"], unscored=judgment["reason"])


def of_pairings(rows: Iterable[Row]) -> Iterator[Choice]:
    """Rows of PAIRING."""
    for row in rows:
        values = {name: row[name] for name in ("one", "other", "turn", "first", "winner", "text", "reason")}
        yield Choice(key=str(row["question_id"]), **values)


def labels(conversation: Conversation) -> list[str]:
    """What became of a conversation, in words by which the page filters; most important first."""
    found = {True: ["kept"], False: ["dropped"], None: []}[conversation.keep]
    word = "dropped" if conversation.keep is False else "noted"
    found += [f"{word}: {reason.replace('_', ' ')}" for reason in conversation.reasons]
    if conversation.status != "ok":
        found.append(f"ended early: {NOTES.get(conversation.status, conversation.status) or 'no status'}")
    if any(turn.finish_reason == "length" for turn in conversation.turns):
        found.append(NOTES["length"])
    if not conversation.turns or any(_is_blank(turn) for turn in conversation.turns):
        found.append("no text")
    return found or ["answered"]


def _is_blank(turn: Turn) -> bool:
    return not turn.assistant.strip() and turn.finish_reason not in UNANSWERED


@dataclass
class _Prompt:
    group: str
    users: list[str]


@dataclass
class _Prompts:
    """The prompts in the order in which models were found to answer them."""

    places: dict[tuple[str, int], int] = field(default_factory=dict)  # by key, and which time a model answers it
    found: list[_Prompt] = field(default_factory=list)

    def place(self, key: str, time: int, group: str = "", users: Sequence[str] = ()) -> int:
        """The place of a prompt, which is added where it is new; what was not known of it is."""
        place = self.places.setdefault((key, time), len(self.places))
        if place == len(self.found):
            self.found.append(_Prompt("", []))
        prompt = self.found[place]
        prompt.group = prompt.group or group
        prompt.users = [was or now for was, now in zip_longest(prompt.users, users, fillvalue="")]
        return place

    def rows(self) -> Iterator[Row]:
        """As the page reads them. A second reply of a model to the same prompt stands as a prompt of its own."""
        for (key, time), prompt in zip(self.places, self.found, strict=True):
            yield {"key": key if time == 1 else f"{key} ({time})", "group": prompt.group, "users": prompt.users}


def write_browser(folder: Path, collections: Sequence[Collection], title: str) -> None:
    """Write conversations.html and the folder conversations/ into a folder that has neither.

    Equal collections give equal bytes. What is in memory is the prompts, the choices, and one conversation.
    """
    (folder / DATA).mkdir()
    shown = [_write_collection(folder / DATA, collection) for collection in collections]
    script = HERE.with_suffix(".js").read_text(encoding="utf-8")
    page = {
        "title": title,
        "sets": Markup(json.dumps(shown, ensure_ascii=False).replace("<", "\\u003c")),  # noqa: S704  (JSON, no tag)
        "script": Markup(script),  # noqa: S704  (our own)
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "data": DATA,
    }
    (folder / PAGE).write_text(render(HERE.with_suffix(".html"), page), encoding="utf-8", newline="\n")


def _write_collection(folder: Path, collection: Collection) -> Row:
    """Write the files of one collection; what the page knows of it before it reads them comes back."""
    if not re.fullmatch(r"[a-z]+", collection.name):
        raise ValueError(f"not a name for files: {collection.name!r}")
    prompts, models = _Prompts(), list(collection.models)
    replies = [
        _write_rows(folder, f"{collection.name}-{number}", _reply_rows(conversations, prompts))
        for number, conversations in enumerate(collection.models.values(), start=1)
    ]
    pairs, others = _by_pair(collection.choices, models)
    for (one, other), choices in pairs.items():
        _write_rows(folder, f"{collection.name}-{one}-{other}", _choice_rows(choices, models, prompts))
    _write_rows(folder, f"{collection.name}-0", prompts.rows())
    known = {"name": collection.name, "title": collection.title, "group": collection.group, "models": models}
    return {**known, "replies": replies, "pairs": sorted(pairs), "prompts": len(prompts.found), "other_choices": others}


def _reply_rows(conversations: Iterable[Conversation], prompts: _Prompts) -> Iterator[Row]:
    """A model's conversations as the page reads them, each at the place of its prompt."""
    times = Counter[str]()
    for conversation in conversations:
        times[conversation.key] += 1
        users = [turn.user for turn in conversation.turns]
        place = prompts.place(conversation.key, times[conversation.key], conversation.group, users)
        known = prompts.found[place].users
        turns = [_reply(turn, asked) for turn, asked in zip(conversation.turns, known, strict=False)]
        yield {"at": place, "labels": labels(conversation), "turns": turns}


def _reply(turn: Turn, asked: str) -> Row:
    """One turn as the page reads it, without what is empty."""
    found = {
        "html": render_markdown(turn.assistant),
        "chars": len(turn.assistant),
        "end": turn.finish_reason,
        "score": turn.score,
        "judge": turn.judge,
        "unscored": turn.unscored,
        "asked": turn.user if turn.user != asked else "",  # not what the others were asked
    }
    return {name: value for name, value in found.items() if value not in ("", None)}


def _by_pair(choices: Iterable[Choice], models: list[str]) -> tuple[dict[tuple[int, int], list[Choice]], int]:
    """The choices between each two models, by their numbers, and how many are of a model that is not shown."""
    numbers = {model: number for number, model in enumerate(models, start=1)}
    found: dict[tuple[int, int], list[Choice]] = {}
    others = 0
    for choice in choices:
        if choice.one in numbers and choice.other in numbers:
            one, other = sorted((numbers[choice.one], numbers[choice.other]))
            found.setdefault((one, other), []).append(choice)
        else:
            others += 1
    return found, others


def _choice_rows(choices: list[Choice], models: list[str], prompts: _Prompts) -> Iterator[Row]:
    """The choices on each prompt as the page reads them: models by their numbers, 0 for a tie."""
    numbers: dict[str | None, int | None] = {model: number for number, model in enumerate(models, start=1)}
    numbers |= {TIE: 0, None: None}
    found: dict[int, list[Row]] = {}
    for choice in choices:
        row = {"turn": choice.turn, "first": numbers[choice.first], "winner": numbers[choice.winner]}
        found.setdefault(prompts.place(choice.key, 1), []).append(
            {**row, "text": choice.text} | ({"reason": choice.reason} if choice.reason else {})
        )
    yield from ({"at": place, "choices": rows} for place, rows in found.items())


def _write_rows(folder: Path, name: str, rows: Iterable[Row]) -> int:
    """Write a data file as the rows come; how many there were comes back."""
    with (folder / f"{name}.js").open("w", encoding="utf-8", newline="\n") as file:
        file.write(f'receive("{name}", [\n')
        count = sum(1 for row in rows if file.write(f"{as_script(row)},\n"))
        file.write("]);\n")
    return count


def as_script(row: Row) -> str:
    """A row as a script's text between single quotes, which holds its JSON: inert in a script file and in a page."""
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":")).replace("\\", "\\\\").replace("'", "\\'")
    return "'" + text.replace("</", "<\\/").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029") + "'"
