"""The names that columns of public sets have, by what they hold; the first one that a file has is used."""

from collections.abc import Iterable

KEYS = ("conversation_hash", "session_id", "prompt_id", "question_id", "id")
CHATS = ("conversation", "messages", "conversations")
QUESTIONS = ("prompt", "instruction", "question", "user")
SYSTEMS = ("system", "system_prompt")
REPLIES = ("response", "output", "reply", "answer", "completion")


def first_of(names: Iterable[str], present: Iterable[str]) -> str:
    """Return the first of some names that is present; empty if none is."""
    columns = set(present)
    return next((name for name in names if name in columns), "")


def any_of(names: tuple[str, ...]) -> str:
    """List names in words."""
    return f"{', '.join(names[:-1])} or {names[-1]}"
