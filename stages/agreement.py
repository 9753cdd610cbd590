"""Runs and models held against one another and against the paper (sec. 3.2, Fig. 2, App. B, App. D, Tab. 2, 4, 6, 7).

In:  data/evaluations/<model>/ of every compared model, data/preference/ (Tab. 4), metrics/recipes.json, metrics/mix/
     (the rows of every run), the families that the catalogue names
Out: data/agreement/: tables.json (all, for the page), summary.json (the numbers of it that git keeps)
"""

from collections.abc import Mapping
from pathlib import Path

from stages.lib.comparison.beside_paper import (
    Beside,
    average_beside,
    beside,
    preferences_beside,
    printed_of,
    stated_beside,
)
from stages.lib.comparison.comparisons import FineTune, agreement, benchmarks_of, blends, names_of, on_policy, scaling
from stages.lib.comparison.paper import BENCHMARKS, NINE, SEVEN, Row, published, read_paper, recomputed
from stages.lib.core.artifacts import require_compared
from stages.lib.core.files import SUMMARY, new_folder, read_json, write_json
from stages.lib.core.numbers import round_decimals
from stages.lib.core.types import Json
from stages.lib.evaluation.scores import read_scores
from stages.lib.settings.reading import load, load_value, run
from stages.lib.settings.sections import Amount, Mix, Run

METRICS = Path("metrics")
FAMILIES = Path("data/checked/families.json")  # of each model of the profile, from the catalogue
AVERAGES = {"nine": NINE, "seven": SEVEN}


def tuned(name: str, entry: Run, recipe: Json, mix: Json) -> FineTune:
    """A run as the comparisons see it."""
    whole = sum(entry.dgms.values())
    weights = {dgm: round(weight / whole, 9) for dgm, weight in sorted(entry.dgms.items()) if weight}
    return FineTune(
        id=name,
        base=entry.base,
        weights=weights,
        extras=extras_text(entry),
        take=sum(recipe["sources"][dgm]["take"]["rows"] for dgm in weights),
        rows=sum(mix["sources"].get(dgm, {}).get("rows", 0) for dgm in weights),
    )


def extras_text(entry: Run) -> str:
    """What a run takes besides its DGMs' conversations, in words that are equal when it is; empty: nothing."""
    amounts = {
        name: " ".join(f"{key} {value}" for key, value in amount.model_dump(exclude_none=True).items())
        if isinstance(amount, Amount)
        else amount
        for name, amount in entry.auxiliary.items()
    }
    sets = [f"{name} ({amount})" for name, amount in sorted(amounts.items())]
    return ", ".join([*sets, *([f"no longer than {entry.reference}"] if entry.reference else [])])


def beside_row(row: Row, pairs: Mapping[str, Beside], averages: Mapping[str, Beside | None]) -> Json:
    """A row of the paper with ours beside it: each cell, and the averages over nine and over seven benchmarks."""
    return {
        "table": row.table,
        "label": row.label,
        "id": row.id,
        "columns": read_paper().tables[row.table].columns,
        "cells": {name: {**vars(found), "half_width": row.cells[name].half_width} for name, found in pairs.items()},
        "averages": {name: vars(found) for name, found in averages.items() if found},
        "printed": row.average,
        "note": row.note,
    }


def published_averages() -> list[Json]:
    """Every row of the paper's benchmark tables with both averages of its printed cells."""
    return [
        {"table": row.table, "label": row.label, "printed": row.average}
        | {name: recomputed(row, columns) for name, columns in AVERAGES.items()}
        for table in BENCHMARKS
        for row in published(table)
    ]


def beside_paper(results: Mapping[str, Json], preference: Json) -> list[Json]:
    """The paper's rows of which we have a model, with at least one number of both; `preference` is for table 4."""
    rows = []
    for row in (row for table in (2, 4, 6, 7) for row in published(table) if row.id in results):
        if row.table in BENCHMARKS:
            averages = {name: average_beside(results[row.id], row, columns) for name, columns in AVERAGES.items()}
            rows.append(beside_row(row, beside(results[row.id], row), averages))
        else:
            rows.append(beside_row(row, preferences_beside(preference, row), {}))
    return [row for row in rows if any(cell["ours"] is not None for cell in row["cells"].values())]


