"""Our numbers compared with those that the paper printed, cell by cell."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stages.lib.comparison.paper import (
    AVERAGES,
    BENCHMARK_TABLES,
    HALF_DECIMAL,
    NINE,
    PREFERENCE_TABLE,
    Average,
    Column,
    Row,
    average_row,
    read_paper,
    read_rows,
    rounding_error,
)
from stages.lib.comparison.scores import Score, average_shares, scale, to_share
from stages.lib.console.errors import UserError
from stages.lib.core.types import Json
from stages.lib.evaluation.results import SCALES, main_metric

HALF_FOURTH_DECIMAL = 0.00005  # half of the last decimal of an average that was recomputed from the authors' sheet


@dataclass(frozen=True)
class ComparedCell:
    """One number of ours and of the paper, in the paper's unit; None where we have no number, or no interval."""

    ours: float | None
    paper: float
    difference: float | None  # ours less the paper's
    outside: bool | None  # whether all that rounds to the paper's value lies outside our 95 % interval


def compare_rows(results: Mapping[str, Json], preference: Json) -> list[Json]:
    """Compare every row of the paper whose id is a model of ours, where at least one number is there on both sides.

    `results` are results.json by model; `preference` is data/preference/tables.json, for table 4.
    """
    rows = []
    for row in (row for table in sorted((*BENCHMARK_TABLES, PREFERENCE_TABLE)) for row in read_rows(table)):
        if row.id not in results:
            continue
        if row.table == PREFERENCE_TABLE:
            rows.append(to_json(row, compare_preferences(preference, row), {}))
        else:
            averages = {name: compare_average(results[row.id], row, columns) for name, columns in AVERAGES.items()}
            rows.append(to_json(row, compare_benchmarks(results[row.id], row), averages))
    return [row for row in rows if any(cell["ours"] is not None for cell in row["cells"].values())]


def to_json(row: Row, cells: Mapping[str, ComparedCell], averages: Mapping[str, ComparedCell | None]) -> Json:
    """Convert a compared row: each of its cells, and the averages over nine and over seven benchmarks."""
    return {
        "table": row.table,
        "label": row.label,
        "id": row.id,
        "columns": read_paper().tables[row.table].columns,
        "cells": {name: {**vars(cell), "half_width": row.cells[name].half_width} for name, cell in cells.items()},
        "averages": {name: vars(cell) for name, cell in averages.items() if cell},
        "printed": row.average,
        "note": row.note,
    }


def compare_benchmarks(results: Json, row: Row) -> dict[str, ComparedCell]:
    """Compare the benchmarks of a model's results.json with a row of the paper, by the row's columns."""
    tasks = read_tasks(results)
    return {name: compare_score(read_in_unit(tasks, cell.column), cell.value) for name, cell in row.cells.items()}


def compare_average(results: Json, row: Row, columns: Iterable[str]) -> ComparedCell | None:
    """Compare the mean of our benchmarks with that of a row's printed cells, as shares; None if a cell is missing."""
    names = list(columns)
    printed = average_row(row, names)
    return None if printed is None else compare_score(our_average(results, names), printed, rounding_error(row, names))


def compare_stated_averages(results: Mapping[str, Json]) -> list[Json]:
    """Compare the averages of the paper's text and figures with our models that have all nine benchmarks."""
    compared = [
        {**stated.model_dump(), **vars(compare_stated_average(results[stated.id], stated))}
        for stated in read_paper().averages
        if stated.id in results
    ]
    return [average for average in compared if average["ours"] is not None]


def compare_stated_average(results: Json, stated: Average) -> ComparedCell:
    """Compare our mean of the nine benchmarks with one that the paper states, by the authors' sheet."""
    return compare_score(our_average(results, NINE), stated.recomputed, HALF_FOURTH_DECIMAL)


def our_average(results: Json, columns: Iterable[str]) -> Score | None:
    """Average our benchmarks for some columns of the paper, as shares; None when one was not measured."""
    tasks, known = read_tasks(results), read_paper().columns
    shares = [to_share(read_metric(tasks, known[name])) for name in columns]
    measured = [share for share in shares if share]
    return average_shares(measured) if len(measured) == len(shares) else None


def read_tasks(results: Json) -> dict[str, Json]:
    """Return the tasks of a model's results.json; raise UserError if it has none."""
    if "tasks" not in results:
        raise UserError("a results.json without `tasks` holds no results of a model")
    tasks: dict[str, Json] = results["tasks"]
    return tasks


