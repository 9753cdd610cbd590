"""The benchmark table: every task and average of every compared model, and what is missing and why."""

from collections.abc import Mapping
from typing import Any

from stages.lib.core.types import Json


def benchmarks(scores: Mapping[str, dict[str, float | None]], results: Mapping[str, Json]) -> Json:
    """Rows of cells (value, ci95, n, reason) by model and column, the averages first."""
    averages = columns_of(results)
    named = [task for columns in averages.values() for task in columns]
    tasks = list(dict.fromkeys([*named, *(task for row in scores.values() for task in row if task not in averages)]))
    rows = {model: {task: score(scores[model], results[model], task) for task in tasks} for model in scores}
    for model, row in rows.items():
        row |= {name: average(scores[model].get(name), columns, row) for name, columns in averages.items()}
    gaps = [
        {"model": model, "name": name, "reason": cell["reason"]}
        for model, row in rows.items()
        for name, cell in row.items()
        if cell["value"] is None
    ]
    metrics = {task: ", ".join(sorted({row[task]["metric"] or "" for row in rows.values()})) for task in tasks}
    best = max((row["average"]["value"] for row in rows.values() if row["average"]["value"] is not None), default=None)
    return {
        "tasks": tasks,
        "metrics": metrics | {name: f"of {len(columns)} benchmarks" for name, columns in averages.items()},
        "averages": averages,
        "rows": rows,
        "best": best,
        "missing": gaps,
    }


def score(scores: Mapping[str, float | None], result: Mapping[str, Any], task: str) -> Json:
    """One cell: value and interval, or the reason why there is none."""
    entry = result["tasks"].get(task, {})
    found = entry.get("metrics", {}).get(entry.get("primary"), {})
    cell = {"value": scores.get(task), "ci95": found.get("ci95"), "n": found.get("n"), "reason": ""}
    if cell["value"] is None:
        cell |= {"ci95": None, "reason": entry.get("reason") or "no value was written"}
    return cell | {"metric": entry.get("primary")}


def columns_of(results: Mapping[str, Json]) -> dict[str, list[str]]:
    """The columns of each average of the compared models, `average` first."""
    found: dict[str, list[str]] = {"average": []} if results else {}
    for result in results.values():
        for name, average in result["averages"].items():
            found[name] = list(dict.fromkeys([*found.get(name, []), *average["columns"]]))
    return found


def average(value: float | None, columns: list[str], row: Mapping[str, Json]) -> Json:
    """One average of a model, or which benchmarks it lacks."""
    absent = [task for task in columns if row[task]["value"] is None]
    reason = f"it needs {' and '.join(absent)}" if absent else "no value was written"
    return {"value": value, "ci95": None, "reason": reason if value is None else ""}


def leaders(table: Json, models: list[str], most: int) -> list[str]:
    """So many of these models, the highest average first; those without one last, in their order."""
    values = {model: table["rows"][model]["average"]["value"] for model in models if model in table["rows"]}
    return sorted(values, key=lambda model: -(-1.0 if values[model] is None else values[model]))[:most]
