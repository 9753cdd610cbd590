"""The order of DGMs that a base model's scores predict, beside the order of the fine-tunes on each DGM alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import atanh, sqrt, tanh

from scipy.stats import norm, spearmanr

from stages.lib.core.types import Json

LEAST_POINTS = 8  # for a rank correlation


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the scores of a base model say of a DGM, and how good the fine-tune on that DGM alone is."""

    dgm: str
    run: str
    ratio: Json  # value and ci95
    score: Json  # value and ci95, of the average


def match_outcomes(suitability: Json, base: str, runs: Mapping[str, Json], scores: Mapping[str, Json]) -> list[Outcome]:
    """Pair each DGM with the compared fine-tune of a base model on it alone, the best predicted first.

    `suitability` is metrics/suitability/<base>.json, `runs` those of metrics/recipes.json, `scores` the averages of
    compared models. Of several such fine-tunes of one DGM, which differ in size, those of the size that most DGMs have
    are taken, of equal sizes the largest.
    """
    single = {
        run: (name, source["take"].get("rows", 0))
        for run, recipe in runs.items()
        for name, source in recipe["sources"].items()
        if recipe["base"] == base and len(recipe["sources"]) == 1 and source["kind"] == "dgm" and run in scores
    }
    sizes = [rows for _, rows in single.values()]
    size = max(sizes, key=lambda rows: (sizes.count(rows), rows), default=0)
    outcomes = [
        Outcome(dgm, run, suitability["dgms"][dgm]["ratio"], scores[run])
        for run, (dgm, rows) in single.items()
        if rows == size and suitability["dgms"].get(dgm, {"ratio": {"value": None}})["ratio"]["value"] is not None
    ]
    return sorted(outcomes, key=lambda outcome: (outcome.ratio["value"], outcome.run))


def correlate(outcomes: Sequence[Outcome]) -> Json | None:
    """Return Spearman's correlation of prediction and outcome, None below LEAST_POINTS: 1 where they agree.

    A lower ratio predicts a better fine-tune, so the sign is turned. The interval is Fisher's, with the standard error
    for ranks of Bonett and Wright 2000 (Psychometrika 65): sqrt((1 + r² / 2) / (n - 3)).
    """
    if len(outcomes) < LEAST_POINTS:
        return None
    r = float(spearmanr([-each.ratio["value"] for each in outcomes], [each.score["value"] for each in outcomes])[0])
    if abs(r) >= 1:
        return {"value": r, "ci95": None, "points": len(outcomes)}
    half_width = float(norm.ppf(0.975)) * sqrt((1 + r**2 / 2) / (len(outcomes) - 3))
    ends = [tanh(atanh(r) - half_width), tanh(atanh(r) + half_width)]
    return {"value": r, "ci95": ends, "points": len(outcomes)}
