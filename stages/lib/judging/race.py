"""Which pairs of models are still asked about, in rounds, and why others are not; which models are the best k.

A model is among the best k of n as soon as it is better than n - k others, and is not as soon as k others are better
than it. The race ends where that is known of all; a pair of two models of which it is known is not asked further. All
verdicts together are wrong with a chance of at most alpha, each pair having an equal part of it (the union bound), and
so is the set of the best.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from stages.lib.core.pairs import Pair
from stages.lib.judging.sequential import Rule
from stages.lib.settings.pairwise import Stop
from stages.lib.statistics.verdicts import Verdict


class Why(StrEnum):
    """Why a pair is not asked further."""

    DECIDED = "decided"
    NOT_NEEDED = "not needed for the best"
    ALL_ASKED = "all questions asked"
    BUDGET_SPENT = "budget spent"


class Best(NamedTuple):
    """Which models are among the best k, which are not, and of which it is not known."""

    inside: list[str]
    outside: list[str]
    unknown: list[str]


def find_best(verdicts: Mapping[Pair, Verdict], top: int) -> Best:
    """Sort models by whether they are among the best `top`; `verdicts` are those on all pairs of them."""
    models = list(dict.fromkeys(model for pair in verdicts for model in pair))
    better = dict.fromkeys(models, 0)  # than how many others
    worse = dict.fromkeys(models, 0)
    for (one, other), verdict in verdicts.items():
        if verdict in {Verdict.BETTER, Verdict.WORSE}:
            winner, loser = (one, other) if verdict == Verdict.BETTER else (other, one)
            better[winner] += 1
            worse[loser] += 1
    inside = [model for model in models if better[model] >= len(models) - top]
    outside = [model for model in models if worse[model] >= top]
    if len(inside) == top:
        outside = [model for model in models if model not in inside]
    if len(outside) == len(models) - top:
        inside = [model for model in models if model not in outside]
    known = {*inside, *outside}
    return Best(inside, outside, [model for model in models if model not in known])


class Rounds:
    """The rounds in which pairs are asked about: the next questions of every pair that needs some, as far as they go.

    What is asked follows from the verdicts alone, so a larger budget asks the same and then more.
    """

    def __init__(self, pairs: Sequence[Pair], num_questions: int, stop: Stop) -> None:
        """`num_questions` are those of each pair."""
        self._num, self._stop = num_questions, stop
        self.asked = dict.fromkeys(pairs, 0)  # the number of questions of each pair
        self.verdicts = dict.fromkeys(pairs, Verdict.NOT_DECIDED)

    @property
    def rule(self) -> Rule:
        """The rule for each pair."""
        return Rule(self._stop.alpha / max(len(self.asked), 1), self._stop.margin)

    @property
    def best(self) -> Best | None:
        """The best models by the verdicts so far; None without a race."""
        return find_best(self.verdicts, self._stop.top) if self._stop.top else None

    def next_round(self) -> dict[Pair, range]:
        """Return the places of the questions to ask next, by pair, and count them as asked; empty when all is done."""
        pairs = self._list_open()
        num = self._stop.round
        if self._stop.max_questions and pairs:
            num = min(num, (self._stop.max_questions - sum(self.asked.values())) // len(pairs))
        if not num:
            return {}
        places = {pair: range(self.asked[pair], min(self.asked[pair] + num, self._num)) for pair in pairs}
        self.asked |= {pair: places[pair].stop for pair in pairs}
        return places

    def record(self, verdicts: Mapping[Pair, Verdict]) -> None:
        """Take note of the verdicts on the pairs of a round."""
        self.verdicts |= verdicts

    def describe(self) -> str:
        """Return a line for the screen on how far the rounds are."""
        decided = sum(verdict != Verdict.NOT_DECIDED for verdict in self.verdicts.values())
        line = f"{decided} of {len(self.asked)} pairs are decided after {sum(self.asked.values()):,} questions"
        return f"{line}, and {len(self.best.inside)} of the best {self._stop.top} are known" if self.best else line

    def explain(self) -> dict[Pair, Why]:
        """Return why each pair is not asked further, after the last round."""
        best = self.best
        return {pair: self._find_reason(pair, best) or Why.BUDGET_SPENT for pair in self.asked}

    def _list_open(self) -> list[Pair]:
        best = self.best
        return [pair for pair in self.asked if self._find_reason(pair, best) is None]

    def _find_reason(self, pair: Pair, best: Best | None) -> Why | None:
        """Return why a pair needs no further question, None where it does."""
        if self.verdicts[pair] != Verdict.NOT_DECIDED:
            return Why.DECIDED
        if self.asked[pair] >= self._num:
            return Why.ALL_ASKED
        if best and not are_unknown(pair, best.unknown):
            return Why.NOT_NEEDED
        return None


def are_unknown(pair: Pair, unknown: Iterable[str]) -> bool:
    """Whether it is not known of one of two models if it is among the best."""
    return not set(pair).isdisjoint(unknown)
