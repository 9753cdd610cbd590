"""Suitability: what base models say of the DGMs' replies before training, and how the fine-tunes turned out."""

from collections.abc import Mapping, Sequence
from typing import Any

from stages.lib.core.numbers import num_decimals
from stages.lib.core.types import Json
from stages.lib.report.findings import capitalize, show_cell, to_sentence
from stages.lib.report.inputs import Inputs
from stages.lib.report.section import Chart, Content, Section, describe_scores
from stages.lib.report.svg_scatter import plot_prediction
from stages.lib.suitability.outcomes import LEAST_POINTS, Outcome, correlate, match_outcomes
from stages.lib.suitability.ratio import sort_by_place

NOT_ANALYSED = "nothing is fine-tuned, so there is no base model"
COLUMNS = ("ratio", "surprisal", "rank", "tokens")


def build(inputs: Inputs) -> Content:
    """Read what every base model says of the DGMs."""
    if inputs.is_analysis:
        return Content(skipped=NOT_ANALYSED)
    folder = inputs.files.metrics / "suitability"
    bases = {path.stem: inputs.files.read_json(path) for path in sorted(folder.glob("*.json"))}
    if not bases:
        return Content(skipped="params.yaml names no base model under suitability.bases")
    averages = read_averages(inputs)
    outcomes = {
        base: match_outcomes(numbers, base, inputs.recipes["runs"], averages) for base, numbers in bases.items()
    }
    return Content(
        values={
            "bases": {base: sort_by_place(numbers["dgms"]) for base, numbers in bases.items()},
            "styles": {base: numbers["style_distance"] for base, numbers in bases.items()},
            "decimals": {base: count_decimals(numbers["dgms"]) for base, numbers in bases.items()},
            "outcomes": {base: {each.dgm: each for each in found} for base, found in outcomes.items()},
            "correlations": {base: correlate(found) for base, found in outcomes.items()},
            "least_points": LEAST_POINTS,
            "conditions": describe_scores(inputs.evaluations),
        },
        charts={
            f"suitability-{base}": draw_outcomes(base, found, inputs.colours)
            for base, found in outcomes.items()
            if len(found) > 1
        },
        finding=capitalize(to_sentence(*(describe_order(base, numbers["dgms"]) for base, numbers in bases.items()))),
    )


def read_averages(inputs: Inputs) -> dict[str, Json]:
    """Return the average of every compared model that has one, as a cell (value, ci95)."""
    if not inputs.compare:
        return {}
    scores = inputs.files.read_json(inputs.files.data / "differences" / "tables.json").get("scores", {})
    found = {model: cells.get("average") for model, cells in scores.items()}
    return {model: cell for model, cell in found.items() if cell and cell["value"] is not None}


def count_decimals(dgms: Mapping[str, Json]) -> dict[str, int]:
    """Return how many decimals the intervals of each column support."""
    return {name: num_decimals([each[name] for each in dgms.values()]) for name in COLUMNS}


def describe_order(base: str, dgms: Mapping[str, Json]) -> str:
    """Say which DGM a base model's scores put first, and whether another may be first by the intervals."""
    ranked = [dgm for dgm, numbers in sort_by_place(dgms).items() if numbers["ratio"]["value"] is not None]
    if len(ranked) < 2:
        return ""
    first, *others = ranked
    rivals = [dgm for dgm in others if may_be_first(dgms[dgm]["place"])]
    doubt = f"; by the intervals it may be {' or '.join(rivals)}" if rivals else ""
    return f"for {base} the ratio puts {first} first, at {show_cell(dgms[first]['ratio'])}{doubt}"


def may_be_first(place: Mapping[str, Any]) -> bool:
    """Tell whether the interval of a place holds the first one."""
    return bool(place["ci95"]) and float(place["ci95"][0]) <= 1


def draw_outcomes(base: str, outcomes: Sequence[Outcome], colours: Mapping[str, str]) -> Chart:
    """Draw the average of the fine-tune on each DGM alone over the ratio that predicted it."""
    points = {outcome.dgm: (outcome.ratio, outcome.score) for outcome in outcomes}
    labels = ("Rank-Surprisal Ratio of the DGM (lower predicts better)", "average of the fine-tune")
    return Chart(
        plot_prediction(points, colours, labels, f"prediction and outcome for {base}"),
        title=f"{base}: predicted before training, and how it turned out",
        note="a fine-tune on each DGM alone, of one size; bars: 95 %",
    )


SECTION = Section(
    name="suitability",
    title="Suitability",
    question="Which model should teach?",
    sources={"suitability": "all numbers", "differences": "the averages of the fine-tunes"},
    build=build,
)
