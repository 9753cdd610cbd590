"""Parse a judge's replies to scores and choices, and decide how far a set of them can be trusted."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeVar, get_args

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.evaluation.results import Status, status_by_missing
from stages.lib.records.responses import UNANSWERED, Turn

Choice = Literal["A", "B", "C"]
Verdict = TypeVar("Verdict")

BRACKETS = re.compile(r"\[\[([^\[\]]*)\]\]")
FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}  # full-width characters to ASCII
MARKUP = " \t\n*_`"  # around a verdict
QUOTED = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|^\s*>[^\n]*|\"[^\"\n]*\"|“[^”\n]*”", re.DOTALL | re.MULTILINE)
SCORE = re.compile(r"(?:(?:rating|score)\s*:\s*)?(\d+(?:\.\d+)?)(?:\s*(?:/|out of)\s*10)?", re.IGNORECASE)
LIKE_A_SCORE = re.compile(r"\d")
CHOICE = re.compile(r"(?:(?:assistant|model|answer|response)\s+)?([ABC])|(?P<better>[AB])\s*>+\s*[AB]", re.IGNORECASE)
TIES = ("TIE", "A=B", "B=A")
LIKE_A_CHOICE = re.compile(r"\b[ABC]\b|^([abc]|[Tt]ie)$")
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
    """Return the one score in double brackets, or None and the reason why there is none."""
    score, reason = parse_verdict(reply, "score", LIKE_A_SCORE, read_score)
    if score is not None and not MIN_SCORE <= score <= MAX_SCORE:
        return None, f"a score that is not from {MIN_SCORE} to {MAX_SCORE}"
    return score, reason


def read_score(text: str) -> float | None:
    """Read a score such as 8, 8.5 or 8/10; None for a range and anything else."""
    match = SCORE.fullmatch(text)
    return float(match[1]) if match else None


def parse_choice(reply: JudgeReply) -> tuple[Choice | None, str]:
    """Return the one choice in double brackets (C: a tie), or None and the reason why there is none."""
    return parse_verdict(reply, "choice", LIKE_A_CHOICE, read_choice)


def read_choice(text: str) -> Choice | None:
    """Read a choice such as A, tie or A>B; None for anything else."""
    if text.replace(" ", "").upper() in TIES:
        return "C"
    match = CHOICE.fullmatch(text)
    letter = (match[1] or match["better"]).upper() if match else ""
    return next((choice for choice in get_args(Choice) if choice == letter), None)


def parse_verdict(
    reply: JudgeReply, kind: str, like_a_verdict: re.Pattern[str], read: Callable[[str], Verdict | None]
) -> tuple[Verdict | None, str]:
    """Return the one verdict of a reply, or None and the reason why there is none.

    Verdicts in quotations (of the question, of the prompt) count only where there are no others.
    """
    if reply.error:
        return None, reply.error
    text = reply.text.translate(FULL_WIDTH)
    found = list_verdicts(QUOTED.sub("", text), like_a_verdict) or list_verdicts(text, like_a_verdict)
    verdicts = {read(verdict) for verdict in found}
    if not verdicts:
        return None, f"no {kind} in double brackets"
    if len(verdicts) > 1:
        return None, f"several different {kind}s in double brackets"
    [verdict] = verdicts
    return verdict, "" if verdict is not None else f"double brackets that hold no single {kind}"


def list_verdicts(text: str, like_a_verdict: re.Pattern[str]) -> list[str]:
    """List what is in double brackets and looks like a verdict: not `[[rating]]`, nor a wiki's `[[link]]`."""
    return [found.strip(MARKUP) for found in BRACKETS.findall(text) if like_a_verdict.search(found.strip(MARKUP))]


def is_answered(turns: Sequence[Turn], number: int) -> bool:
    """Whether a conversation has a reply to its turn of that number (from 1)."""
    return len(turns) >= number and turns[number - 1]["finish_reason"] not in UNANSWERED


def count_statuses(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Count the rows of JUDGMENT or PAIRING by status."""
    return {status: sum(row["status"] == status for row in rows) for status in STATUSES}


def judging_status(rows: Sequence[dict[str, Any]], stage: str, model: str = "") -> tuple[Status, str | None]:
    """Return the status of rows of JUDGMENT or PAIRING and why it is not `ok`; log unusable replies.

    `model` is that whose replies were judged, if it is one.
    Raises UserError when there are replies to judge and not one of the judge's replies could be parsed.
    """
    name = model or stage
    asked = [row for row in rows if row["status"] != "unanswered"]
    if rows and not asked:
        return "failed", "there is no reply to judge"
    failed = [row for row in asked if row["status"] == "failed"]
    if not failed:
        return "ok", None
    [(cause, count)] = Counter(row["reason"] for row in failed).most_common(1)
    example = find_example(failed)
    if len(failed) == len(asked):
        raise UserError(f"{name}: no reply of the judge could be parsed: {cause}{example}; can this model judge?")
    reason = f"{len(failed)} of {len(asked)} judge replies are unusable, {count} of them because: {cause}"
    status = status_by_missing(len(failed), len(asked))
    log_line(f"{name}: {reason}{example}; status {status}")
    if any(not row["text"] for row in failed):
        log_line(f"`dvc repro --force --single-item {stage}` asks the judge again for the replies that it did not give")
    return status, None if status == "ok" else reason


def find_example(failed: Sequence[dict[str, Any]]) -> str:
    """Quote the first text that could not be parsed, for the end of a message; empty when there is no text."""
    texts = (" ".join(row["text"].split())[:EXAMPLE_CHARS] for row in failed if row["text"].strip())
    return next((f" (such as {text!r})" for text in texts), "")
