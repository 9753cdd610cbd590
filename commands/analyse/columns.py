"""Rows of replies of several models in one file or folder, told apart by their columns.

Three forms: one reply per row; chats as lists of messages; and the pipeline's own RESPONSE rows.
"""

from collections.abc import Iterable, Iterator
from math import isfinite
from numbers import Real
from pathlib import Path

from stages.lib.console.errors import UserError
from stages.lib.core.types import Row
from stages.lib.generation.reply_formats import MESSAGE_FIELDS, parse_single_reply
from stages.lib.records.hashing import content_hash
from stages.lib.records.messages import ParsedTurn, invalid_reason, parse_messages
from stages.lib.records.readers import list_data_files, read_columns
from stages.lib.records.responses import IMPORTED

ROLES = {  # what a column is for: the names that it may have, the first that is there is taken
    "model": ("dgm", "model", "generator"),
    "key": ("conversation_hash", "session_id", "prompt_id", "question_id", "id"),
    "chat": ("conversation", "messages"),
    "reply": ("response", "output", "reply", "answer"),
    "turns": ("turns",),
    "user": ("prompt", "instruction", "user"),
    "finish": ("finish_reason",),
    "status": ("status",),
    "language": ("language",),
    "toxic": ("toxic",),
    "score": ("judge_score",),
}
FORMS = {"chat": (), "reply": ("user", "finish"), "turns": ("status",)}  # and the roles that only this form has
JUDGE = "judge_"  # with it begin the columns of a judge's texts
FIELDS = (*MESSAGE_FIELDS, "user", "assistant")  # what is read of messages and turns


def name_columns(names: list[str], file: Path, *, needs_model: bool) -> dict[str, str]:
    """What the columns of a file are for, by role; a judge's texts keep their names.

    Raises UserError naming what there is and what is looked for.
    """
    found = {role: name for role, known in ROLES.items() for name in known[::-1] if name in names}
    form = next((form for form in FORMS if form in found), "")
    has_key = "key" in found or form == "chat" or (form == "reply" and "user" in found)
    lacking = [
        (form, "the replies", ("reply", "chat", "turns")),
        (has_key, "what names the prompt", ("key",)),
        ("model" in found or not needs_model, "the model", ("model",)),
    ]
    if wanted := [f"{what} ({listed(roles)})" for is_there, what, roles in lacking if not is_there]:
        raise UserError(
            f"{file} has the columns {', '.join(names) or '(none)'}; no column was found for {' and '.join(wanted)}"
        )
    others = {role for other, own in FORMS.items() if other != form for role in (other, *own)}
    judged = {name: name for name in names if name.startswith(JUDGE) and name not in ROLES["score"]}
    return {role: name for role, name in found.items() if role not in others} | judged


def listed(roles: Iterable[str]) -> str:
    """The names that the columns of these roles may have."""
    names = [name for role in roles for name in ROLES[role]]
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]


def read_existing(source: Path) -> Iterator[Row]:
    """The rows of a file or folder by role. Where a folder's file names no model, its folder does, or else its name."""
    for file in list_data_files(source):
        below = file.relative_to(source).parts if source.is_dir() else ()
        own = Path(below[0]).stem if below else None

        def naming(names: list[str], file: Path = file, own: str | None = own) -> dict[str, str]:
            return name_columns(names, file, needs_model=own is None)

        for row in read_columns(file, naming, FIELDS):
            yield row if "model" in row else {**row, "model": own}


def to_said(row: Row) -> list[ParsedTurn] | str:
    """What a row of any form says, or why that is nothing."""
    if "chat" in row:
        said = parse_messages(row["chat"])
    elif "reply" in row:
        known = {"user": "user"} if row.get("user") is not None else {}
        said = parse_single_reply(row, {"response": "reply", "finish_reason": "finish", **known})
    else:
        said = of_turns(row["turns"], row.get("status"))
    return said if isinstance(said, str) else [{**turn, "finish": plain(turn.get("finish"))} for turn in said]


def of_turns(turns: object, status: object) -> list[ParsedTurn] | str:
    """What turns as in RESPONSE say."""
    if status == "not_imported":
        return status
    if not isinstance(turns, list) or not turns or not all(isinstance(turn, dict) for turn in turns):
        return "no_messages"
    for turn in turns:
        if problem := invalid_reason(turn.get("assistant")) or invalid_reason(turn.get("user") or ""):
            return problem
    return [
        {"user": turn.get("user") or "", "reply": turn["assistant"], "finish": turn.get("finish_reason") or IMPORTED}
        for turn in turns
    ]


def plain(value: object) -> str:
    """A value as a text that can be written; empty for none."""
    return "" if value is None else str(value).strip().encode(errors="replace").decode()


def to_key(row: Row, said: list[ParsedTurn]) -> str:
    """What names the prompt: the file's own key; where it has none, the hash of what the user says."""
    if "key" in row:
        return plain(row["key"])
    return content_hash([{"role": "user", "content": turn["user"] or ""} for turn in said])


def to_judgment(row: Row) -> Row:
    """A judge's score and its texts, each under the name of its column."""
    score = row.get("score")
    is_number = isinstance(score, Real) and not isinstance(score, bool) and isfinite(score)
    texts = {name.removeprefix(JUDGE): value for name, value in row.items() if name.startswith(JUDGE)}
    said = [f"{name}: {plain(value)}" for name, value in texts.items() if isinstance(value, str) and value.strip()]
    return {
        "judged": "score" in row,
        "score": float(score) if is_number else None,  # type: ignore[arg-type]
        "text": "\n\n".join(said),
    }
