"""How scores grow with the number of conversations that a run is trained on (paper, sec. 3.2, Fig. 2)."""

from itertools import groupby
from math import fsum, log2

from stages.lib.comparison.evaluations import Evaluations
from stages.lib.comparison.fine_tunes import FineTune, join_label
from stages.lib.comparison.scores import to_cell
from stages.lib.core.types import Json

Design = tuple[str, list[tuple[str, float]], str]  # base, weights and extras


def compare_sizes(evaluations: Evaluations, runs: list[FineTune]) -> list[Json]:
    """Compare runs that differ only in how many conversations of their DGMs they take, where there are two sizes."""
    groups = []
    for _, group in groupby(sorted(runs, key=lambda run: (_design(run), run.rows, run.id)), key=_design):
        family = [run for run in group if run.rows]
        if len({run.rows for run in family}) > 1:
            groups.append(describe_family(family, evaluations))
    return groups


def _design(run: FineTune) -> Design:
    return run.base, sorted(run.weights.items()), run.extras


def describe_family(family: list[FineTune], evaluations: Evaluations) -> Json:
    """Describe runs of one design: their sizes, and a curve for every measure."""
    first = family[0]
    return {
        "label": join_label(f"{first.base} : {first.dgms_label}", first.extras),
        "base": first.base,
        "dgms": sorted(first.weights),
        "besides": first.extras,
        "runs": {run.id: run.rows for run in family},
        "curves": {name: fit_curve(name, family, evaluations) for name in evaluations.measures},
    }


def fit_curve(name: str, family: list[FineTune], evaluations: Evaluations) -> Json:
    """Return a measure by run, and its slope per doubling of the conversations: least squares, for two sizes or more.

    The slope is a weighted sum of the scores, so its interval is that of a contrast: the noise of the rows (and of the
    seeds, where a run has several), not the distance of the points from the line.
    """
    points = {run.id: evaluations.score(run.id, name) for run in family}
    doublings = {run.id: log2(run.rows) for run in family if points[run.id]}
    slope = None
    if len(set(doublings.values())) > 1:
        middle = fsum(doublings.values()) / len(doublings)
        squares = fsum((x - middle) ** 2 for x in doublings.values())
        slope = evaluations.contrast(name, {run: (x - middle) / squares for run, x in doublings.items()})
    return {
        "points": {run: to_cell(score) for run, score in points.items()},
        "per_doubling": to_cell(slope) if slope else None,
    }
