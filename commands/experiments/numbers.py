"""The numbers of a model in one state of the project, with intervals, and their differences to the base.

Where DVC's cache has the rows of both sides, differences are paired, row by row. Else the intervals are what
metrics/ allows: the number of rows of each share.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from commands.compare.lines import Line, Unit
from commands.compare.scores import compare_benchmarks, compare_scores, read_grid, read_scores, unit_of
from commands.compare.sides import Side
from commands.experiments.cache import CachedState
from commands.experiments.states import State
from stages.lib.comparison.differences import add_verdict, correct
from stages.lib.comparison.evaluations import read_evaluations
from stages.lib.comparison.scores import Score, average_shares, to_cell
from stages.lib.console.errors import UserError
from stages.lib.core.artifacts import DIGESTS
from stages.lib.core.seeds import seed_models
from stages.lib.core.types import Json
from stages.lib.judging.judgment_grid import COLUMNS, align_judgments, read_judged
from stages.lib.judging.preference import mean_scores
from stages.lib.report.headlines import list_names, name_columns
from stages.lib.settings.sections import Differences
from stages.lib.statistics.intervals import exact_interval
from stages.lib.statistics.verdicts import Verdict

JUDGE = "judge"
SAME = "same"  # the outs are the same files
UNPAIRED = "unpaired"  # the rows of one side are not in DVC's cache: without a verdict
OUTS = ("evaluations", "judgments")
EVALUATE = Path("metrics/evaluate")
Ends = Sequence[float] | None
T = TypeVar("T")


@dataclass(frozen=True)
class Cell:
    """A number and its 95 % interval; None where it is not known."""

    value: float
    ci95: Ends = None
    unit: Unit = "number"


@dataclass(frozen=True)
class Difference:
    """A number less the base's, its 95 % interval, and what it says: a verdict, SAME or UNPAIRED."""

    value: float
    ci95: Ends
    word: str


@dataclass(frozen=True)
class Numbers:
    """The numbers of a model in one state, by the names of the headlines."""

    cells: dict[str, Cell] = field(default_factory=dict)
    differences: dict[str, Difference] = field(default_factory=dict)
    tested: dict[str, Line] = field(default_factory=dict)  # paired differences, before the correction for many tests
    is_estimated: bool = False  # whether intervals are made from the number of rows alone


def attempt(read: Callable[..., T], *arguments: Any) -> T | None:
    """Return what a function reads from DVC's cache; None where the cache lacks a part of it, or it is torn.

    It is also None where another version of the project wrote an out without a key that is read today.
    """
    try:
        return read(*arguments)
    except (UserError, KeyError, OSError):
        return None


def to_side(source: CachedState, model: str) -> Side:
    """Return a model of a state, as one side of a comparison."""
    return Side("A", model, source, ("models",))


def read_numbers(state: State, source: CachedState, model: str) -> Numbers:
    """Read the numbers of a model that is not compared with a base."""
    headlines, columns = state.headlines.get(model, {}), columns_of(state)
    side = to_side(source, model)
    sampled = (attempt(read_scored, side) or {}) | (attempt(read_judge, side) or {})
    cells = {columns.get(name, name): cell for name, cell in sampled.items()}
    estimated = {columns.get(name, name): cell for name, cell in estimate(state, model).items()}
    known = {name: Cell(value) for name, value in headlines.items() if isinstance(value, int | float)}
    of_metrics = {name: cell for name, cell in estimated.items() if name not in cells}
    return Numbers(known | of_metrics | cells, is_estimated=bool(of_metrics))


def columns_of(state: State) -> dict[str, str]:
    """Return the headline of each benchmark and average."""
    scores = {model: scores_of(state, model) for model in state.headlines}
    return name_columns(list_names(scores))


def scores_of(state: State, model: str) -> dict[str, float]:
    """Return a model's scores in metrics/; of a run with several seeds those of the first."""
    return (state.metric(EVALUATE / f"{model}.json") or {}).get("scores") or {}


def read_scored(side: Side) -> dict[str, Cell]:
    """Read a model's scores with their intervals from its rows; raise UserError where the cache lacks some."""
    folders = side.evaluations()
    evaluations = read_evaluations(folders, {side.name: list(folders)} if len(folders) > 1 else {})
    scores = {name: evaluations.score(side.name, name) for name in evaluations.measures}
    return {name: Cell(unit=unit_of(score.scale), **to_cell(score)) for name, score in scores.items() if score}


def read_judge(side: Side) -> dict[str, Cell]:
    """Read the judge's mean score with its interval; raise UserError where the cache lacks the judgments."""
    grid = align_judgments({side.name: read_judged(side.out("models", "judgments"), COLUMNS)})
    mean = mean_scores(grid)[side.name]
    if not np.isfinite(mean["mean"]):
        return {}
    ends = mean["ci95"]
    return {JUDGE: Cell(mean["mean"], list(map(float, ends)) if np.isfinite(ends).all() else None, "points")}


