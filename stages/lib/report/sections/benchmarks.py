"""Benchmarks: every task and average of every compared model, and what is missing and why."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from stages.lib.core.numbers import num_decimals
from stages.lib.core.types import Json
from stages.lib.evaluation.results import main_metric
from stages.lib.report.findings import count_wins, find_leader, rank_cells, to_sentence
from stages.lib.report.inputs import Inputs
from stages.lib.report.section import Chart, Content, Section, describe_conditions, find_winner
from stages.lib.report.svg import plot_intervals, plot_spider

NOT_ANALYSED = "existing replies were analysed; no model was evaluated"
MOST_IN_SPIDER = 5  # more lines are hard to distinguish
FEWEST_SPOKES = 3
SHARE = "fraction"  # the unit of averages
SMALLEST_PART = 3  # the shared axis is at most this many times as long as what is on one of its charts


def build(inputs: Inputs) -> Content:
    """Read the scores of the compared models, and their intervals and reasons."""
    summaries = inputs.files.read_json_of(inputs.compare, inputs.files.metrics / "evaluate")
    scores = {model: summary["scores"] for model, summary in summaries.items()}
    tables = inputs.files.read_json(inputs.files.data / "differences" / "tables.json") if scores else {}
    table = make_table(scores, inputs.evaluations, tables)
    return Content(
        values={
            "table": table,
            "labels": {name: label(name, table) for name in columns_of(table)},
            "conditions": describe_conditions(inputs.evaluations),
        },
        charts=draw_scores(table, inputs.colours) | draw_spider(table, inputs, tables),
        finding=find_best(table, tables) if scores else "",
        gaps=[f"{gap['name']} of {gap['model']}: {gap['reason']}" for gap in table["missing"]],
        numbers={"benchmarks": table},
        skipped=NOT_ANALYSED if inputs.is_analysis else "" if scores else "`compare` in params.yaml lists no model",
    )


def find_best(table: Json, tables: Json) -> str:
    """Say which model has the highest average, and on how many benchmarks it is better than every other one."""
    cells = {model: row["average"] for model, row in table["rows"].items()}
    ranked, measures = rank_cells(cells), tables["measures"]
    wins = count_wins(ranked[0], measures, table["tasks"]) if len(ranked) > 1 else ""
    return to_sentence(find_leader(cells, measures.get("average", {}), "average"), wins)


def make_table(scores: Mapping[str, dict[str, float | None]], results: Mapping[str, Json], tables: Json) -> Json:
    """Return rows of cells (value, ci95, n, seeds, reason) by model and column, missing cells, and each column's best.

    The model with the highest average is first; models without an average are last.

    `scores` are those of metrics/evaluate by model and column, `results` the results.json of each model; `tables` is
    data/differences/tables.json, from which values and intervals are: of a run with several seeds, those of their mean.
    """
    averages = merge_averages(results)
    averaged = [task for tasks in averages.values() for task in tasks]
    tasks = list(dict.fromkeys([*averaged, *(task for row in scores.values() for task in row if task not in averages)]))
    known = tables.get("scores", {})
    rows = {model: {task: make_cell(known[model], results[model], task) for task in tasks} for model in scores}
    for model, row in rows.items():
        row |= {name: make_average(known[model].get(name), parts, row) for name, parts in averages.items()}
    averages_of = {model: row["average"] for model, row in rows.items()} if averages else {}
    ranked = rank_cells(averages_of)
    rows = {model: rows[model] for model in [*ranked, *(model for model in rows if model not in ranked)]}
    metrics = {task: ", ".join(sorted({row[task]["metric"] or "" for row in rows.values()})) for task in tasks}
    return {
        "tasks": tasks,
        "decimals": {name: num_decimals([row[name] for row in rows.values()]) for name in (*averages, *tasks)},
        "metrics": metrics | {name: f"of {len(parts)} benchmarks" for name, parts in averages.items()},
        "units": {task: unit for task in tasks if (unit := find_unit(results, task))},
        "averages": averages,
        "rows": rows,
        "best": {name: find_winner(list(rows), tables["measures"].get(name, {})) for name in (*averages, *tasks)},
        "missing": find_missing(rows),
    }


def find_unit(results: Mapping[str, Json], task: str) -> str | None:
    """Return the unit of a task's main metric; None where no model has one."""
    metrics = (main_metric(result["tasks"][task]) for result in results.values() if task in result["tasks"])
    return next((metric["unit"] for metric in metrics if metric), None)


def merge_averages(results: Mapping[str, Json]) -> dict[str, list[str]]:
    """Return the tasks of each average of the compared models, `average` first."""
    averages: dict[str, list[str]] = {"average": []} if results else {}
    for result in results.values():
        for name, average in result["averages"].items():
            averages[name] = list(dict.fromkeys([*averages.get(name, []), *average["columns"]]))
    return averages


def make_cell(scores: Mapping[str, Json], result: Mapping[str, Any], task: str) -> Json:
    """Return the cell of a model and a task: value and interval, or the reason why there is none."""
    entry = result["tasks"].get(task, {})
    measured = entry.get("metrics", {}).get(entry.get("primary"), {})
    cell = scores.get(task) or {"value": None, "ci95": None, "seeds": 1}
    reason = "" if task in scores else entry.get("reason") or "no value was written"
    return {**cell, "n": measured.get("n"), "reason": reason, "metric": entry.get("primary")}


