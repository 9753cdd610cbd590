"""How scores grow with the number of conversations that a run is trained on (paper, sec. 3.2, Fig. 2)."""

from itertools import groupby
from math import log2

from scipy.stats import linregress, t

from stages.lib.comparison.fine_tunes import FineTune, join_label
from stages.lib.comparison.scores import ModelScores, list_measures, to_cell
from stages.lib.core.types import Json

Design = tuple[str, list[tuple[str, float]], str]  # base, weights and extras


def compare_sizes(scores: dict[str, ModelScores], runs: list[FineTune]) -> list[Json]:
    """Compare runs that differ only in how many conversations of their DGMs they take, where there are two sizes."""
    groups = []
    for _, group in groupby(sorted(runs, key=lambda run: (_design(run), run.rows, run.id)), key=_design):
        family = [run for run in group if run.rows]
        if len({run.rows for run in family}) > 1:
            groups.append(describe_family(family, scores))
    return groups


def _design(run: FineTune) -> Design:
    return run.base, sorted(run.weights.items()), run.extras


def describe_family(family: list[FineTune], scores: dict[str, ModelScores]) -> Json:
    """Describe runs of one design: their sizes, and a curve for every measure."""
    first = family[0]
    return {
        "label": join_label(f"{first.base} : {first.dgms_label}", first.extras),
        "base": first.base,
        "dgms": sorted(first.weights),
        "besides": first.extras,
        "runs": {run.id: run.rows for run in family},
        "curves": {name: fit_curve(name, family, scores) for name in list_measures(scores.values())},
    }


def fit_curve(name: str, family: list[FineTune], scores: dict[str, ModelScores]) -> Json:
    """Return a measure by run, and its slope per doubling of the conversations: least squares, for three sizes or more.

    The interval of the slope is Student's, from the spread of the points about the line (scipy.stats.linregress).
    """
    points = {run.id: scores[run.id].all.get(name) for run in family}
    known = [(log2(run.rows), score.value) for run in family if (score := points[run.id])]
    slope = None
    if len({doublings for doublings, _ in known}) >= 3:
        fit = linregress([doublings for doublings, _ in known], [value for _, value in known])
        value, half_width = float(fit.slope), float(t.ppf(0.975, len(known) - 2) * fit.stderr)
        slope = {"value": value, "ci95": [value - half_width, value + half_width]}
    return {"points": {run: to_cell(score) for run, score in points.items()}, "per_doubling": slope}
