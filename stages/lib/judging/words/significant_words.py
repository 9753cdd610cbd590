"""The words that differ significantly between the judgments of two sides, from rows of `run_exact_tests`."""

from collections.abc import Iterable

from stages.lib.core.types import Json
from stages.lib.judging.words.negation import NEGATED

MAX_Q = 0.05  # words with a larger q do not differ beyond chance


def word_label(row: Json) -> str:
    """Return a tested word as people read it, with `not` before it if it is negated."""
    return (NEGATED if row["negated"] else "") + str(row["word"])


def split_by_side(words: Iterable[Json], one: str, other: str) -> tuple[list[Json], list[Json]]:
    """Split the words that differ beyond chance by the side that has more of them, in their order.

    `one` and `other` are the columns that count the judgments of one side only.
    """
    significant = [row for row in words if row["q"] <= MAX_Q]
    return (
        [row for row in significant if row[one] > row[other]],
        [row for row in significant if row[one] < row[other]],
    )


def summarize_words(words: Iterable[Json], sides: tuple[str, str], num_words: int) -> Json:
    """Count the tested and the significant words, and name the first `num_words` significant ones of each side."""
    rows = list(words)
    by_side = split_by_side(rows, "only_one", "only_other")
    significant = [row for side in by_side for row in side]
    return {
        "tested": len(rows),
        "different": len(significant),
        "negated": sum(row["negated"] for row in significant),
        "words": {
            side: [word_label(row) for row in words[:num_words]] for side, words in zip(sides, by_side, strict=True)
        },
    }
