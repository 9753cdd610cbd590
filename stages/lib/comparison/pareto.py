"""The Pareto set: of things that cost and are good for something, those that no other beats."""

from collections.abc import Mapping
from math import inf
from typing import NamedTuple

from stages.lib.comparison.scores import Score


class Point(NamedTuple):
    """What something costs, the less the better, and how good it is, the more the better."""

    cost: Score
    quality: Score


class Membership(NamedTuple):
    """Whether a point is in the set, and whether it stays so wherever in its interval each value is."""

    is_in: bool
    is_certain: bool


def find_pareto_set(points: Mapping[str, Point]) -> dict[str, Membership]:
    """Tell of each point whether it is in the Pareto set: none of the others beats it."""
    return {
        name: find_membership(point, [other for key, other in points.items() if key != name])
        for name, point in points.items()
    }


def find_membership(point: Point, others: list[Point]) -> Membership:
    """Tell whether a point is in the Pareto set of it and some others.

    It is certain to be in if the intervals let none beat it, and to be out if one beats it whatever the intervals.
    """
    is_in = not any(beats(other, point) for other in others)
    if is_in:
        return Membership(is_in, is_certain=not any(may_beat(other, point) for other in others))
    return Membership(is_in, is_certain=any(surely_beats(other, point) for other in others))


def beats(one: Point, other: Point) -> bool:
    """Tell whether a point is at least as cheap and as good as another, and not equal to it in both."""
    is_no_worse = one.cost.value <= other.cost.value and one.quality.value >= other.quality.value
    return is_no_worse and (one.cost.value, one.quality.value) != (other.cost.value, other.quality.value)


def may_beat(one: Point, other: Point) -> bool:
    """Tell whether it is so for some values in the intervals."""
    is_cheap = ends(one.cost)[0] <= ends(other.cost)[1]
    return is_cheap and ends(one.quality)[1] >= ends(other.quality)[0]


def surely_beats(one: Point, other: Point) -> bool:
    """Tell whether it is so for all values in the intervals."""
    is_cheaper = ends(one.cost)[1] < ends(other.cost)[0]
    return is_cheaper and ends(one.quality)[0] > ends(other.quality)[1]


def ends(score: Score) -> tuple[float, float]:
    """Return the ends of a score's 95 % interval; without one, it may be anything."""
    interval = score.ci95
    return (interval[0], interval[1]) if interval else (-inf, inf)
