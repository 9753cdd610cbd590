"""When a judge has seen enough of two models: the verdict on a pair after each of its questions.

A question is one number: its turns and both orders together, 1 where the first model is preferred, 0 where the second
is, and a half for a tie. The questions are asked in an order that their content does not decide, so their mean so far
says what questions of this kind say in general, and the intervals hold whenever one stops (`statistics.betting`).
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from stages.lib.core.types import Floats, Ints, Row
from stages.lib.records.pairings import TIE
from stages.lib.statistics.betting import log_capitals
from stages.lib.statistics.verdicts import Verdict

EVEN = 0.5  # the share that two equal models win
NEVER = np.iinfo(np.int64).max


class Outcome(NamedTuple):
    """What the judge says of two models on one question: means over its turns that have a choice in both orders."""

    share: float  # won by the first model, ties as halves
    won: float
    lost: float


class Rule(NamedTuple):
    """When a pair is decided."""

    alpha: float  # the chance that its verdict is wrong
    margin: float  # of the share: within it the models are equivalent


def average_turns(rows: Iterable[Row]) -> Outcome | None:
    """Average rows of PAIRING of one pair and question; None without a turn that has a choice in both orders.

    A turn on which the orders disagree is a tie (FastChat's rule).
    """
    winners: dict[int, list[str]] = {}
    for row in rows:
        if row["status"] == "ok":
            winners.setdefault(row["turn"], []).append(row["winner"])
        one, other = row["one"], row["other"]
    turns = [names[0] if names[0] == names[1] else TIE for names in winners.values() if len(names) == 2]
    if not turns:
        return None
    won, lost = (turns.count(model) / len(turns) for model in (one, other))
    return Outcome((1 + won - lost) / 2, won, lost)


def first_decisions(shares: Floats, rule: Rule, total: int | None = None) -> dict[Verdict, Ints]:
    """Return after how many questions of [..., time] each verdict holds, or NEVER.

    Better and worse: the interval of the share lies beyond a half. Equivalent: it lies within the margin of a half.
    `total` is the number of all questions if the verdict is on these alone.
    """
    limit = np.log(2 / rule.alpha)
    is_more, is_less = (each >= limit for each in log_capitals(shares, EVEN, rule.alpha, total))
    not_far_below = log_capitals(shares, EVEN - rule.margin, rule.alpha, total)[0] >= limit
    not_far_above = log_capitals(shares, EVEN + rule.margin, rule.alpha, total)[1] >= limit
    return {
        Verdict.BETTER: _find_first(is_more),
        Verdict.WORSE: _find_first(is_less),
        Verdict.EQUIVALENT: np.maximum(_find_first(not_far_below), _find_first(not_far_above)),
    }


def _find_first(holds: Floats) -> Ints:
    """Return the number of values up to the first that is true along the last axis, or NEVER."""
    if not holds.shape[-1]:
        return np.full(holds.shape[:-1], NEVER)
    return np.where(holds.any(axis=-1), holds.argmax(axis=-1) + 1, NEVER).astype(np.int64)


def verdict_after(num: int, first: Mapping[Verdict, int]) -> Verdict:
    """Return the verdict after so many questions; equivalent comes first, as everywhere (`statistics.verdicts`)."""
    if first[Verdict.EQUIVALENT] <= num:
        return Verdict.EQUIVALENT
    earliest = min((Verdict.BETTER, Verdict.WORSE), key=lambda verdict: first[verdict])
    return earliest if first[earliest] <= num else Verdict.NOT_DECIDED


def decide_pair(shares: Floats, rule: Rule) -> Verdict:
    """Return the verdict on a pair after the shares of its questions so far."""
    return verdict_after(len(shares), {verdict: int(first) for verdict, first in first_decisions(shares, rule).items()})
