"""Differences: the verdict on every two compared models, and how much of a difference the training seed makes."""

from collections.abc import Mapping, Sequence
from typing import Any

from stages.lib.console.formats import format_count
from stages.lib.core.numbers import num_decimals
from stages.lib.core.types import Json
from stages.lib.report import findings
from stages.lib.report.inputs import Inputs
from stages.lib.report.page import format_fixed
from stages.lib.report.section import Content, Section
from stages.lib.report.tables.heat import HeatCell, HeatMap, shade_difference
from stages.lib.statistics.verdicts import Verdict

NOT_ANALYSED = "existing replies were analysed; no model was evaluated"
TESTS = {
    "mcnemar": "McNemar's exact test",
    "permutation": "permutation test",
    "seeds": "Student's test, with the noise of the seeds",
    "independent": "the scores as independent, as they are no means of rows",
}


def build(inputs: Inputs) -> Content:
    """Read the verdicts."""
    if inputs.is_analysis:
        return Content(skipped=NOT_ANALYSED)
    if len(inputs.compare) < 2:
        return Content(skipped="`compare` in params.yaml lists fewer than two models")
    tables = inputs.files.read_json(inputs.files.data / "differences" / "tables.json")
    matrices = [make_matrix(name, tables) for name in (*tables["averages"], "judge", "choices", *tables["benchmarks"])]
    return Content(
        values={"tables": tables, "matrices": [matrix for matrix in matrices if matrix["rows"]]},
        numbers={"differences": count_verdicts(tables)},
        finding=find_verdicts(tables),
    )


def find_verdicts(tables: Json) -> str:
    """Say how many pairs of models differ on average, and by the judge."""
    measures = {"the average": tables["measures"].get("average", {}), "the judge's score": tables["judge"]}
    return findings.capitalize(
        findings.to_sentence(*(findings.count_verdicts(pairs, name) for name, pairs in measures.items()))
    )


def make_matrix(name: str, tables: Json) -> Json:
    """Return a measure as rows of cells by model and model, the best model first; each cell is of row less column."""
    pairs = tables[name] if name in {"judge", "choices"} else tables["measures"][name]
    by_models = {tuple(pair.split(" ")): cell for pair, cell in pairs.items()}
    models = rank(name, tables["models"], by_models, tables["scores"])
    rows = {
        one: {other: find_cell(by_models, one, other) for other in models if other != one}
        for one in models
        if any(one in pair for pair in by_models)
    }
    first = next(iter(rows), "")
    return {
        "name": name,
        "rows": rows,
        "finding": " is ".join(filter(None, [first, findings.describe_lead(first, pairs)])),
        "map": map_differences(rows),
        "test": describe_tests(rows),
    }


def map_differences(rows: Mapping[str, Mapping[str, Json | None]]) -> HeatMap:
    """Return the differences of every two models as a heat map, the deepest shade for the largest one."""
    known = [cell for cells in rows.values() for cell in cells.values() if cell]
    most = max((abs(cell["value"]) for cell in known), default=0.0)
    decimals = num_decimals(known)
    usual = most_common([cell["test"] for cell in known])
    return HeatMap(
        corner="row − column",  # noqa: RUF001  (a minus sign)
        between="−",  # noqa: RUF001  (a minus sign)
        rows={
            one: {
                other: show_difference(cell, most, usual, decimals) if cell else None for other, cell in cells.items()
            }
            for one, cells in rows.items()
        },
        ends=(f"row lower, by {most:.2g}", f"row higher, by {most:.2g}"),
        is_signed=True,
    )


def describe_tests(rows: Mapping[str, Mapping[str, Json | None]]) -> str:
    """Name the test of the cells; where they have several, the one that no cell names."""
    tests = [cell["test"] for cells in rows.values() for cell in cells.values() if cell]
    words = TESTS.get(most_common(tests), "")
    return f"{words}, where a cell names no other" if len(set(tests)) > 1 else words


def most_common(tests: Sequence[str]) -> str:
    """Return the test of the most cells, the first of equals; empty without a cell."""
    return max(sorted(set(tests)), key=tests.count, default="")


def show_difference(cell: Json, most: float, usual: str, decimals: int) -> HeatCell:
    """Return a difference with its verdict, how many rows would decide it, and what its verdict rests on."""
    is_short = bool(cell["rows_to_decide"] and cell["rows_to_decide"] > cell["n"])
    needed = [f"{format_count(cell['rows_to_decide'])} needed"] if is_short else []
    return HeatCell(
        text=format_fixed(cell["value"], decimals, "+"),
        shade=shade_difference(cell["value"], most),
        verdict=cell["verdict"],
        lines=[cell["verdict"], *needed],
        details=describe_difference(cell, usual, decimals) if cell["ci95"] else "",
    )


def describe_difference(cell: Json, usual: str, decimals: int) -> str:
    """Say what a verdict rests on: the interval, q, n, the test unless it is the usual one, the share of the seed."""
    low, high = (format_fixed(end, decimals, "+") for end in cell["ci95"])
    parts = [f"{low} to {high}", f"q {cell['q']:.2g}", f"n = {format_count(cell['n'])}"]
    parts += [] if cell["test"] == usual else [TESTS[cell["test"]]]
    if cell["seed_share"] is not None:
        parts.append(f"at most {100 * cell['seed_share']:.0f} % of the variance is the seed's")
    return "; ".join(parts)


def rank(name: str, models: Sequence[str], pairs: Mapping[Any, Json], scores: Json) -> list[str]:
    """Return the models, the highest score first; by the judge, those that lead by the most on average."""
    if name in {"judge", "choices"}:
        leads: dict[str, list[float]] = {model: [] for model in models}
        for (one, other), cell in pairs.items():
            leads[one].append(cell["value"])
            leads[other].append(-cell["value"])
        means = {model: sum(each) / len(each) for model, each in leads.items() if each}
    else:
        means = {model: scores[model][name]["value"] for model in models if name in scores[model]}
    return sorted(means, key=lambda model: -means[model])


def find_cell(pairs: Mapping[Any, Json], one: str, other: str) -> Json | None:
    """Return the difference of one model less another, whichever of them its pair names first; None without one."""
    if (one, other) in pairs:
        return pairs[one, other]
    return turn(pairs[other, one]) if (other, one) in pairs else None


def turn(cell: Json) -> Json:
    """Return a difference seen from the other model."""
    ci95 = [-end for end in reversed(cell["ci95"])] if cell["ci95"] else None
    verdict = findings.OPPOSITE.get(cell["verdict"], cell["verdict"])
    return {**cell, "value": -cell["value"], "ci95": ci95, "verdict": verdict}


def count_verdicts(tables: Json) -> dict[str, dict[str, int]]:
    """Count the verdicts by measure."""
    measures = tables["measures"] | {name: tables[name] for name in ("judge", "choices") if tables[name]}
    return {
        name: {verdict.value: sum(cell["verdict"] == verdict for cell in cells.values()) for verdict in Verdict}
        for name, cells in measures.items()
    }


SECTION = Section(
    name="differences",
    title="Differences",
    question="Is the difference real?",
    sources={"differences": "all numbers"},
    build=build,
)
