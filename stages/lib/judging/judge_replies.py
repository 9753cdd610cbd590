"""Parse a judge's replies to scores and choices, and decide how far a set of them can be trusted."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.evaluation.results import Status, status_by_missing
from stages.lib.records.responses import UNANSWERED, Turn

SCORE = re.compile(r"\[\[\s*(\d+(?:\.\d+)?)\s*\]\]")
CHOICE = re.compile(r"\[\[\s*([ABC])\s*\]\]")
MIN_SCORE = 1
MAX_SCORE = 10
EXAMPLE_CHARS = 80
STATUSES = ("ok", "failed", "unanswered")  # of the rows of JUDGMENT and PAIRING


class JudgeReply(NamedTuple):
    """The judge's raw text for one prompt."""

    text: str
    error: str  # why the judge gave no whole reply; empty when it did


def to_judge_reply(turn: Turn, reason: str) -> JudgeReply:
    """Convert the one turn of a judge's conversation; `reason` is the conversation's."""
    errors = {
        "failed": reason or "the judge could not be asked",
        "context_overflow": "the replies do not fit the judge's context window",
    }
    return JudgeReply(turn["assistant"], errors.get(turn["finish_reason"], ""))


def parse_score(reply: JudgeReply) -> tuple[float | None, str]:
    """Return the last score in double brackets, or None and the reason why there is none."""
    scores = SCORE.findall(reply.text)
    if reply.error or not scores:
        return None, reply.error or "no score in double brackets"
    score = float(scores[-1])
    if not MIN_SCORE <= score <= MAX_SCORE:
        return None, f"a score that is not from {MIN_SCORE} to {MAX_SCORE}"
    return score, ""


def parse_choice(reply: JudgeReply) -> tuple[Literal["A", "B", "C"] | None, str]:
    """Return the last choice in double brackets (C: a tie), or None and the reason why there is none."""
    choices = CHOICE.findall(reply.text)
    if reply.error or not choices:
        return None, reply.error or "no choice in double brackets"
    return choices[-1], ""


def is_answered(turns: Sequence[Turn], number: int) -> bool:
    """Whether a conversation has a reply to its turn of that number (from 1)."""
    return len(turns) >= number and turns[number - 1]["finish_reason"] not in UNANSWERED


def count_statuses(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Count the rows of JUDGMENT or PAIRING by status."""
    return {status: sum(row["status"] == status for row in rows) for status in STATUSES}


def judging_status(rows: Sequence[dict[str, Any]], stage: str) -> tuple[Status, str | None]:
    """Return the status of rows of JUDGMENT or PAIRING and why it is not `ok`; log unusable replies.

    Raises UserError when there are replies to judge and not one of the judge's replies could be parsed.
    """
    asked = [row for row in rows if row["status"] != "unanswered"]
    if rows and not asked:
        return "failed", "there is no reply to judge"
    failed = [row for row in asked if row["status"] == "failed"]
    if not failed:
        return "ok", None
    [(cause, count)] = Counter(row["reason"] for row in failed).most_common(1)
    example = find_example(failed)
    if len(failed) == len(asked):
        raise UserError(f"{stage}: no reply of the judge could be parsed: {cause}{example}; can this model judge?")
    reason = f"{len(failed)} of {len(asked)} judge replies are unusable, {count} of them because: {cause}"
    status = status_by_missing(len(failed), len(asked))
    log_line(f"{stage}: {reason}{example}; status {status}")
    if any(not row["text"] for row in failed):
        log_line(f"`dvc repro --force --single-item {stage}` asks the judge again for the replies that it did not give")
    return status, None if status == "ok" else reason


def find_example(failed: Sequence[dict[str, Any]]) -> str:
    """Quote the first text that could not be parsed, for the end of a message; empty when there is no text."""
    texts = (" ".join(row["text"].split())[:EXAMPLE_CHARS] for row in failed if row["text"].strip())
    return next((f" (such as {text!r})" for text in texts), "")
