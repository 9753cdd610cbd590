"""Rows of replies of several models in a file or folder, recognised by their columns.

Three forms: one reply per row; chats as lists of messages; and the pipeline's own RESPONSE rows.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from stages.lib.console.errors import UserError
from stages.lib.core.text import is_blank
from stages.lib.core.types import Row
from stages.lib.generation.reply_formats import parse_single_reply, parse_turns, to_known_text
from stages.lib.readers.chats import MESSAGE_FIELDS, Chat, hash_prompt, parse_chat
from stages.lib.readers.columns import CHATS, KEYS, QUESTIONS, REPLIES, SYSTEMS
from stages.lib.readers.files import compression_of, list_data_files
from stages.lib.readers.parquet_rows import Columns
from stages.lib.readers.reasons import Reason, UnreadableRows
from stages.lib.readers.rows import read_rows
from stages.lib.readers.values import to_bool, to_id, to_label, to_number

# The role of a column, and the names that it may have: the first one that a file has is used.
ROLES = {
    "model": ("dgm", "model", "generator"),
    "key": KEYS,
    "chat": CHATS,
    "reply": REPLIES,
    "turns": ("turns",),
    "user": QUESTIONS,
    "system": SYSTEMS,
    "finish": ("finish_reason",),
    "status": ("status",),
    "language": ("language",),
    "toxic": ("toxic",),
    "score": ("judge_score",),
}
# The role that makes a form, and the roles that not every form has.
FORMS = {"chat": (), "reply": ("user", "system", "finish"), "turns": ("system", "status")}
SCALARS = ("model", "key", "system", "finish", "status", "language", "toxic", "score")
JUDGE_PREFIX = "judge_"  # of the columns with a judge's texts
FIELDS = (*MESSAGE_FIELDS, "user", "assistant")  # the fields of messages and turns that are read


class Labels(NamedTuple):
    """What rows say of a prompt."""

    language: str = ""  # empty: not known
    is_toxic: bool = False


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
    other_forms = {role for other, own in FORMS.items() if other != form for role in (other, *own)} - {*FORMS[form]}
    judge_texts = {name: name for name in names if name.startswith(JUDGE_PREFIX) and name not in ROLES["score"]}
    return {role: name for role, name in columns.items() if role not in other_forms} | judge_texts


def list_names(roles: Iterable[str]) -> str:
    """List the names that the columns of these roles may have."""
    names = [name for role in roles for name in ROLES[role]]
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]


def read_by_role(source: Path, unreadable: UnreadableRows) -> Iterator[Row]:
    """Yield the rows of a file or folder, with their columns by role; count those that cannot be read.

    In a folder, a file without a column for the model takes the name of its subfolder, or else its own.
    """
    for file in list_data_files(source):
        model = name_model(file, source)

        def choose(names: list[str], file: Path = file, model: str | None = model) -> Columns:
            return Columns(assign_roles(names, file, needs_model=model is None), FIELDS, SCALARS)

        for row in read_rows(file, choose, unreadable):
            yield row if "model" in row else {**row, "model": model}


def name_model(file: Path, source: Path) -> str | None:
    """Return the model that a file of a folder is named after: its subfolder as it is, or itself without its ending."""
    parts = file.relative_to(source).parts if source.is_dir() else ()
    if len(parts) == 1:
        return Path(file.stem).stem if compression_of(file) else file.stem
    return parts[0] if parts else None


def parse_row(row: Row) -> Chat | Reason:
    """Return the chat of a row of any form, a user's message that is not known as None; or why it has none."""
    if "chat" in row:
        return parse_chat(row["chat"])
    system = to_text(row.get("system"))
    if isinstance(system, Reason):
        return Reason("unclear_system")
    if "turns" in row:
        return parse_turns(row["turns"], row.get("status"), system)
    user = to_known_text(row.get("user"))
    return user if isinstance(user, Reason) else parse_single_reply(row, user, system)


def to_text(value: object) -> str | Reason:
    """Return a text, empty if it is missing or shows nothing; or the reason why it is no text."""
    text = to_known_text(value)
    return text if isinstance(text, Reason) else "" if text is None or is_blank(text) else text


def to_key(row: Row, chat: Chat) -> str | Reason:
    """Return the prompt's id: the file's own, or the hash of the texts of system and user if it has none."""
    if "key" in row:
        return to_id(row["key"]) or Reason("null_hash")
    if any(is_blank(turn["user"] or "") for turn in chat.turns):
        return Reason("null_hash")
    return hash_prompt(chat)


def parse_labels(row: Row) -> Labels | Reason:
    """Return what a row says of its prompt, or the reason why that is not clear."""
    language, toxic = to_label(row.get("language")), to_bool(row.get("toxic"))
    if isinstance(language, Reason) or isinstance(toxic, Reason):
        return Reason("unclear_language" if isinstance(language, Reason) else "unclear_toxic")
    return Labels(language, toxic is True)


def parse_judgment(row: Row) -> Row:
    """Return a judge's score (None if it is not a number) and its texts, each under the name of its column."""
    score = to_number(row.get("score"))
    texts = {name.removeprefix(JUDGE_PREFIX): value for name, value in row.items() if name.startswith(JUDGE_PREFIX)}
    paragraphs = [
        f"{name}: {value.strip()}" for name, value in texts.items() if isinstance(value, str) and not is_blank(value)
    ]
    return {
        "judged": "score" in row,
        "score": None if isinstance(score, Reason) else score,
        "text": "\n\n".join(paragraphs),
    }
