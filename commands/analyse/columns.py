"""Rows of replies of several models in a file or folder, recognised by their columns.

Three forms: one reply per row; chats as lists of messages; and the pipeline's own RESPONSE rows.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from stages.lib.console.errors import UserError
from stages.lib.core.types import Row
from stages.lib.generation.reply_formats import MESSAGE_FIELDS, parse_single_reply
from stages.lib.readers.reasons import Reason
from stages.lib.readers.values import to_number
from stages.lib.records.hashing import content_hash
from stages.lib.records.messages import ParsedTurn, invalid_reason, parse_messages
from stages.lib.records.readers import list_data_files, read_columns
from stages.lib.records.responses import IMPORTED

# The role of a column, and the names that it may have: the first one that a file has is used.
ROLES = {
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
# The role that makes a form, and the roles that only this form has.
FORMS = {"chat": (), "reply": ("user", "finish"), "turns": ("status",)}
JUDGE_PREFIX = "judge_"  # of the columns with a judge's texts
FIELDS = (*MESSAGE_FIELDS, "user", "assistant")  # the fields of messages and turns that are read


def assign_roles(names: list[str], file: Path, *, needs_model: bool) -> dict[str, str]:
    """Return the columns of a file by role; those with a judge's texts keep their names.

    Raises UserError naming the columns that the file has and those that it lacks.
    """
    columns = {role: name for role, known in ROLES.items() for name in known[::-1] if name in names}
    form = next((form for form in FORMS if form in columns), "")
    has_key = "key" in columns or form == "chat" or (form == "reply" and "user" in columns)
    needed = [
        (bool(form), "the replies", ("reply", "chat", "turns")),
        (has_key, "the prompt's id", ("key",)),
        ("model" in columns or not needs_model, "the model", ("model",)),
    ]
    if missing := [f"{title} ({list_names(roles)})" for is_there, title, roles in needed if not is_there]:
        raise UserError(
            f"{file} has the columns {', '.join(names) or '(none)'}; it needs a column for {' and for '.join(missing)}"
        )
    other_forms = {role for other, own in FORMS.items() if other != form for role in (other, *own)}
    judge_texts = {name: name for name in names if name.startswith(JUDGE_PREFIX) and name not in ROLES["score"]}
    return {role: name for role, name in columns.items() if role not in other_forms} | judge_texts


def list_names(roles: Iterable[str]) -> str:
    """List the names that the columns of these roles may have."""
    names = [name for role in roles for name in ROLES[role]]
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]


def read_by_role(source: Path) -> Iterator[Row]:
    """Yield the rows of a file or folder, with their columns by role.

    In a folder, a file without a column for the model takes the name of its subfolder, or else its own.
    """
    for file in list_data_files(source):
        parts = file.relative_to(source).parts if source.is_dir() else ()
        model = Path(parts[0]).stem if parts else None

        def to_roles(names: list[str], file: Path = file, model: str | None = model) -> dict[str, str]:
            return assign_roles(names, file, needs_model=model is None)

        for row in read_columns(file, to_roles, FIELDS):
            yield row if "model" in row else {**row, "model": model}


def parse_row(row: Row) -> list[ParsedTurn] | str:
    """Return the turns of a row of any form, or the reason why it has none."""
    if "chat" in row:
        turns = parse_messages(row["chat"])
    elif "reply" in row:
        user = {"user": "user"} if row.get("user") is not None else {}
        turns = parse_single_reply(row, {"response": "reply", "finish_reason": "finish", **user})
    else:
        turns = parse_turns(row["turns"], row.get("status"))
    return turns if isinstance(turns, str) else [{**turn, "finish": to_text(turn.get("finish"))} for turn in turns]


def parse_turns(turns: object, status: object) -> list[ParsedTurn] | str:
    """Return turns as in RESPONSE, or the reason why there are none."""
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


def to_text(value: object) -> str:
    """Convert a value to a text that can be encoded; empty for None."""
    return "" if value is None else str(value).strip().encode(errors="replace").decode()


def to_key(row: Row, turns: list[ParsedTurn]) -> str:
    """Return the prompt's id: the file's own, or the hash of the user's texts if it has none."""
    if "key" in row:
        return to_text(row["key"])
    return content_hash([{"role": "user", "content": turn["user"] or ""} for turn in turns])


def parse_judgment(row: Row) -> Row:
    """Return a judge's score (None if it is not a number) and its texts, each under the name of its column."""
    score = to_number(row.get("score"))
    texts = {name.removeprefix(JUDGE_PREFIX): value for name, value in row.items() if name.startswith(JUDGE_PREFIX)}
    paragraphs = [
        f"{name}: {to_text(value)}" for name, value in texts.items() if isinstance(value, str) and value.strip()
    ]
    return {
        "judged": "score" in row,
        "score": None if isinstance(score, Reason) else score,
        "text": "\n\n".join(paragraphs),
    }