def stated_averages(results: Mapping[str, Json]) -> list[Json]:
    """The averages of the paper's text and figures of which we have a model with all nine benchmarks."""
    stated = [mean for mean in read_paper().averages if mean.id in results]
    rows = [{**mean.model_dump(), **vars(stated_beside(results[mean.id], mean))} for mean in stated]
    return [row for row in rows if row["ours"] is not None]


def with_printed(family: Json, results: Mapping[str, Json]) -> Json:
    """A family of runs, and what the paper printed of each."""
    printed = {run: printed_of(run, results[run]) for run in family["runs"]}
    curves = {
        name: {**curve, "paper": {run: found[name] for run, found in printed.items() if name in found}}
        for name, curve in family["curves"].items()
    }
    return {**family, "curves": curves}


def summarize(tables: Json) -> Json:
    """The numbers that git keeps, by name."""
    counts = {name: value for name, value in tables["agreement"].items() if name not in {"pairs", "left_out", "ci95"}}
    cells = {(row["id"], name, cell["paper"]): cell for row in tables["paper"] for name, cell in row["cells"].items()}
    measured = [cell for cell in cells.values() if cell["ours"] is not None]
    return {
        "agreement": counts,
        "blends": {name: differences(found) for name, found in tables["blends"]["runs"].items()},
        "on_policy": {group["label"]: differences(group) for group in tables["on_policy"]["groups"]},
        "paper": {"cells": len(measured), "outside": sum(bool(cell["outside"]) for cell in measured)},
        "scaling": {family["label"]: slopes(family) for family in tables["scaling"]},
    }


def slopes(family: Json) -> dict[str, float]:
    """What a doubling adds to every score of which it is known."""
    found = {name: curve["per_doubling"] for name, curve in family["curves"].items()}
    return {name: slope["value"] for name, slope in found.items() if slope}


def differences(found: Json) -> dict[str, float | None]:
    """The difference of every score."""
    return {name: cell["difference"]["value"] for name, cell in found["cells"].items()}


def build_tables(results: dict[str, Json], preference: Json, runs: list[FineTune], families: dict[str, str]) -> Json:
    """All comparisons; `preference` is what the stage of that name found."""
    scores = {model: read_scores(found) for model, found in results.items()}
    require_compared = [run for run in runs if run.id in scores]
    return {
        "names": names_of(scores.values()),
        "benchmarks": benchmarks_of(scores.values()),
        "agreement": agreement(scores, require_compared),
        "blends": blends(scores, require_compared),
        "on_policy": on_policy(scores, require_compared, families),
        "paper": beside_paper(results, preference),
        "published": published_averages(),
        "stated": stated_averages(results),
        "scaling": [with_printed(family, results) for family in scaling(scores, require_compared)],
    }


def read_runs(runs: dict[str, Run]) -> list[FineTune]:
    """Every run of the profile, with the rows that its recipe takes and that its mix has."""
    recipes = read_json(METRICS / "recipes.json")["runs"]
    return [
        tuned(name, entry, recipes[name], read_json(METRICS / "mix" / f"{name}.json")) for name, entry in runs.items()
    ]


READS = ("compare", "mix.runs")


def main() -> None:
    """Compare all that was evaluated."""
    runs = read_runs(load(Mix).runs)
    results = {
        model: read_json(require_compared(model, "evaluations") / "results.json") for model in load_value("compare")
    }
    models = {model for found in runs for model in (found.base, *found.weights)}
    known = read_json(FAMILIES)
    families = {model: known[model] for model in sorted(models)}
    tables = build_tables(results, read_json(Path("data/preference") / "tables.json"), runs, families)
    with new_folder(Path("data/agreement")) as folder:
        write_json(folder / "tables.json", round_decimals(tables))
        write_json(folder / SUMMARY, round_decimals(summarize(tables)))


if __name__ == "__main__":
    run(main)
