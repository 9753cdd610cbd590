"""Fine-tunes on a DGM of their base's own family compared with those on other DGMs (paper, App. B)."""

from itertools import groupby

from stages.lib.comparison.evaluations import Evaluations
from stages.lib.comparison.fine_tunes import FineTune, join_label
from stages.lib.comparison.scores import to_cell
from stages.lib.core.types import Json


def compare_on_policy(evaluations: Evaluations, runs: list[FineTune], families: dict[str, str]) -> Json:
    """Compare fine-tunes on a DGM of their base's own family with those on other DGMs, all else being equal.

    `families` names the family of each DGM and base, empty if it is not known. `left_out` says of the other runs why
    they are not compared.
    """
    single = sorted((run for run in runs if run.only_dgm), key=lambda run: (_design(run), run.id))
    left_out = {
        run.id: f"dgms/{model}.yaml names no family"
        for run in single
        for model in (run.only_dgm, run.base)
        if not families.get(model)
    }
    groups = []
    for _, group in groupby((run for run in single if run.id not in left_out), key=_design):
        members = list(group)
        own = [run for run in members if families[run.only_dgm] == families[run.base]]
        other = [run for run in members if run not in own]
        if own and other:
            groups.append(describe_group(own, other, families, evaluations))
        else:
            lacking = "another family" if own else f"the family of {members[0].base}"
            left_out |= {run.id: f"no compared run of its base and size is on a DGM of {lacking}" for run in members}
    return {"groups": groups, "left_out": left_out}


def _design(run: FineTune) -> tuple[str, str, int]:
    return run.base, run.extras, run.take


def describe_group(
    own: list[FineTune], other: list[FineTune], families: dict[str, str], evaluations: Evaluations
) -> Json:
    """Describe runs of one base and size: those on the base's own family and the others, measure by measure."""
    first = own[0]
    runs = [*own, *other]
    return {
        "label": join_label(first.base, f"{first.take:,} conversations", first.extras),
        "base": first.base,
        "besides": first.extras,
        "family": families[first.base],
        "own": {run.id: run.only_dgm for run in own},
        "other": {run.id: run.only_dgm for run in other},
        "rows": {run.id: run.rows for run in runs},
        "cells": {name: compare_measure(name, own, other, evaluations) for name in evaluations.measures},
    }


def compare_measure(name: str, own: list[FineTune], other: list[FineTune], evaluations: Evaluations) -> Json:
    """Compare the means of two sets of runs in one measure; a mean is null when one of its runs has no score."""
    of_own, of_other = ({run.id: 1 / len(runs) for run in runs} for runs in (own, other))
    less_other = of_own | {run: -factor for run, factor in of_other.items()}
    return {
        "runs": {run.id: to_cell(evaluations.score(run.id, name)) for run in (*own, *other)},
        "own": to_cell(evaluations.contrast(name, of_own)),
        "other": to_cell(evaluations.contrast(name, of_other)),
        "difference": to_cell(evaluations.contrast(name, less_other)),
    }
