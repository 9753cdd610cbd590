"""Whether a reply ended as it should: its finish reason, and marks that it was truncated."""

import re

from stages.lib.core.text import is_blank
from stages.lib.records.responses import IMPORTED
from stages.lib.validation.check_input import AnsweredTurn, CheckInput

MAX_MARK_CHARS = 40  # with the dots before it
TRUNCATION_MARK = re.compile(r"[.…\s]*[(\[]truncated[)\]]\s*\Z")  # written by published sets where they cut a reply
PLAIN_WORD = re.compile(r"[a-z_]{1,40}")


def is_truncated(text: str) -> bool:
    """Whether a text ends with a mark that it was truncated."""
    return len(strip_truncation_mark(text)) < len(text)


def strip_truncation_mark(text: str) -> str:
    """Remove the mark of truncation from the end of a text."""
    head, tail = text[:-MAX_MARK_CHARS], text[-MAX_MARK_CHARS:]
    return head + TRUNCATION_MARK.sub("", tail)


def has_truncation_mark(turn: AnsweredTurn) -> bool:
    """Whether an imported reply of unknown finish reason ends with a mark of truncation."""
    return turn.finish_reason == IMPORTED and is_truncated(turn.reply)


def forbidden_finish(turn: AnsweredTurn) -> str | None:
    """Return the finish reason of a turn if `validate.finish_reasons` does not allow it, else None."""
    is_allowed = turn.finish_reason in (*turn.settings.finish_reasons, IMPORTED)
    return None if is_allowed else turn.finish_reason


def ended_well(turn: AnsweredTurn) -> bool:
    """Whether a reply ended with an allowed finish reason and without a mark of truncation."""
    return forbidden_finish(turn) is None and not has_truncation_mark(turn)


def reached_limit(turn: AnsweredTurn) -> bool:
    """Whether a reply ended at the token limit."""
    return forbidden_finish(turn) == "length"


def has_no_end(turn: AnsweredTurn) -> bool:
    """Whether a forbidden finish reason is not a plain word of an engine: the reply was never ended."""
    finish = forbidden_finish(turn)
    return finish is not None and not PLAIN_WORD.fullmatch(finish)


def other_finishes(given: CheckInput) -> set[str]:
    """Name the forbidden finish reasons other than the token limit: `finish_abort` for `abort`."""
    words = {forbidden_finish(turn) for turn in given.answered_turns} - {None, "length"}
    return {f"finish_{word}" for word in words if word and PLAIN_WORD.fullmatch(word)}


def is_empty(turn: AnsweredTurn) -> bool:
    """Whether a reply that ended well shows nothing."""
    return is_blank(turn.reply) and turn.settings.min_chars > 0 and ended_well(turn)


def is_too_short(turn: AnsweredTurn) -> bool:
    """Whether a reply that ended well is not empty, but shorter than `validate.min_chars`."""
    return len(turn.reply.strip()) < turn.settings.min_chars and not is_blank(turn.reply) and ended_well(turn)
