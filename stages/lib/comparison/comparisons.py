"""Comparisons of models by their benchmarks: agreement, scaling, blends, on-policy (paper, sec. 3.2, App. B, D).

Averages and intervals are those of stages/lib/evaluation/scores.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations, groupby
from math import log2
from typing import Any

from scipy.stats import binomtest, linregress, t

from stages.lib.core.types import Json
from stages.lib.evaluation.scores import Scores, combine, difference, mean, shown


@dataclass(frozen=True)
class FineTune:
    """A fine-tune, and what it learned from."""

    id: str
    base: str
    weights: dict[str, float]  # DGM: share of the conversations
    extras: str  # auxiliary sets and the reference of its replies' length; empty: none
    take: int  # DGM conversations that its recipe takes
    rows: int  # and that are in its mix, without those dropped as duplicates and the like

    @property
    def dgms_text(self) -> str:
        """Its DGMs in words, with their shares where these are not equal."""
        equal = len(set(self.weights.values())) == 1
        return " + ".join(name if equal else f"{share:g} {name}" for name, share in sorted(self.weights.items()))

    @property
    def dgm(self) -> str:
        """The DGM when it learned from one alone, else empty."""
        return next(iter(self.weights)) if len(self.weights) == 1 else ""


def names_of(scores: Iterable[Scores]) -> list[str]:
    """The names of all averages, then of all benchmarks."""
    known = list(scores)
    return sorted({name for one in known for name in one.averages}) + benchmarks_of(known)


def benchmarks_of(scores: Iterable[Scores]) -> list[str]:
    """The names of all benchmarks, failed ones too."""
    return sorted({name for one in scores for name in (*one.benchmarks, *one.missing)})


def label(*parts: str) -> str:
    """What a comparison is of, in words."""
    return ", ".join(filter(None, parts))


def agreement(scores: dict[str, Scores], runs: list[FineTune]) -> Json:
    """Do fine-tunes inherit the strengths of their DGMs (sec. 3.2)? For each two DGMs with a fine-tune on them alone.

    Only fine-tunes of one base on as many conversations, with nothing besides, are compared. `left_out` says of the
    other DGMs why no pair has them.
    """
    alone = sorted((run for run in runs if run.dgm and not run.extras), key=lambda run: (run.dgm, run.id))
    pairs = [
        pair(one, other, scores)
        for one, other in combinations([run for run in alone if run.dgm in scores], 2)
        if one.dgm != other.dgm and (one.base, one.take) == (other.base, other.take)
    ]
    paired = {dgm for found in pairs for dgm in found["dgms"]}
    left_out = {run.dgm: "not in compare" for run in alone if run.dgm not in scores}
    left_out |= {
        run.dgm: "no other compared DGM has a fine-tune of the same base on as many conversations"
        for run in alone
        if run.dgm in scores and run.dgm not in paired
    }
    return {"pairs": pairs, "left_out": left_out, **tally(cell for found in pairs for cell in found["cells"].values())}


def pair(one: FineTune, other: FineTune, scores: dict[str, Scores]) -> Json:
    """Two DGMs and the fine-tunes on them, benchmark by benchmark."""
    models = (one.dgm, other.dgm, one.id, other.id)
    cells = {name: agree(name, models, scores) for name in benchmarks_of(scores[model] for model in models)}
    return {
        "dgms": [one.dgm, other.dgm],
        "runs": [one.id, other.id],
        "base": one.base,
        "rows": [one.rows, other.rows],
        "cells": cells,
        **tally(cells.values()),
    }


def agree(name: str, models: tuple[str, str, str, str], scores: dict[str, Scores]) -> Json:
    """One benchmark of two DGMs and two fine-tunes: agree, disagree, tie or missing, and whether beyond chance."""
    absent = [model for model in models if name not in scores[model].benchmarks]
    if absent:
        return {
            "outcome": "missing",
            "missing": absent,
            "dgms": shown(None),
            "runs": shown(None),
            "beyond_noise": False,
        }
    dgm_one, dgm_other, run_one, run_other = (scores[model].benchmarks[name] for model in models)
    dgms, runs = difference(dgm_one, dgm_other), difference(run_one, run_other)
    same = "agree" if dgms.sign == runs.sign else "disagree"
    return {
        "outcome": same if dgms.sign and runs.sign else "tie",
        "missing": [],
        "dgms": shown(dgms),
        "runs": shown(runs),
        "beyond_noise": dgms.is_clear and runs.is_clear,
    }


def tally(cells: Iterable[Json]) -> Json:
    """Counts of outcomes, and the rate of agreement, agree / (agree + disagree), with its exact interval.

    `rate_ties_disagree` is the paper's rule: whatever does not agree disagrees. The interval is that of Clopper and
    Pearson (scipy), and takes the comparisons as independent.
    """
    found = list(cells)
    counts = {name: sum(cell["outcome"] == name for cell in found) for name in ("agree", "disagree", "tie", "missing")}
    clear = [cell["outcome"] for cell in found if cell["beyond_noise"]]
    decided = counts["agree"] + counts["disagree"]
    ci95 = binomtest(counts["agree"], decided).proportion_ci(0.95, method="exact") if decided else None
    compared = decided + counts["tie"]
    return {
        **counts,
        "beyond_noise": len(clear),
        "beyond_noise_agree": clear.count("agree"),
        "rate": counts["agree"] / decided if decided else None,
        "ci95": [float(ci95.low), float(ci95.high)] if ci95 else None,
        "rate_ties_disagree": counts["agree"] / compared if compared else None,
    }


def scaling(scores: dict[str, Scores], runs: list[FineTune]) -> list[Json]:
    """Runs that differ only in how many conversations of their DGMs they take, two numbers or more (Fig. 2)."""

    def design(run: FineTune) -> tuple[str, list[tuple[str, float]], str]:
        return run.base, sorted(run.weights.items()), run.extras

    found = []
    for _, group in groupby(sorted(runs, key=lambda run: (design(run), run.rows, run.id)), key=design):
        family = [run for run in group if run.rows]
        if len({run.rows for run in family}) > 1:
            points = {name: curve(name, family, scores) for name in names_of(scores.values())}
            first = family[0]
            shared = {"base": first.base, "dgms": sorted(first.weights), "besides": first.extras}
            name = label(f"{first.base} : {first.dgms_text}", first.extras)
            found.append({"label": name, **shared, "runs": {run.id: run.rows for run in family}, "curves": points})
    return found


def curve(name: str, family: list[FineTune], scores: dict[str, Scores]) -> Json:
    """A score by number of conversations, and what a doubling of it adds: least squares, for three numbers or more.

    The interval of the slope is Student's, from the spread of the points about the line (scipy.stats.linregress).
    """
    points = {run.id: scores[run.id].all.get(name) for run in family}
    known = [(log2(run.rows), score.value) for run in family if (score := points[run.id])]
    slope = None
    if len({rows for rows, _ in known}) >= 3:
        fit = linregress([rows for rows, _ in known], [value for _, value in known])
        width = float(t.ppf(0.975, len(known) - 2) * fit.stderr)
        slope = {"value": float(fit.slope), "ci95": [float(fit.slope) - width, float(fit.slope) + width]}
    return {"points": {run: shown(score) for run, score in points.items()}, "per_doubling": slope}


def blends(scores: dict[str, Scores], runs: list[FineTune]) -> Json:
    """Runs on several DGMs beside the runs on each of them alone, all else and the total being equal (App. D)."""
    alone = {(run.base, run.extras, run.take, run.dgm): run for run in sorted(runs, key=lambda r: r.id) if run.dgm}
    found, left_out = {}, {}
    for run in sorted(runs, key=lambda run: run.id):
        if len(run.weights) > 1:
            parts = {dgm: alone.get((run.base, run.extras, run.take, dgm)) for dgm in sorted(run.weights)}
            absent = [dgm for dgm, part in parts.items() if part is None]
            if absent:
                left_out[run.id] = f"no compared run is alike but on {' or '.join(absent)} alone"
            else:
                found[run.id] = blend(run, {dgm: part.id for dgm, part in parts.items() if part}, scores)
    return {"runs": found, "left_out": left_out}


def blend(run: FineTune, parts: dict[str, str], scores: dict[str, Scores]) -> Json:
    """One blend: its score, the mean of its parts by the blend's weights, and the best of them (the highest)."""
    cells = {}
    for name in names_of(scores.values()):
        own = scores[run.id].all.get(name)
        known = {part: score for part in parts.values() if (score := scores[part].all.get(name))}
        middle = None
        if len(known) == len(parts):
            middle = combine([(weight, known[parts[dgm]]) for dgm, weight in run.weights.items()])
        best = max(sorted(known), key=lambda part: known[part].value) if known else None
        cells[name] = {
            "blend": shown(own),
            "mean": shown(middle),
            "best": {"run": best, **shown(known[best] if best else None)},
            "difference": shown(difference(own, middle) if own and middle else None),
        }
    return {"base": run.base, "besides": run.extras, "rows": run.rows, "parts": parts, "cells": cells}