def make_average(score: Json | None, tasks: list[str], row: Mapping[str, Json]) -> Json:
    """Return the cell of an average: its value and interval, or which tasks it lacks."""
    absent = [task for task in tasks if row[task]["value"] is None]
    reason = f"it needs {' and '.join(absent)}" if absent else "no value was written"
    return {**(score or {"value": None, "ci95": None, "seeds": 1}), "n": None, "reason": "" if score else reason}


def find_missing(rows: Mapping[str, Mapping[str, Json]]) -> list[Json]:
    """Return every cell without a value, with the reason."""
    return [
        {"model": model, "name": name, "reason": cell["reason"]}
        for model, row in rows.items()
        for name, cell in row.items()
        if cell["value"] is None
    ]


def columns_of(table: Json) -> list[str]:
    """Return the columns of the table in the page's order: the averages first."""
    return [*table["averages"], *table["tasks"]]


def label(name: str, table: Json) -> str:
    """Return the heading of a column."""
    return name.replace("_", " ") if name in table["averages"] else name


def draw_scores(table: Json, colours: Mapping[str, str]) -> dict[str, Chart]:
    """Draw every average and task: the models' scores on their intervals."""
    if not table["rows"]:
        return {}
    columns = {name: {model: row[name] for model, row in table["rows"].items()} for name in columns_of(table)}
    axes = share_axes(columns, table["units"])
    return {
        f"scores-{name}": Chart(
            plot_intervals(cells, colours, f"{name} by model", axes.get(name)),
            title=label(name, table),
            note=table["metrics"][name],
        )
        for name, cells in columns.items()
    }


def share_axes(columns: Mapping[str, Mapping[str, Json]], units: Mapping[str, str]) -> dict[str, tuple[float, float]]:
    """Return the ends of the axis that columns with the same unit share, by column.

    They share none where it would leave one of them less than a third of its chart, in which models could not be told
    apart. An average has no unit of its own: it is a share.
    """
    ends: dict[str, tuple[float, float]] = {}
    for unit in {units.get(name, SHARE) for name in columns}:
        spans = {name: find_span(cells) for name, cells in columns.items() if units.get(name, SHARE) == unit}
        known = {name: span for name, span in spans.items() if span}
        low = min((span[0] for span in known.values()), default=0.0)
        high = max((span[1] for span in known.values()), default=0.0)
        if all(SMALLEST_PART * (span[1] - span[0]) >= high - low for span in known.values()):
            pad = 0.04 * (high - low)
            ends |= dict.fromkeys(known, (low - pad, high + pad))
    return ends


def find_span(cells: Mapping[str, Json]) -> tuple[float, float] | None:
    """Return the lowest and the highest of values and ends of intervals; None without one."""
    numbers = [cell["value"] for cell in cells.values() if cell["value"] is not None]
    numbers += [end for cell in cells.values() for end in cell["ci95"] or ()]
    return (min(numbers), max(numbers)) if numbers and min(numbers) < max(numbers) else None


def draw_spider(table: Json, inputs: Inputs, tables: Json) -> dict[str, Chart]:
    """Draw the best fine-tunes on every benchmark (paper, Fig. 1), where there are three benchmarks."""
    models = choose_for_spider(table, inputs.runs, inputs.compare)
    if not models:
        return {}
    lines = {model: [table["rows"][model][task]["value"] for task in table["tasks"]] for model in models}
    chart = Chart(
        plot_spider(table["tasks"], lines, inputs.colours, "benchmarks of the best fine-tunes"),
        title=count_leads(table, models, tables),
        note="each axis ends at the best score, which is printed there; a gap is a missing score",
    )
    return {"spider-benchmarks": chart}


def choose_for_spider(table: Json, runs: list[str], compare: list[str]) -> list[str]:
    """Return the models on the spider chart: the best fine-tunes, or the best of all where none is compared."""
    if len(table["tasks"]) < FEWEST_SPOKES:
        return []
    return find_leaders(table, runs) or find_leaders(table, compare)


def find_leaders(table: Json, models: list[str]) -> list[str]:
    """Return the best of these models, the highest average first; those without one come last, in their order."""
    values = {model: table["rows"][model]["average"]["value"] for model in models if model in table["rows"]}
    ranked = sorted(values, key=lambda model: -(-1.0 if values[model] is None else values[model]))
    return ranked[:MOST_IN_SPIDER]


def count_leads(table: Json, models: list[str], tables: Json) -> str:
    """Say on how many benchmarks each of the models shown is better than all others of them."""
    best = (find_winner(models, tables["measures"].get(task, {})) for task in table["tasks"])
    leads = Counter(model for model in best if model is not None)
    num_tasks = len(table["tasks"])
    leaders = [model for model in models if leads[model]]
    if not leaders:
        return f"No model is better than all others on any of {num_tasks} benchmarks"
    others = "".join(f", {model} on {leads[model]}" for model in leaders[1:])
    return f"{leaders[0]} is better than the others on {leads[leaders[0]]} of {num_tasks} benchmarks{others}"


SECTION = Section(
    name="benchmarks",
    title="Benchmarks",
    question="Which model does best?",
    sources={"evaluate": "scores", "evaluations": "reasons", "differences": "intervals and verdicts"},
    build=build,
)
