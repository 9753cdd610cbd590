"""Differences: the verdict on every two compared models, and how much of a difference the training seed makes."""

from collections.abc import Mapping, Sequence
from typing import Any

from stages.lib.comparison.verdicts import Verdict
from stages.lib.console.formats import format_count
from stages.lib.core.types import Json
from stages.lib.report import findings
from stages.lib.report.inputs import Inputs
from stages.lib.report.section import Content, Section

NOT_ANALYSED = "existing replies were analysed; no model was evaluated"
OPPOSITE = {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER}
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
        values={"tables": tables, "matrices": [matrix for matrix in matrices if matrix["rows"]], "tests": TESTS},
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
    return {"name": name, "models": list(rows), "rows": rows, "finding": describe_leader(name, rows)}


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
    verdict = OPPOSITE.get(cell["verdict"], cell["verdict"])
    return {**cell, "value": -cell["value"], "ci95": ci95, "verdict": verdict}


def describe_leader(name: str, rows: Mapping[str, Mapping[str, Json | None]]) -> str:
    """Say of the first model against how many of the others it is better, and against which nothing is decided."""
    if not rows:
        return ""
    leader, cells = next(iter(rows.items()))
    known = {other: cell["verdict"] for other, cell in cells.items() if cell}
    kinds = {verdict: [other for other in known if known[other] == verdict] for verdict in Verdict}
    parts = [f"better than {format_count(len(kinds[Verdict.BETTER]))} of the {len(known)} others"]
    parts += [f"equivalent to {', '.join(kinds[Verdict.EQUIVALENT])}"] if kinds[Verdict.EQUIVALENT] else []
    if undecided := kinds[Verdict.NOT_DECIDED]:
        parts.append(f"not decided against {', '.join(undecided)}")
    return f"{leader} is {'; '.join(parts)}"


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
