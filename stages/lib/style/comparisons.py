"""Comparisons of style: every two models, and every DGM with the runs that were trained on it (paper, sec. 3.2)."""

from collections.abc import Collection, Mapping
from itertools import permutations

import numpy as np

from stages.lib.core.types import Floats, Json
from stages.lib.statistics.bootstrap import Bootstrap
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
    grid: StyleGrid, responses: Collection[str], runs: Mapping[str, Json], bootstrap: Bootstrap
) -> list[Json]:
    """Compare every DGM with every compared run that was trained on it; `runs` are those of metrics/recipes.json.

    Of a DGM that is not compared itself there are only its `responses` to the prompts: it has nothing in common with
    the run, so that there is no ratio and no inheritance.
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
                why = f"{dgm} is not compared: it answered the prompts, and {run} the questions"
                comparisons.append({**names, "on": "responses", **nothing_in_common(why)})
    return comparisons


def compare_on_answers(grid: StyleGrid, dgm: str, run: str, base: str, bootstrap: Bootstrap) -> Json:
    """Compare a run with its DGM, and with the base that it was before, on the questions that they answered."""
    tuned, taught = grid.values[run], grid.values[dgm]
    turns = count_shared_turns(tuned, taught)
    compared: Json = {"turns": turns, "inheritance": None, "why_not": ""}
    if not turns:
        return nothing_in_common("they answered no question in common")
    compared |= compare_ratios(tuned, taught, bootstrap)
    if base not in grid.values:
        return compared | {"why_not": f"its base {base} is not compared"}
    if not count_shared_turns(tuned, taught, grid.values[base]):
        return compared | {"why_not": f"its base {base} answered none of the questions"}
    return compared | compare_inheritance(tuned, taught, grid.values[base], bootstrap)


def nothing_in_common(why: str) -> Json:
    """Describe a run and a DGM that answered nothing in common: no ratio and no inheritance."""
    described = describe_ratios(NOTHING, NOTHING)
    return {
        "turns": 0,
        "inheritance": None,
        "why_not": why,
        **described,
        **{name: {"value": described[name], "ci95": None} for name in ("mean", "median", "factor")},
    }


def count_shared_turns(*models: Floats) -> int:
    """Count the turns that all the models answered."""
    return int(np.isfinite(keep_shared_turns(*models)[0][:, 0]).sum())
