"""Keep or drop each conversation, with reasons (paper, App. F). Never fails on content: that is the gate's work.

In:  data/responses/<dgm>/
Out: data/verdicts/<dgm>/
"""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field

from stages.lib.conversation import VERDICT, Turn
from stages.lib.params import Section, load
from stages.lib.shards import new_folder, read_table, write_json, write_table
from stages.lib.shell import progress, run

LONGEST_PERIOD = 200  # characters; one pass over real answers with it flagged 0.7 % of them


class Validate(Section):
    """The section `validate`."""

    finish_reasons: list[str]  # with which a reply may end
    min_chars: int = Field(ge=0)
    max_loop_chars: int = Field(gt=0)
    topic_letters: int = Field(ge=0)  # length from which a word counts for `off_topic`; 0: not checked


def loop_chars(text: str) -> int:
    """How many characters at the end of a text repeat the same piece of at most LONGEST_PERIOD characters."""
    longest = 0
    for period in range(1, min(LONGEST_PERIOD, len(text) // 2) + 1):
        length = period
        while length < len(text) and text[-length - 1] == text[-length - 1 + period]:
            length += 1
        if length >= 2 * period:
            longest = max(longest, length)
    return longest


def turn_reasons(turn: Turn, validate: Validate) -> list[str]:
    """Why one reply cannot be kept."""
    reasons = []
    reply, finish = turn["assistant"], turn["finish_reason"]
    if finish not in (*validate.finish_reasons, "imported"):
        reasons.append(f"finish_{finish}")
    elif len(reply.strip()) < validate.min_chars:
        reasons.append("too_short")
    if loop_chars(reply) > validate.max_loop_chars:
        reasons.append("loop")
    if "\ufffd" in reply and "\ufffd" not in turn["user"]:
        reasons.append("broken_characters")
    return reasons


def off_topic(turns: list[Turn], letters: int) -> bool:
    """Whether some reply shares no word of so many letters with what the user had said by then."""
    said: set[str] = set()
    for turn in turns:
        said |= long_words(turn["user"], letters)
        if said and turn["assistant"] and not said & long_words(turn["assistant"], letters):
            return True
    return False


def long_words(text: str, letters: int) -> set[str]:
    """The different words of a text that have at least so many letters, in lower case."""
    return {word for word in re.findall(r"[^\W\d_]+", text.casefold()) if len(word) >= letters}


def verdict(row: dict[str, Any], validate: Validate) -> dict[str, Any]:
    """Judge one conversation: it is kept when no turn of it gives a reason against it."""
    reasons = {reason for turn in row["turns"] for reason in turn_reasons(turn, validate)}
    if validate.topic_letters and off_topic(row["turns"], validate.topic_letters):
        reasons.add("off_topic")
    if row["status"] != "ok":
        reasons.add(row["status"])
    return {
        "conversation_hash": row["conversation_hash"],
        "identity": row["identity"],
        "keep": not reasons,
        "reasons": sorted(reasons),
    }


def main(dgm: str) -> None:
    """Judge every conversation of one DGM."""
    validate = load("validate", Validate)
    responses = read_table(Path("data/responses") / dgm).to_pylist()
    verdicts = [verdict(row, validate) for row in progress(responses, desc=dgm, unit="conversations")]
    with new_folder(Path("data/verdicts") / dgm) as folder:
        write_table(folder, pa.Table.from_pylist(verdicts, schema=VERDICT))
        reasons = Counter(reason for row in verdicts for reason in row["reasons"])
        kept = sum(row["keep"] for row in verdicts)
        write_json(folder / "summary.json", {"conversations": len(verdicts), "kept": kept, "dropped_by": reasons})


if __name__ == "__main__":
    run(main)
