"""Whether fine-tunes inherit the strengths of their DGMs: two DGMs and the fine-tunes on them (paper, sec. 3.2)."""

from collections.abc import Iterable
from enum import StrEnum
from itertools import combinations

from scipy.stats import binomtest

from stages.lib.comparison.fine_tunes import FineTune
from stages.lib.comparison.scores import ModelScores, list_benchmarks, subtract, to_cell
from stages.lib.core.types import Json


class Outcome(StrEnum):
    """Whether two fine-tunes differ on a benchmark in the direction in which their DGMs do."""

    AGREE = "agree"
    DISAGREE = "disagree"
    TIE = "tie"  # the DGMs or the fine-tunes do not differ
    MISSING = "missing"  # one of the four has no score


def compare_agreement(scores: dict[str, ModelScores], runs: list[FineTune]) -> Json:
    """Compare every two DGMs that have a fine-tune on them alone with these fine-tunes, and count the outcomes.

    Only fine-tunes of one base on as many conversations, without extras, are compared. `left_out` says of the other
    DGMs why no pair has them.
    """
    single = sorted((run for run in runs if run.only_dgm and not run.extras), key=lambda run: (run.only_dgm, run.id))
    pairs = [
        compare_pair(one, other, scores)
        for one, other in combinations([run for run in single if run.only_dgm in scores], 2)
        if one.only_dgm != other.only_dgm and (one.base, one.take) == (other.base, other.take)
    ]
    paired = {dgm for pair in pairs for dgm in pair["dgms"]}
    left_out = {run.only_dgm: "not in compare" for run in single if run.only_dgm not in scores}
    left_out |= {
        run.only_dgm: "no other compared DGM has a fine-tune of the same base on as many conversations"
        for run in single
        if run.only_dgm in scores and run.only_dgm not in paired
    }
    cells = [cell for pair in pairs for cell in pair["cells"].values()]
    return {"pairs": pairs, "left_out": left_out, **count_outcomes(cells)}


def compare_pair(one: FineTune, other: FineTune, scores: dict[str, ModelScores]) -> Json:
    """Compare two DGMs and the fine-tunes on them, benchmark by benchmark."""
    models = (one.only_dgm, other.only_dgm, one.id, other.id)
    cells = {name: compare_benchmark(name, models, scores) for name in list_benchmarks(scores[key] for key in models)}
    return {
        "dgms": [one.only_dgm, other.only_dgm],
        "runs": [one.id, other.id],
        "base": one.base,
        "rows": [one.rows, other.rows],
        "cells": cells,
        **count_outcomes(cells.values()),
    }


def compare_benchmark(name: str, models: tuple[str, str, str, str], scores: dict[str, ModelScores]) -> Json:
    """Compare two DGMs and two fine-tunes (`models`, in this order) on one benchmark."""
    missing = [model for model in models if name not in scores[model].benchmarks]
    if missing:
        return {
            "outcome": Outcome.MISSING,
            "missing": missing,
            "dgms": to_cell(None),
            "runs": to_cell(None),
            "beyond_noise": False,
        }
    dgm_one, dgm_other, run_one, run_other = (scores[model].benchmarks[name] for model in models)
    dgms, runs = subtract(dgm_one, dgm_other), subtract(run_one, run_other)
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
    ci95 = binomtest(agree, decided).proportion_ci(0.95, method="exact") if decided else None
    return {
        **counts,
        "beyond_noise": len(clear),
        "beyond_noise_agree": clear.count(Outcome.AGREE),
        "rate": agree / decided if decided else None,
        "ci95": [float(ci95.low), float(ci95.high)] if ci95 else None,
        "rate_ties_disagree": agree / with_ties if with_ties else None,
    }
