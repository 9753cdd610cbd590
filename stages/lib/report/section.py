"""The parts of a section of the page. A module of `sections/` builds them, the template of the same stem shows them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stages.lib.console.formats import format_count, format_range
from stages.lib.core.types import Json
from stages.lib.evaluation.results import main_metric
from stages.lib.report.inputs import Inputs
from stages.lib.statistics.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with its caption."""

    svg: str
    title: str  # what it shows, or better the finding, as a sentence
    note: str = ""  # what is drawn, in which unit
    is_wide: bool = False  # as wide as the page, in place of a column


@dataclass(frozen=True, slots=True)
class Content:
    """What a section shows of one report."""

    values: Json = field(default_factory=dict)  # `data` in its template
    charts: dict[str, Chart] = field(default_factory=dict)  # by the name of their file in charts/, in the page's order
    gaps: list[str] = field(default_factory=list)  # numbers that are missing, and why: listed at the end of the page
    numbers: dict[str, Any] = field(default_factory=dict)  # for summary.json
    skipped: str = ""  # why there is nothing to show; the section then consists of this sentence
    question: str = ""  # the heading, where it is not the section's own
    finding: str = ""  # the answer to the question in one sentence, shown first; findings.py has the words
    absent: dict[str, str] = field(default_factory=dict)  # parts that there is nothing to show of, and why


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page."""

    name: str  # its anchor; with `_` for `-` the stem of its module and template
    title: str  # in the navigation
    question: str  # its heading
    sources: Mapping[str, str]  # what it takes from which folder (or file) of data/, metrics/ or models/
    build: Callable[[Inputs], Content | None]  # None: the page has no such section

    @property
    def template(self) -> str:
        """The template, relative to that of the page."""
        return f"sections/{self.name.replace('-', '_')}.html"


def cell_of(value: float | None, ci95: Sequence[float | None] | None) -> Json:
    """Return a value with its interval; None for an interval that lacks an end."""
    return {"value": value, "ci95": list(ci95) if ci95 and None not in ci95 else None}


def find_best(cells: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Name the cell (value, ci95) with the highest value, where that is more than noise.

    It is where its 95 % interval overlaps that of no other; None where one does, is not known, or there is no other.
    """
    known = {name: cell for name, cell in cells.items() if cell["value"] is not None}
    if len(known) < 2 or not all(cell["ci95"] for cell in known.values()):
        return None
    best = max(known, key=lambda name: float(known[name]["value"]))
    return best if all(known[best]["ci95"][0] > known[name]["ci95"][1] for name in known if name != best) else None


def find_winner(models: list[str], pairs: Mapping[str, Json]) -> str | None:
    """Return the model that is better than every other one, by the verdicts on every two; None where there is none."""
    verdicts = {tuple(pair.split(" ")): cell["verdict"] for pair, cell in pairs.items()}
    for model in models:
        won = [
            verdicts.get((model, other)) == Verdict.BETTER or verdicts.get((other, model)) == Verdict.WORSE
            for other in models
            if other != model
        ]
        if won and all(won):
            return model
    return None


def describe_conditions(evaluations: Mapping[str, Json]) -> list[str]:
    """Say in one line for all models, or one for each that differs, under which conditions their scores stand.

    `evaluations` are results.json by model.
    """
    models: dict[str, list[str]] = {}
    for model, results in evaluations.items():
        conditions = "; ".join(results["conditions"]) or "every task on all of its rows, within its own limits"
        models.setdefault(conditions, []).append(model)
    if len(models) == 1:
        return [f"Conditions of these scores: {conditions}." for conditions in models]
    return [f"Conditions of the scores of {', '.join(names)}: {conditions}." for conditions, names in models.items()]


def describe_scores(evaluations: Mapping[str, Json]) -> list[str]:
    """Say under which conditions scores stand, and how large n is of each: for a section that shows them again."""
    return [*describe_conditions(evaluations), *filter(None, [describe_sizes(evaluations)])]


def describe_sizes(evaluations: Mapping[str, Json]) -> str:
    """Say how large n is of each task's score, as a range where models differ; empty without a score."""
    sizes: dict[str, set[int]] = {}
    for results in evaluations.values():
        for task, entry in results["tasks"].items():
            sizes.setdefault(task, set()).update([main_metric(entry)["n"]] if main_metric(entry) else [])
    ranges = {task: format_range((min(each), max(each)), format_count) for task, each in sizes.items() if each}
    return f"n: {', '.join(f'{task} {text}' for task, text in ranges.items())}." if ranges else ""
