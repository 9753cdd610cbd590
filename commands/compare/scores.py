"""Two compared models: verdicts by benchmarks and averages, by a judge's scores, and by its choices."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from commands.compare.lines import Line, Unit, no_line
from commands.compare.sides import Side
from stages.differences import compare_choices, compare_judged
from stages.lib.comparison.differences import compare_pairs
from stages.lib.comparison.evaluations import Evaluations, read_evaluations
from stages.lib.comparison.scores import to_cell
from stages.lib.core.files import read_json
from stages.lib.core.pairs import Pair, pair_key
from stages.lib.core.types import Json
from stages.lib.evaluation.results import SCALES
from stages.lib.judging.judgment_grid import COLUMNS as JUDGMENT_COLUMNS
from stages.lib.judging.judgment_grid import JudgmentGrid, align_judgments, read_judged
from stages.lib.judging.preference import mean_scores
from stages.lib.judging.stopped import read_stops
from stages.lib.settings.sections import Differences, Preference
from stages.preference import compare_choices as count_choices

JUDGE, CHOICES = "judge's score", "judge's choices"


def read_scores(sides: tuple[Side, Side]) -> tuple[Evaluations, dict[str, Json]]:
    """Read the evaluations of both sides, of a run those of all its seeds; and both results.json by name.

    Benchmarks whose rows are not the same on both sides, and averages of them, are compared as independent.
    """
    folders = {side.name: side.evaluations() for side in sides}
    seeds = {name: list(models) for name, models in folders.items() if len(models) > 1}
    evaluations = read_evaluations(dict(chain.from_iterable(models.items() for models in folders.values())), seeds)
    results = {name: read_json(models[name] / "results.json") for name, models in folders.items()}
    changed = set(find_changed_rows(results))
    unpaired = changed | {
        name
        for content in results.values()
        for name, average in content["averages"].items()
        if changed & set(average["columns"])
    }
    rows = {name: rows for name, rows in evaluations.rows.items() if name not in unpaired}
    return replace(evaluations, rows=rows), results


def find_changed_rows(results: Mapping[str, Json]) -> list[str]:
    """Return the benchmarks whose rows have another sha256, or another version, on either side."""
    one, other = (content["tasks"] for content in results.values())
    keys = ("data_sha256", "task_version")
    return [task for task in one if task in other and any(one[task].get(k) != other[task].get(k) for k in keys)]


def find_changed_settings(results: Mapping[str, Json]) -> list[str]:
    """Return the settings of the evaluation that differ between both sides."""
    one, other = (content.get("settings", {}) for content in results.values())
    return sorted(key for key in {**one, **other} if one.get(key) != other.get(key))


def compare_benchmarks(evaluations: Evaluations, pair: Pair, settings: Differences) -> list[Line]:
    """Compare both models in every average, then in every benchmark."""
    measures = compare_pairs(evaluations, pair, settings)
    lines = []
    for name in evaluations.measures:
        is_benchmark = name in evaluations.benchmarks
        family = "benchmarks" if is_benchmark else "averages"
        cell = measures[name].get(pair_key(pair))
        if cell is None:
            lines.append(no_line(name, "share", explain_missing(evaluations, pair, name), family))
            continue
        one, other = (to_cell(evaluations.score(model, name)) for model in pair)
        lines.append(Line(name, unit_of(cell["scale"]), one, other, cell, settings.margin * cell["scale"], family))
    return lines


def unit_of(scale: float) -> Unit:
    """Return the unit of scores that are a share when they are divided by this scale."""
    return "share" if scale == SCALES["fraction"] else "points"


def explain_missing(evaluations: Evaluations, pair: Pair, name: str) -> str:
    """Say which of both has no score in a measure, and why."""
    missing = {model: evaluations.scores[model].missing.get(name, "no score") for model in pair}
    return "; ".join(f"{model}: {why}" for model, why in missing.items() if not evaluations.has(model, name))


def read_grid(sides: tuple[Side, Side]) -> JudgmentGrid:
    """Read the judgments of both sides on the same turns."""
    return align_judgments({
        side.name: read_judged(side.out("models", "judgments"), JUDGMENT_COLUMNS) for side in sides
    })


def compare_scores(grid: JudgmentGrid, settings: Differences) -> Line:
    """Compare both models by the judge's scores of their answers."""
    family = "the judge's scores: one test"
    cell = compare_judged(grid, settings).get(" ".join(grid.models))
    if cell is None:
        return no_line(JUDGE, "points", "the answers of one or both have no scores", family)
    means = [mean_scores(grid)[model] for model in grid.models]
    ones, others = ({"value": mean["mean"], "ci95": known_interval(mean["ci95"])} for mean in means)
    return Line(JUDGE, "points", ones, others, cell, settings.margin_judge, family, counted="questions")


def known_interval(ends: list[float]) -> list[float] | None:
    """Return an interval as floats; None where an end is not known."""
    return [float(end) for end in ends] if np.isfinite(ends).all() else None


def compare_side_by_side(
    sides: tuple[Side, Side], grid: JudgmentGrid, settings: Differences, preference: Preference
) -> Line | None:
    """Compare both models by the judge's choices between their answers; None where it saw none side by side."""
    source = sides[0].source
    folder = source.shared_out("pairwise") if source is sides[1].source else None
    named = replace(grid, models=[side.model for side in sides])  # as the rows name them, without a commit
    cells = read_pair_choices(folder, named, preference) if folder else {}
    key = " ".join(named.models)
    if not cells or not cells[key]["turns"]:
        return None
    cell = compare_choices({"side_by_side": {"pairs": cells}}, settings)[key]
    ones, others = (
        {"value": cells[key][f"rate{of}"], "ci95": known_interval(cells[key][f"ci95{of}"])} for of in ("", "_other")
    )
    family = "the judge's choices: one test"
    return Line(CHOICES, "share", ones, others, cell, settings.margin_choices, family, counted="questions")


def read_pair_choices(folder: Path, grid: JudgmentGrid, preference: Preference) -> dict[str, Json]:
    """Count the choices between the two models of a grid; empty where there are none."""
    table = read_judged(folder)
    ours = table.filter(pc.field("one").isin(grid.models) & pc.field("other").isin(grid.models))
    pairs: dict[str, Json] = count_choices(ours, grid, preference, read_stops(folder))["pairs"]
    return pairs
