"""Comparisons of style: every two models, and every DGM with the runs that were trained on it (paper, sec. 3.2)."""

from collections.abc import Mapping
from itertools import permutations

import numpy as np

from stages.lib.core.bootstrap import Bootstrap
from stages.lib.core.types import Floats, Json
from stages.lib.style.features import StyleGrid
from stages.lib.style.inheritance import compare_inheritance
from stages.lib.style.markup import FEATURES
from stages.lib.style.ratios import compare_ratios, describe_ratios, keep_shared_turns

NOTHING = np.zeros(len(FEATURES))


def compare_pairs(grid: StyleGrid) -> dict[str, Json]:
    """Describe the ratios one / other of every two models on the turns that both answered."""
    pairs = {}
    for one, other in permutations(grid.values, 2):
        shared = keep_shared_turns(grid.values[one], grid.values[other])
        turns = int(np.isfinite(shared[0][:, 0]).sum())
        if turns:
            totals = (np.nansum(values, axis=0) for values in shared)
            pairs[f"{one} {other}"] = {"turns": turns, **describe_ratios(*totals)}
    return pairs


def compare_fine_tunes(
    grid: StyleGrid, responses: Mapping[str, Json], runs: Mapping[str, Json], bootstrap: Bootstrap
) -> list[Json]:
    """Compare every DGM with every compared run that was trained on it; `runs` are those of metrics/recipes.json.

    A DGM that is not compared itself is represented by its `responses` to the prompts: other questions, so that there
    is no interval and no inheritance.
    """
    comparisons = []
    for run, recipe in sorted(runs.items()):
        dgms = [name for name, source in recipe["sources"].items() if source["kind"] == "dgm"]
        for dgm in sorted(dgms) if run in grid.values else []:
            names = {"dgm": dgm, "run": run, "base": recipe["base"], "alone": len(recipe["sources"]) == 1}
            if dgm in grid.values:
                compared = compare_on_answers(grid, dgm, run, recipe["base"], bootstrap)
                comparisons.append({**names, "on": "answers", **compared})
            elif dgm in responses:
                compared = compare_on_responses(grid.values[run], dgm, responses[dgm])
                comparisons.append({**names, "on": "responses", **compared})
    return comparisons


def compare_on_answers(grid: StyleGrid, dgm: str, run: str, base: str, bootstrap: Bootstrap) -> Json:
    """Compare a run with its DGM, and with the base that it was before, on the questions that they answered."""
    tuned, taught = grid.values[run], grid.values[dgm]
    turns = count_shared_turns(tuned, taught)
    compared: Json = {"turns": turns, "inheritance": None, "why_not": ""}
    if not turns:
        return compared | {"why_not": "they answered no common question", **without_intervals(NOTHING, NOTHING)}
    compared |= compare_ratios(tuned, taught, bootstrap)
    if base not in grid.values:
        return compared | {"why_not": f"its base {base} is not compared"}
    if not count_shared_turns(tuned, taught, grid.values[base]):
        return compared | {"why_not": f"its base {base} answered none of the questions"}
    return compared | compare_inheritance(tuned, taught, grid.values[base], bootstrap)


def compare_on_responses(tuned: Floats, dgm: str, style: Json) -> Json:
    """Compare a run's answers with its DGM's responses to other questions, per answer."""
    is_answered = np.isfinite(tuned[:, 0])
    own = tuned[is_answered].mean(axis=0) if is_answered.any() else NOTHING
    other = np.array([style["features"][name]["mean"] or 0.0 for name in FEATURES])
    why_not = f"{dgm} is not compared: it did not answer the questions"
    return {"turns": 0, "inheritance": None, "why_not": why_not, **without_intervals(own, other)}


def without_intervals(own: Floats, other: Floats) -> Json:
    """Describe ratios for which no questions can be drawn."""
    described = describe_ratios(own, other)
    return described | {name: {"value": described[name], "ci95": None} for name in ("mean", "median", "factor")}


def count_shared_turns(*models: Floats) -> int:
    """Count the turns that all the models answered."""
    return int(np.isfinite(keep_shared_turns(*models)[0][:, 0]).sum())
