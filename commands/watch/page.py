"""The page of a run: what runs, how far it is, what its replies are like, and what waits."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from commands.watch.generation import Dgm
from commands.watch.pipeline import Pipeline, find_value
from commands.watch.trainings import Training
from stages.lib.console.formats import format_digits, format_duration
from stages.lib.core.types import Json
from stages.lib.report.page import render
from stages.lib.report.palette import assign_colours
from stages.lib.report.section import Chart
from stages.lib.report.svg import plot_curves

MOST_CURVES = 12  # on one chart; of finished trainings the last ones are left out


def build_page(
    pipeline: Pipeline,
    dgms: Mapping[str, Dgm],
    trainings: Sequence[Training],
    finished_tasks: Mapping[str, int],
    seconds: float | None,
) -> str:
    """Return the page as HTML; it loads itself again after so many seconds, or never."""
    states = Counter(pipeline.states.values())
    content = {
        "profile": pipeline.values.get("profile", ""),
        "seconds": seconds,
        "now": time.strftime("%H:%M:%S"),
        "running": [name for name, state in pipeline.states.items() if state == "running"],
        "done": states["done"],
        "total": states.total(),
        "steps": [describe_step(name, names, pipeline) for name, names in pipeline.names.items() if names],
        "dgms": [describe_dgm(name, dgm, pipeline) for name, dgm in dgms.items()],
        "warnings": [warning for name, dgm in dgms.items() for warning in find_warnings(name, dgm)],
        "has_cost": any(dgm.cost(dgm.seconds) is not None for dgm in dgms.values()),
        "total_to_go": add_to_go(dgms),
        "trainings": [describe_training(training, pipeline) for training in trainings],
        "curves": draw_curves(trainings),
        "compared": [describe_compared(name, pipeline, finished_tasks) for name in pipeline.values.get("compare", [])],
    }
    return render(Path(__file__).with_suffix(".html"), content)


def describe_step(name: str, names: Sequence[str], pipeline: Pipeline) -> Json:
    """Count the stages of an entry of dvc.yaml by their states."""
    states = {each: pipeline.states[each] for each in names}
    return {
        "name": name,
        "what": pipeline.graph["stages"][name].get("desc")
        or pipeline.graph["stages"][name].get("do", {}).get("desc", ""),
        "done": sum(state == "done" for state in states.values()),
        "total": len(states),
        "running": [each.partition("@")[2] or each for each, state in states.items() if state == "running"],
        "waiting": [each.partition("@")[2] for each, state in states.items() if state == "waiting"],
    }


def describe_dgm(name: str, dgm: Dgm, pipeline: Pipeline) -> Json:
    """Return a row of the table of DGMs."""
    to_go = dgm.seconds_to_go if dgm.done < dgm.total else None
    return {
        "name": name,
        "state": pipeline.states.get(f"generate@{name}", "waiting"),
        "done": dgm.done,
        "total": dgm.total,
        "tokens_per_second": dgm.tokens_per_second,
        "time": format_duration(dgm.seconds) if dgm.seconds else None,
        "time_to_go": format_duration(to_go) if to_go is not None else None,
        "cost": format_cost(dgm.cost(dgm.seconds)),
        "cost_to_go": format_cost(dgm.cost(to_go)),
        "hardware": dgm.hardware,
        "shares": dgm.shares,
        "has_pilot": dgm.note is not None,
    }


def format_cost(value: float | None) -> str | None:
    """Format an amount of money; None where it is not known."""
    return None if value is None else format_digits(value)


def add_to_go(dgms: Mapping[str, Dgm]) -> str | None:
    """Format the wall time that all DGMs together take yet; None where that of one is not known, or none is left."""
    waiting = [dgm.seconds_to_go for dgm in dgms.values() if dgm.done < dgm.total]
    known = [seconds for seconds in waiting if seconds is not None]
    return format_duration(sum(known)) if known and len(known) == len(waiting) else None


def find_warnings(name: str, dgm: Dgm) -> Iterator[str]:
    """Yield a line for each share that has left the pilot's interval."""
    for share in dgm.shares:
        if share.has_left and share.pilot:
            yield (
                f"{name}: {share.name} {format_share(share.value)} of {share.total} conversations so far "
                f"({format_interval(share.interval)}); in the pilot {format_interval(share.pilot)}"
            )


def format_share(share: float) -> str:
    """Format a share in percent, with one decimal below 10 %."""
    return f"{100 * share:.{1 if share < 0.0995 else 0}f} %"


def format_interval(interval: Sequence[float] | None) -> str:
    """Format an interval of shares in percent."""
    if interval is None:
        return ""
    low, high = (format_share(end).removesuffix(" %") for end in interval)
    return f"{low} to {high} %"


def describe_training(training: Training, pipeline: Pipeline) -> Json:
    """Return a row of the table of trainings."""
    stage = next((f"{entry}@{training.key}" for entry in ("train", "train_seed")
                  if f"{entry}@{training.key}" in pipeline.states), "")  # fmt: skip
    state = pipeline.states.get(stage, "waiting")
    return {
        "key": training.key,
        "state": "done" if training.is_finished else state if state == "running" else "stopped",
        "step": training.step,
        "total": training.max_steps,
        "loss": training.loss,
        "time": format_duration(training.seconds) if training.seconds is not None else None,
        "time_to_go": format_duration(training.seconds_to_go) if training.seconds_to_go is not None else None,
    }


def draw_curves(trainings: Sequence[Training]) -> Chart | None:
    """Draw the loss of trainings over their steps, running ones first; None without any."""
    begun = sorted((each for each in trainings if each.curve), key=lambda each: each.is_finished)[:MOST_CURVES]
    if not begun:
        return None
    lines = {each.key: each.curve for each in begun}
    drawn = sum(bool(each.curve) for each in trainings)
    note = f"{len(begun)} of {drawn} trainings, those that run first" if drawn > len(begun) else ""
    return Chart(plot_curves(lines, assign_colours(each.key for each in trainings), "Loss"), title="Loss", note=note)


def describe_compared(name: str, pipeline: Pipeline, finished_tasks: Mapping[str, int]) -> Json:
    """Return a row of the table of compared models: how far answers, evaluation and judgment are."""
    evaluate: Any = find_value(pipeline.values, "evaluate") or {}
    num_tasks = len(evaluate.get("tasks") or {}) + len(evaluate.get("evalchemy") or {})
    stages = {"answers": f"answers@{name}", "evaluate": f"evaluate@{name}", "judge": "judge"}  # one judges all
    cells = {stage: pipeline.states.get(full, "waiting") for stage, full in stages.items()}
    finished = finished_tasks.get(name, 0)
    notes = {"evaluate": f"{finished} of {num_tasks} tasks" if cells["evaluate"] != "done" and finished else ""}
    return {"name": name, "cells": [(state, notes.get(stage, "")) for stage, state in cells.items()]}