def on_policy(scores: dict[str, Scores], runs: list[FineTune], families: dict[str, str]) -> Json:
    """Fine-tunes on a DGM of their base's own family beside those on other DGMs, all else being equal (App. B).

    `families` has the family of each DGM and base of which it is known; the others are left out.
    """

    def design(run: FineTune) -> tuple[str, str, int]:
        return run.base, run.extras, run.take

    alone = sorted((run for run in runs if run.dgm), key=lambda run: (design(run), run.id))
    left_out = {
        run.id: f"dgms/{model}.yaml names no family"
        for run in alone
        for model in (run.dgm, run.base)
        if not families.get(model)
    }
    groups = []
    for (base, extras, take), group in groupby((run for run in alone if run.id not in left_out), key=design):
        members = list(group)
        own = [run for run in members if families[run.dgm] == families[base]]
        other = [run for run in members if run not in own]
        if own and other:
            shared = {"label": label(base, f"{take:,} conversations", extras), "base": base, "besides": extras}
            groups.append({**shared, "family": families[base], **versus(own, other, scores)})
        else:
            lacking = "another family" if own else f"the family of {base}"
            reason = f"no compared run of its base and size is on a DGM of {lacking}"
            left_out |= {run.id: reason for run in members}
    return {"groups": groups, "left_out": left_out}


def versus(own: list[FineTune], other: list[FineTune], scores: dict[str, Scores]) -> Json:
    """Two sets of runs: every score of each, the means of both sets, and their difference."""
    cells = {}
    for name in names_of(scores.values()):
        sides = [[scores[run.id].all.get(name) for run in runs] for runs in (own, other)]
        means = [
            mean(known) if len(known := [score for score in side if score]) == len(side) else None for side in sides
        ]
        cells[name] = {
            "runs": {run.id: shown(scores[run.id].all.get(name)) for run in (*own, *other)},
            "own": shown(means[0]),
            "other": shown(means[1]),
            "difference": shown(difference(means[0], means[1]) if means[0] and means[1] else None),
        }
    runs: dict[str, Any] = {"own": {run.id: run.dgm for run in own}, "other": {run.id: run.dgm for run in other}}
    return {**runs, "rows": {run.id: run.rows for run in (*own, *other)}, "cells": cells}
