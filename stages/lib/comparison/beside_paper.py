"""Our numbers beside those that the paper printed, cell by cell (stages/lib/comparison/paper.py)."""

from collections.abc import Iterable
from dataclasses import dataclass

from stages.lib.comparison.paper import (
    BENCHMARKS,
    NINE,
    ROUNDING,
    SEVEN,
    Average,
    Column,
    Row,
    average,
    published,
    read_paper,
    rounding,
)
from stages.lib.console.errors import UserError
from stages.lib.core.types import Json
from stages.lib.evaluation.results import SCALES, main_metric
from stages.lib.evaluation.scores import Score, as_share, combine, mean

FOURTH = 0.00005  # half of the last decimal of an average that was recomputed from the authors' sheet


@dataclass(frozen=True)
class Beside:
    """One benchmark of ours and of the paper, in the paper's unit; None where we have no number, or no interval."""

    ours: float | None
    paper: float
    difference: float | None  # ours less the paper's
    outside: bool | None  # whether all that rounds to the paper's value lies outside our 95 % interval


def beside(results: Json, row: Row) -> dict[str, Beside]:
    """The benchmarks of a model's results.json beside a row of the paper, by the row's columns."""
    tasks = tasks_of(results)
    return {name: compare(in_unit(tasks, cell.column), cell.value) for name, cell in row.cells.items()}


def average_beside(results: Json, row: Row, columns: Iterable[str]) -> Beside | None:
    """The mean of our benchmarks beside that of a row's printed cells, as shares; None where a cell is missing."""
    names = list(columns)
    printed = average(row, names)
    return None if printed is None else compare(our_average(results, names), printed, rounding(row, names))


def stated_beside(results: Json, stated: Average) -> Beside:
    """Our mean of the nine benchmarks beside one that the paper states in a text or figure, by the authors' sheet."""
    return compare(our_average(results, NINE), stated.recomputed, FOURTH)


def our_average(results: Json, columns: Iterable[str]) -> Score | None:
    """The mean of our benchmarks for some columns of the paper, as shares; None when one was not measured."""
    tasks, known = tasks_of(results), read_paper().columns
    shares = [as_share(find(tasks, known[name])) for name in columns]
    found = [share for share in shares if share]
    return mean(found) if len(found) == len(shares) else None


def tasks_of(results: Json) -> dict[str, Json]:
    """The tasks of a model's results.json."""
    if "tasks" not in results:
        raise UserError("these are no results of a model: they have no `tasks`")
    tasks: dict[str, Json] = results["tasks"]
    return tasks


def find(tasks: dict[str, Json], column: Column) -> Json:
    """Our metric for a column; empty when it was not measured."""
    metrics: Json = tasks.get(column.task or "", {}).get("metrics", {})
    found: Json = metrics.get(column.metric or "", {})
    return found


def in_unit(tasks: dict[str, Json], column: Column) -> Score | None:
    """Our metric for a column, in the paper's unit."""
    share = as_share(find(tasks, column))
    return combine([(column.scale, share)]) if share else None


def compare(ours: Score | None, paper: float, off: float = ROUNDING) -> Beside:
    """Our score beside the paper's value, which may be off by so much."""
    return pair(ours.value if ours else None, ours.ci95 if ours else None, paper, off)


def pair(ours: float | None, ci95: list[float] | None, paper: float, off: float = ROUNDING) -> Beside:
    """Our number and its interval beside the paper's value, which may be off by so much."""
    outside = None if ci95 is None else paper + off < ci95[0] or paper - off > ci95[1]
    return Beside(ours, paper, None if ours is None else ours - paper, outside)


def preferences_beside(preference: Json, row: Row) -> dict[str, Beside]:
    """A row of table 4 beside ours: data/preference/tables.json, by the scores of single replies, ties counted."""
    return {name: pair(*our_preference(preference, row, cell.column), cell.value) for name, cell in row.cells.items()}


def our_preference(preference: Json, row: Row, column: Column) -> tuple[float | None, list[float] | None]:
    """Our number for a cell of table 4 and its interval: a mean score, a rate in percent, or a count of flips."""
    if column.against:
        return rate_of(preference["by_score"], row.id, column.against)
    if row.flips and column.unit == "count":
        tuned, rival = row.flips
        return preference["flips"]["pairs"].get(f"{row.id} {tuned}", {}).get(rival, {}).get("flips"), None
    found = preference["models"].get(row.id, {})
    return found.get("mean"), whole(found.get("ci95"))


def rate_of(pairs: Json, one: str, other: str) -> tuple[float | None, list[float] | None]:
    """How often one is preferred to the other, in percent of all turns, and its interval."""
    found, turned = pairs.get(f"{one} {other}", {}), pairs.get(f"{other} {one}", {})
    rate = found.get("rate", turned.get("rate_other"))
    ci95 = whole(found.get("ci95", turned.get("ci95_other")))
    return None if rate is None else 100 * rate, [100 * end for end in ci95] if ci95 else None


def whole(ci95: list[float | None] | None) -> list[float] | None:
    """An interval that has both its ends."""
    ends = [end for end in ci95 or [] if end is not None]
    return ends if len(ends) == 2 else None


def printed_of(model: str, results: Json) -> dict[str, float]:
    """What the paper printed of a model, by the names of our benchmarks and averages and in their units.

    An average of ours is the paper's where it is over the same nine benchmarks, or the same seven.
    """
    row = next((row for table in BENCHMARKS for row in published(table) if row.id == model), None)
    if row is None:
        return {}
    units = {task: found["unit"] for task, entry in results["tasks"].items() if (found := main_metric(entry))}
    cells = {
        task: cell.value / cell.column.scale * SCALES[units[task]]
        for cell in row.cells.values()
        if (task := cell.column.task or "") in units and results["tasks"][task]["primary"] == cell.column.metric
    }
    sets = {frozenset(row.cells[name].column.task for name in columns): columns for columns in (NINE, SEVEN)}
    averages = {
        name: average(row, sets[columns])
        for name, found in results["averages"].items()
        if (columns := frozenset(found["columns"])) in sets
    }
    return cells | {name: value for name, value in averages.items() if value is not None}
