"""Whether fine-tunes inherit the strengths of their DGMs: two DGMs and the fine-tunes on them (paper, sec. 3.2)."""

from collections.abc import Iterable
from enum import StrEnum
from itertools import combinations

from stages.lib.comparison.evaluations import Evaluations
from stages.lib.comparison.fine_tunes import FineTune
from stages.lib.comparison.scores import list_benchmarks, to_cell
from stages.lib.core.types import Json
from stages.lib.statistics.intervals import share_interval


class Outcome(StrEnum):
    """Whether two fine-tunes differ on a benchmark in the direction in which their DGMs do."""

    AGREE = "agree"
    DISAGREE = "disagree"
    TIE = "tie"  # the DGMs or the fine-tunes do not differ
    MISSING = "missing"  # one of the four has no score


def compare_agreement(evaluations: Evaluations, runs: list[FineTune]) -> Json:
    """Compare every two DGMs that have a fine-tune on them alone with these fine-tunes, and count the outcomes.

    Only fine-tunes of one base on as many conversations, without extras, are compared. `left_out` says of the other
    DGMs why no pair has them.
    """
    single = sorted((run for run in runs if run.only_dgm and not run.extras), key=lambda run: (run.only_dgm, run.id))
    pairs = [
        compare_pair(one, other, evaluations)
        for one, other in combinations([run for run in single if run.only_dgm in evaluations.scores], 2)
        if one.only_dgm != other.only_dgm and (one.base, one.take) == (other.base, other.take)
    ]
    paired = {dgm for pair in pairs for dgm in pair["dgms"]}
    left_out = {run.only_dgm: "not in compare" for run in single if run.only_dgm not in evaluations.scores}
    left_out |= {
        run.only_dgm: "no other compared DGM has a fine-tune of the same base on as many conversations"
        for run in single
        if run.only_dgm in evaluations.scores and run.only_dgm not in paired
    }
    cells = [cell for pair in pairs for cell in pair["cells"].values()]
    return {"pairs": pairs, "left_out": left_out, **count_outcomes(cells)}


def compare_pair(one: FineTune, other: FineTune, evaluations: Evaluations) -> Json:
    """Compare two DGMs and the fine-tunes on them, benchmark by benchmark."""
    models = (one.only_dgm, other.only_dgm, one.id, other.id)
    names = list_benchmarks(evaluations.scores[key] for key in models)
    cells = {name: compare_benchmark(name, models, evaluations) for name in names}
    return {
        "dgms": [one.only_dgm, other.only_dgm],
        "runs": [one.id, other.id],
        "base": one.base,
        "rows": [one.rows, other.rows],
        "cells": cells,
        **count_outcomes(cells.values()),
    }


def compare_benchmark(name: str, models: tuple[str, str, str, str], evaluations: Evaluations) -> Json:
    """Compare two DGMs and two fine-tunes (`models`, in this order) on one benchmark."""
    missing = [model for model in models if not evaluations.has(model, name)]
    if missing:
        return {
            "outcome": Outcome.MISSING,
            "missing": missing,
            "dgms": to_cell(None),
            "runs": to_cell(None),
            "beyond_noise": False,
        }
    dgm_one, dgm_other, run_one, run_other = models
    dgms = evaluations.contrast(name, {dgm_one: 1, dgm_other: -1})
    runs = evaluations.contrast(name, {run_one: 1, run_other: -1})
    assert dgms and runs, "all four have a score"
    direction = Outcome.AGREE if dgms.sign == runs.sign else Outcome.DISAGREE
    return {
        "outcome": direction if dgms.sign and runs.sign else Outcome.TIE,
        "missing": [],
        "dgms": to_cell(dgms),
        "runs": to_cell(runs),
        "beyond_noise": dgms.is_clear and runs.is_clear,
    }


def count_outcomes(cells: Iterable[Json]) -> Json:
    """Count outcomes, and compute the rate of agreement, agree / (agree + disagree), with its exact interval.

    `rate_ties_disagree` is the paper's rule: whatever does not agree disagrees. The interval is that of Clopper and
    Pearson (scipy), and takes the comparisons as independent.
    """
    compared = list(cells)
    counts = {outcome.value: sum(cell["outcome"] == outcome for cell in compared) for outcome in Outcome}
    clear = [cell["outcome"] for cell in compared if cell["beyond_noise"]]
    agree, decided = counts[Outcome.AGREE], counts[Outcome.AGREE] + counts[Outcome.DISAGREE]
    with_ties = decided + counts[Outcome.TIE]
    return {
        **counts,
        "beyond_noise": len(clear),
        "beyond_noise_agree": clear.count(Outcome.AGREE),
        "rate": agree / decided if decided else None,
        "ci95": share_interval(agree, decided),
        "rate_ties_disagree": agree / with_ties if with_ties else None,
    }
