"""Runs on several DGMs compared with the runs on each of them alone (paper, App. D)."""

from stages.lib.comparison.evaluations import Evaluations
from stages.lib.comparison.fine_tunes import FineTune
from stages.lib.comparison.scores import to_cell
from stages.lib.core.types import Json


def compare_blends(evaluations: Evaluations, runs: list[FineTune]) -> Json:
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
            compared[run.id] = compare_blend(run, {dgm: part.id for dgm, part in parts.items() if part}, evaluations)
    return {"runs": compared, "left_out": left_out}


def compare_blend(run: FineTune, parts: dict[str, str], evaluations: Evaluations) -> Json:
    """Compare one blend with its parts; `parts` names the run on each of its DGMs alone."""
    cells = {name: compare_measure(name, run, parts, evaluations) for name in evaluations.measures}
    return {"base": run.base, "besides": run.extras, "rows": run.rows, "parts": parts, "cells": cells}


def compare_measure(name: str, run: FineTune, parts: dict[str, str], evaluations: Evaluations) -> Json:
    """Compare a blend's score with the mean of its parts, by the blend's weights, and with the best of them.

    The mean is null when a part has no score.
    """
    weights = {parts[dgm]: weight for dgm, weight in run.weights.items()}
    known = {part: score for part in parts.values() if (score := evaluations.score(part, name))}
    less_mean = {run.id: 1.0} | {part: -weight for part, weight in weights.items()}
    best = max(sorted(known), key=lambda part: known[part].value) if known else None
    return {
        "blend": to_cell(evaluations.score(run.id, name)),
        "mean": to_cell(evaluations.contrast(name, weights)),
        "best": {"run": best, **to_cell(known[best] if best else None)},
        "difference": to_cell(evaluations.contrast(name, less_mean)),
    }
