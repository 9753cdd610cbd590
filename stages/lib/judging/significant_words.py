"""Tested words that tell one side's judgments from the other's: rows of `exact_tests`, whatever their two sides are."""

from collections.abc import Iterable

from stages.lib.core.types import Json
from stages.lib.judging.negation import NOT

MAX_Q = 0.05  # the largest q of words that differ beyond chance


def word_label(row: Json) -> str:
    """A word as people read it."""
    return (NOT if row["negated"] else "") + str(row["word"])


def split_by_side(words: Iterable[Json], one: str, other: str) -> tuple[list[Json], list[Json]]:
    """The tested words that differ beyond chance: those that more judgments of `one` alone have, and of `other`.

    `one` and `other` are the columns that count these. The order stays, which has the surest first.
    """
    different = [row for row in words if row["q"] <= MAX_Q]
    return [row for row in different if row[one] > row[other]], [row for row in different if row[one] < row[other]]
