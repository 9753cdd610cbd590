"""Whether a difference is real, in words."""

from collections.abc import Sequence
from enum import StrEnum

from stages.lib.statistics.significance import ALPHA


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
