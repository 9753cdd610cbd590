"""Which columns of a file are read: the names that they have in public sets, the first of which is used."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from stages.lib.console.errors import UserError
from stages.lib.readers.auxiliary_formats import FORMATS, MESSAGE_KEYS
from stages.lib.readers.chats import MESSAGE_FIELDS
from stages.lib.readers.parquet_rows import Columns

KEYS = ("conversation_hash", "session_id", "prompt_id", "question_id", "id")
CHATS = ("conversation", "messages", "conversations")
QUESTIONS = ("prompt", "instruction", "question", "user")
SYSTEMS = ("system", "system_prompt")
PROMPT_SCALARS = ("conversation_hash", "language", "toxic", "source")
REPLIES = ("response", "output", "reply", "answer", "completion")


def first_of(names: Iterable[str], present: Iterable[str]) -> str:
    """Return the first of some names that is present; empty if none is."""
    columns = set(present)
    return next((name for name in names if name in columns), "")


def any_of(names: tuple[str, ...]) -> str:
    """List names in words."""
    return f"{', '.join(names[:-1])} or {names[-1]}"


def prompt_columns(present: list[str], file: Path) -> Columns:
    """Choose the columns of a file that hold prompts; raise UserError when it has neither chats nor questions."""
    chat, question = first_of(CHATS, present), first_of(QUESTIONS, present)
    if not chat and not question:
        raise UserError(
            f"{file} has no column of chats ({any_of(CHATS)}) or questions ({any_of(QUESTIONS)}); "
            f"it has: {', '.join(present) or '(none)'}"
        )
    texts = {"chat": chat} if chat else {"question": question, "reply": first_of(REPLIES, present)}
    if question == "instruction" and "input" in present and not chat:
        texts["input"] = "input"
    others = {"system": first_of(SYSTEMS, present)} | {name: name for name in PROMPT_SCALARS[1:] if name in present}
    names = {"conversation_hash": first_of(KEYS, present), **texts, **others}
    return Columns({ours: theirs for ours, theirs in names.items() if theirs}, MESSAGE_FIELDS, PROMPT_SCALARS)


def auxiliary_columns(present: list[str], format_name: str, renamed: Mapping[str, str], file: Path) -> Columns:
    """Choose the columns of a file that the set's format reads; raise UserError for one that it lacks."""
    form = FORMATS[format_name]
    needed = [name for name in (*form.columns, *renamed) if name not in MESSAGE_KEYS]
    names = {name: renamed.get(name, name) for name in needed}
    for name, column in names.items():
        if column not in present:
            raise UserError(
                f"{file} has no column {column!r}, which the format {format_name!r} needs; it has: "
                f"{', '.join(present)}. Under another name: `columns: {{{name}: <its name>}}`"
            )
    optional = [name for name in form.optional if name in present and name not in (*names, *MESSAGE_KEYS)]
    fields = [*MESSAGE_FIELDS, *(renamed[key] for key in MESSAGE_KEYS if key in renamed)]
    return Columns(names | {name: name for name in optional}, fields, ("question", "category", "answer"))