def read_metric(tasks: dict[str, Json], column: Column) -> Json:
    """Return our metric for a column; empty when it was not measured."""
    metrics: Json = tasks.get(column.task or "", {}).get("metrics", {})
    metric: Json = metrics.get(column.metric or "", {})
    return metric


def read_in_unit(tasks: dict[str, Json], column: Column) -> Score | None:
    """Return our score for a column in the paper's unit; None when it was not measured."""
    share = to_share(read_metric(tasks, column))
    return scale(share, column.scale) if share else None


def compare_score(ours: Score | None, paper: float, error: float = HALF_DECIMAL) -> ComparedCell:
    """Compare our score with the paper's value, which may be off by `error`."""
    return compare_value(ours.value if ours else None, ours.ci95 if ours else None, paper, error)


def compare_value(
    ours: float | None, ci95: list[float] | None, paper: float, error: float = HALF_DECIMAL
) -> ComparedCell:
    """Compare our number and its interval with the paper's value, which may be off by `error`."""
    outside = None if ci95 is None else paper + error < ci95[0] or paper - error > ci95[1]
    return ComparedCell(ours, paper, None if ours is None else ours - paper, outside)


def compare_preferences(preference: Json, row: Row) -> dict[str, ComparedCell]:
    """Compare a row of table 4 with data/preference/tables.json, by the scores of single replies, ties counted."""
    return {
        name: compare_value(*our_preference(preference, row, cell.column), cell.value)
        for name, cell in row.cells.items()
    }


def our_preference(preference: Json, row: Row, column: Column) -> tuple[float | None, list[float] | None]:
    """Return our number for a cell of table 4 and its interval: a mean score, a rate in percent or a count of flips."""
    if column.against:
        return preference_rate(preference["by_score"], row.id, column.against)
    if row.flips and column.unit == "count":
        tuned, rival = row.flips
        counted = preference["flips"]["pairs"].get(f"{row.id} {tuned}", {}).get(rival, {})
        return counted["flips"] if counted.get("turns") else None, None
    mean = preference["models"].get(row.id, {})
    return mean.get("mean"), complete_interval(mean.get("ci95"))


def preference_rate(pairs: Json, one: str, other: str) -> tuple[float | None, list[float] | None]:
    """Return how often `one` is preferred to `other`, in percent of all turns, and its interval."""
    pair, reversed_pair = pairs.get(f"{one} {other}", {}), pairs.get(f"{other} {one}", {})
    rate = pair.get("rate", reversed_pair.get("rate_other"))
    ci95 = complete_interval(pair.get("ci95", reversed_pair.get("ci95_other")))
    return None if rate is None else 100 * rate, [100 * end for end in ci95] if ci95 else None


def complete_interval(ci95: list[float | None] | None) -> list[float] | None:
    """Return an interval that has both its ends, else None."""
    ends = [end for end in ci95 or [] if end is not None]
    return ends if len(ends) == 2 else None


def add_printed_scores(family: Json, results: Mapping[str, Json]) -> Json:
    """Add to the curves of `compare_sizes` the scores that the paper printed of the same runs."""
    printed = {run: printed_scores(run, results[run]) for run in family["runs"]}
    curves = {
        name: {**curve, "paper": {run: scores[name] for run, scores in printed.items() if name in scores}}
        for name, curve in family["curves"].items()
    }
    return {**family, "curves": curves}


def printed_scores(model: str, results: Json) -> dict[str, float]:
    """Return the scores that the paper printed of a model, by the names of our measures and in their units.

    An average of ours is the paper's where it is over the same nine benchmarks, or the same seven.
    """
    row = next((row for table in BENCHMARK_TABLES for row in read_rows(table) if row.id == model), None)
    if row is None:
        return {}
    units = {task: metric["unit"] for task, entry in results["tasks"].items() if (metric := main_metric(entry))}
    cells = {
        task: cell.value / cell.column.scale * SCALES[units[task]]
        for cell in row.cells.values()
        if (task := cell.column.task or "") in units and results["tasks"][task]["primary"] == cell.column.metric
    }
    columns_by_tasks = {
        frozenset(row.cells[name].column.task for name in columns): columns for columns in AVERAGES.values()
    }
    averages = {
        name: average_row(row, columns_by_tasks[tasks])
        for name, average in results["averages"].items()
        if (tasks := frozenset(average["columns"])) in columns_by_tasks
    }
    return cells | {name: value for name, value in averages.items() if value is not None}