def estimate(state: State, model: str) -> dict[str, Cell]:
    """Estimate the intervals of a model's shares from the number of rows, as if each stood alone, right or wrong.

    Of scores that are no shares of lm-eval's rows, and of the mean of several seeds, metrics/ does not know enough.
    """
    run = ((state.params.get("mix") or {}).get("runs") or {}).get(model) or {}
    metrics = state.metric(EVALUATE / f"{model}.json") or {}
    settings = state.params.get("evaluate") or {}
    tasks = {name: n for name, n in (metrics.get("n") or {}).items() if name in (settings.get("tasks") or {})}
    scores = scores_of(state, model)
    shares = {name: scores[name] for name in tasks if isinstance(scores.get(name), float) and 0 <= scores[name] <= 1}
    if len(run.get("seeds") or []) > 1:
        return {}
    cells = {name: Cell(value, exact_ends(value, tasks[name]), "share") for name, value in shares.items()}
    averages = {name: list(metrics.get("n") or {}) for name in ("average",)} | (settings.get("averages") or {})
    for name, parts in averages.items():
        if parts and set(parts) <= set(cells) and isinstance(scores.get(name), float):
            mean = average_shares([share_of(cells[part].value, tasks[part]) for part in parts])
            cells[name] = Cell(scores[name], mean.ci95, "share")
    return cells


def exact_ends(value: float, rows: int) -> Ends:
    """Return Clopper and Pearson's interval of a share of independent rows."""
    return [float(end) for end in exact_interval(np.array(value * rows), np.array(rows))] if rows else None


def share_of(value: float, rows: int) -> Score:
    """Return a share of independent rows with its standard error."""
    return Score(value, (value * (1 - value) / max(rows - 1, 1)) ** 0.5, None, rows)


def compare_with_base(
    pair: tuple[State, State], sources: tuple[CachedState, CachedState], model: str, settings: Differences
) -> Numbers:
    """Read the numbers of a model in the first of two states, and compare them with those in the second, the base."""
    ours, theirs = (read_numbers(state, source, model) for state, source in zip(pair, sources, strict=True))
    columns = columns_of(pair[0])
    measured = {*columns.values(), JUDGE}
    if are_same(*pair, model):
        same = {name: Difference(0.0, None, SAME) for name in ours.cells if name in measured and name in theirs.cells}
        return replace(ours, differences=same)
    sides = (to_side(sources[0], model), to_side(sources[1], model))
    lines = [*(attempt(compare_scored, sides, settings) or []), *(attempt(compare_judged, sides, settings) or [])]
    tested = {columns.get(line.name, line.name): line for line in lines if not line.reason}
    unpaired = {
        name: subtract(cell, theirs.cells[name])
        for name, cell in ours.cells.items()
        if name in theirs.cells and name not in tested and name in measured
    }
    return replace(ours, differences=unpaired, tested=tested)


def are_same(one: State, other: State, model: str) -> bool:
    """Tell whether the outs of a model, or of all seeds of a run, are the same files in two states."""
    ours, theirs = (digests_of(state, model) for state in (one, other))
    return ours == theirs and all(ours.values())


def digests_of(state: State, model: str) -> dict[str, str | None]:
    """Return the digest of each out of a model, and of the evaluations of the other seeds of a run; None: not known."""
    own = state.metric(DIGESTS / "models" / f"{model}.json") or {}
    entry = ((state.params.get("mix") or {}).get("runs") or {}).get(model) or {}
    seeds = seed_models(model, entry.get("seeds") or [])[1:]
    others = {seed: (state.metric(DIGESTS / "seeds" / f"{seed}.json") or {}).get("evaluations") for seed in seeds}
    return {name: own.get(name) for name in OUTS} | others


def compare_scored(sides: tuple[Side, Side], settings: Differences) -> list[Line]:
    """Compare two sides in every average and benchmark, row by row."""
    evaluations, _ = read_scores(sides)
    return compare_benchmarks(evaluations, (sides[0].name, sides[1].name), settings)


def compare_judged(sides: tuple[Side, Side], settings: Differences) -> list[Line]:
    """Compare two sides by the judge's scores."""
    return [replace(compare_scores(read_grid(sides), settings), name=JUDGE, family=JUDGE)]


def subtract(one: Cell, other: Cell) -> Difference:
    """Subtract numbers as independent: the interval is that of Zou and Donner (2008), from the two intervals.

    The rows of two models are mostly the same, so that it is rather too wide.
    """
    value = one.value - other.value
    if one.ci95 is None or other.ci95 is None:
        return Difference(value, None, UNPAIRED)
    (low, high), (least, most) = one.ci95, other.ci95
    below = ((one.value - low) ** 2 + (most - other.value) ** 2) ** 0.5
    above = ((high - one.value) ** 2 + (other.value - least) ** 2) ** 0.5
    return Difference(value, [value - below, value + above], UNPAIRED)


def decide_together(table: Sequence[Numbers]) -> list[Numbers]:
    """Decide all paired differences of a table, whose p values are corrected together.

    All averages of all rows of the table are one family, all benchmarks another, all judge's scores a third.
    """
    lines = [line for numbers in table for line in numbers.tested.values()]
    for family in dict.fromkeys(line.family for line in lines):
        correct([line.difference for line in lines if line.family == family])
    return [
        replace(
            numbers, differences=numbers.differences | {name: decide(line) for name, line in numbers.tested.items()}
        )
        for numbers in table
    ]


def decide(line: Line) -> Difference:
    """Return the difference of a line with the verdict on its corrected p."""
    cell: Json = add_verdict(line.difference, line.margin)
    return Difference(cell["value"], cell["ci95"], str(Verdict(cell["verdict"])))
