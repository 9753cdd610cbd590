"""Whether a difference is real, in words, and how many rows would decide it."""

from collections.abc import Sequence
from enum import StrEnum
from math import ceil

from stages.lib.core.significance import ALPHA, rows_to_detect, rows_to_equate


class Verdict(StrEnum):
    """What the rows say of the first of two models."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"  # the interval of the difference lies within the margin
    NOT_DECIDED = "not decided"


def decide(value: float, ci95: Sequence[float], q: float, margin: float) -> Verdict:
    """Return the verdict on a difference, by its interval, its q and the margin within which models are equivalent.

    Equivalent comes first: a difference that is real but within the margin decides nothing for who chooses a model.
    Two one-sided tests at 5 % would take the 90 % interval (Schuirmann 1987); that of 95 % asks for more.
    """
    low, high = ci95
    if max(abs(low), abs(high)) <= margin:
        return Verdict.EQUIVALENT
    if q <= ALPHA and not low <= 0 <= high:
        return Verdict.BETTER if value > 0 else Verdict.WORSE
    return Verdict.NOT_DECIDED


def rows_to_decide(value: float, deviation: float, margin: float) -> int:
    """Return how many rows would decide, with a power of 80 %, if the difference is as large as it was measured.

    They show the difference, or that it lies within the margin, whichever takes fewer; the correction for many tests,
    which may ask for more, is left out. `deviation` is that of the differences of rows (of clusters, where rows belong
    together).
    """
    to_differ = [rows_to_detect(value, deviation)] if value else []
    to_equate = [rows_to_equate(value, deviation, margin)] if abs(value) < margin else []
    return ceil(min(to_differ + to_equate))
