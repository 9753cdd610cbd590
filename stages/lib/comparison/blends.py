"""Runs on several DGMs compared with the runs on each of them alone (paper, App. D)."""

from stages.lib.comparison.fine_tunes import FineTune
from stages.lib.comparison.scores import ModelScores, combine, list_measures, subtract, to_cell
from stages.lib.core.types import Json


def compare_blends(scores: dict[str, ModelScores], runs: list[FineTune]) -> Json:
    """Compare each run on several DGMs with the runs on each of them alone, all else and the total being equal.

    `left_out` says of the other blends which runs are lacking.
    """
    runs = sorted(runs, key=lambda run: run.id)
    single = {(run.base, run.extras, run.take, run.only_dgm): run for run in runs if run.only_dgm}
    compared, left_out = {}, {}
    for run in (run for run in runs if len(run.weights) > 1):
        parts = {dgm: single.get((run.base, run.extras, run.take, dgm)) for dgm in sorted(run.weights)}
        missing = [dgm for dgm, part in parts.items() if part is None]
        if missing:
            left_out[run.id] = f"no compared run is alike but on {' or '.join(missing)} alone"
        else:
            compared[run.id] = compare_blend(run, {dgm: part.id for dgm, part in parts.items() if part}, scores)
    return {"runs": compared, "left_out": left_out}


def compare_blend(run: FineTune, parts: dict[str, str], scores: dict[str, ModelScores]) -> Json:
    """Compare one blend with its parts; `parts` names the run on each of its DGMs alone."""
    cells = {name: compare_measure(name, run, parts, scores) for name in list_measures(scores.values())}
    return {"base": run.base, "besides": run.extras, "rows": run.rows, "parts": parts, "cells": cells}


def compare_measure(name: str, run: FineTune, parts: dict[str, str], scores: dict[str, ModelScores]) -> Json:
    """Compare a blend's score with the mean of its parts, by the blend's weights, and with the best of them.

    The mean is null when a part has no score.
    """
    own = scores[run.id].all.get(name)
    known = {part: score for part in parts.values() if (score := scores[part].all.get(name))}
    mean = None
    if len(known) == len(parts):
        mean = combine([(weight, known[parts[dgm]]) for dgm, weight in run.weights.items()])
    best = max(sorted(known), key=lambda part: known[part].value) if known else None
    return {
        "blend": to_cell(own),
        "mean": to_cell(mean),
        "best": {"run": best, **to_cell(known[best] if best else None)},
        "difference": to_cell(subtract(own, mean) if own and mean else None),
    }
