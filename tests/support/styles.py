"""Answers in plain prose and in rich Markdown, and their features."""

from typing import Any

from stages.lib.style.features import FeatureCounts, count_answers

PLAIN = ("Yes.", "No, it is not so.", "It depends on what you mean.", "Perhaps.", "Of course it is.")
RICH = ("# Yes\n\n- **so**", "**No**\n\n- a\n- b", "## It\n\n*depends*", "**Perhaps**", "# A\n\n- **b**\n- *c*")


def turn_of(text: str, finish_reason: str = "stop") -> dict[str, Any]:
    return {"user": "?", "assistant": text, "finish_reason": finish_reason}


def count_texts(*texts: str, first: int = 0) -> FeatureCounts:
    """As many questions of two turns: the second turn's answer is the next question's first."""
    pairs = zip(texts, texts[1:] + texts[:1], strict=True)
    rows = [{"id": number, "turns": [turn_of(one), turn_of(other)]} for number, (one, other) in enumerate(pairs, first)]
    return count_answers(rows, "id", "commonmark")
