"""Style: how much Markdown each model writes, and whether a fine-tune writes like the DGM it was trained on."""

import math
from collections.abc import Mapping

import numpy as np

from stages.lib.core.numbers import num_decimals
from stages.lib.core.types import Json
from stages.lib.report.findings import find_extremes, join_names, rank_cells, to_sentence
from stages.lib.report.inputs import Inputs
from stages.lib.report.section import Chart, Content, Section, cell_of
from stages.lib.report.svg import plot_bars, plot_intervals, plot_matrix
from stages.lib.report.tables.heat import HeatCell, HeatMap, shade_between
from stages.lib.style.markup import FEATURES

INHERITED = 0.5  # of the way from the base's style to the DGM's
INHERITANCE = ("inheritance", "direction", "mean", "median", "factor")  # columns of a fine-tune


def build(inputs: Inputs) -> Content:
    """Read the styles of answers and responses."""
    styling = inputs.files.read_json(inputs.files.data / "styling" / "tables.json")
    families = sort_by_markup(group_by_dgm(styling, inputs.dgms, inputs.runs))
    return Content(
        values={
            "styling": styling,
            "families": families,
            "features": FEATURES,
            "inheritance": INHERITANCE,
            "decimals": count_decimals(families),
            "map": map_factors(styling.get("pairs", {}), rank_compared(styling, inputs)),
        },
        charts=draw_charts(styling, families, inputs),
        numbers={"families": families},
        finding=find_style(styling, families, inputs),
        skipped="" if families else "the profile has no DGM",
        question="" if inputs.runs else "In what style does each model write?",
    )


def group_by_dgm(styling: Json, dgms: list[str], runs: list[str]) -> dict[str, Json]:
    """Return for each DGM its style and that of the fine-tunes on it; on the same questions where it is compared."""
    answers, responses = styling.get("answers", {}), styling.get("responses", {})
    families = {}
    for dgm in (dgm for dgm in dgms if dgm in {**answers, **responses}):
        tuned = {pair["run"]: pair for pair in styling["fine_tunes"] if pair["dgm"] == dgm}
        families[dgm] = {
            "label": dgm if dgm in answers else f"{dgm} responses",
            "style": answers[dgm] if dgm in answers else responses[dgm],
            "runs": {run: {"style": answers[run], **tuned[run]} for run in runs if run in tuned},
            "bases": sorted({pair["base"] for pair in tuned.values()} & set(answers)),
        }
    return families


def sort_by_markup(families: Mapping[str, Json]) -> dict[str, Json]:
    """Sort DGMs by the Markdown that they write, the most first, and so the fine-tunes on each of them."""
    return {
        dgm: family | {"runs": {run: family["runs"][run] for run in rank_styles(styles_of(family["runs"]))}}
        for dgm in rank_styles(styles_of(families))
        for family in [families[dgm]]
    }


def styles_of(models: Mapping[str, Json]) -> dict[str, Json]:
    """Return the style of each model."""
    return {model: each["style"] for model, each in models.items()}


def rank_styles(styles: Mapping[str, Json]) -> list[str]:
    """Return models by the Markdown that they write, the most first, those of which it is not known last."""
    ranked = rank_cells({model: {"value": style["features"]["markup"]["mean"]} for model, style in styles.items()})
    return [*ranked, *(model for model in styles if model not in ranked)]


def rank_compared(styling: Json, inputs: Inputs) -> list[str]:
    """Rank the compared models, else the DGMs, by the Markdown that they write, the most first."""
    styles = styling.get("answers" if inputs.compare else "responses", {})
    return rank_styles({model: styles[model] for model in inputs.compare or inputs.dgms if model in styles})


def count_decimals(families: Mapping[str, Json]) -> dict[str, int]:
    """Return how many decimals the intervals of each feature and of each measure of inheritance support."""
    runs = [run for family in families.values() for run in family["runs"].values()]
    styles = [each["style"]["features"] for each in [*families.values(), *runs]]
    columns = {name: [cell_of(None, style[name]["ci95"]) for style in styles] for name in FEATURES}
    columns |= {name: [cell_of(None, run[name]["ci95"]) for run in runs if run.get(name)] for name in INHERITANCE}
    return {name: num_decimals(cells) for name, cells in columns.items()}


def find_style(styling: Json, families: Mapping[str, Json], inputs: Inputs) -> str:
    """Say who writes the most Markdown and who the least, and which fine-tunes took over their DGM's style."""
    known = {model: styling.get("answers", {}).get(model) for model in inputs.compare}
    styles = {model: style for model, style in known.items() if style} or styling.get("responses", {})
    markup = {model: style["features"]["markup"] for model, style in styles.items()}
    cells = {model: cell_of(cell["mean"], cell["ci95"]) for model, cell in markup.items()}
    extremes = find_extremes(
        cells, "writes the most Markdown (elements per reply)", "the least", "writes Markdown elements per reply:"
    )
    return to_sentence(extremes, describe_inheritance(families))


def describe_inheritance(families: Mapping[str, Json]) -> str:
    """Say which fine-tunes took over the style of their DGM: the interval of their inheritance lies above a half."""
    pairs = [
        (run, cell)
        for family in families.values()
        for run, pair in family["runs"].items()
        for cell in [pair["inheritance"]]
        if cell and cell["value"] is not None and cell["ci95"]
    ]
    if not pairs:
        return ""
    near = [run for run, cell in pairs if cell["ci95"][0] > INHERITED]
    noun = "fine-tune is" if len(pairs) == 1 else "fine-tunes are"
    names = f" ({join_names(near)})" if near else ""
    return f"{len(near)} of {len(pairs)} {noun} nearer in style to their DGM than to their base{names}"


def draw_charts(styling: Json, families: Mapping[str, Json], inputs: Inputs) -> dict[str, Chart]:
    """Draw each DGM with the fine-tunes on it, the markup by DGM, and the profile of every feature."""
    answers = {model: styling["answers"][model] for model in inputs.compare if model in styling.get("answers", {})}
    responses = {dgm: styling["responses"][dgm] for dgm in inputs.dgms if dgm in styling.get("responses", {})}
    answers, responses = ({name: each[name] for name in rank_styles(each)} for each in (answers, responses))
    return (
        draw_families(families, answers, inputs.colours)
        | draw_responses(responses, inputs.colours)
        | draw_profile("styles-profile", answers, "answers to the questions", "answer")
        | draw_profile("styles-profile of responses", responses, "responses to the prompts", "response")
    )


def draw_families(
    families: Mapping[str, Json], answers: Mapping[str, Json], colours: Mapping[str, str]
) -> dict[str, Chart]:
    """Draw the markup of each DGM, the fine-tunes on it and their bases, all on the same axis."""
    rows = {dgm: list_bars(dgm, family, answers) for dgm, family in families.items() if family["runs"]}
    most = max((value for bars_of_dgm in rows.values() for _, value, _ in bars_of_dgm), default=0)
    styles = [*answers.values(), *(family["style"] for family in families.values())]
    decimals = num_decimals([cell_of(None, style["features"]["markup"]["ci95"]) for style in styles])
    return {
        f"styles-family {dgm}": Chart(
            plot_bars(bars_of_dgm, colours, most, decimals, f"markup per answer: {dgm} and the fine-tunes on it"),
            title=f"{dgm} and the fine-tunes on it",
            note=describe_bars(dgm, families[dgm]),
        )
        for dgm, bars_of_dgm in rows.items()
    }


def describe_bars(dgm: str, family: Json) -> str:
    """Say what the bars of a DGM and its fine-tunes are over, and whether they can be compared."""
    if family["label"] == dgm:
        return "markup elements per answer to the questions"
    return f"markup elements per answer; {dgm} answered other prompts, so its bar is not comparable with the others"


def list_bars(dgm: str, family: Json, answers: Mapping[str, Json]) -> list[tuple[str, float, str]]:
    """Return (label, markup per answer, model) of a DGM, of the fine-tunes on it, and of what those were before."""
    styles = {f"{dgm} (DGM)": (family["style"], dgm)}
    styles |= {run: (answers[run], run) for run in family["runs"]}
    styles |= {f"{base} (before)": (answers[base], base) for base in family["bases"]}
    return [(label, style["features"]["markup"]["mean"] or 0.0, model) for label, (style, model) in styles.items()]


def draw_responses(responses: Mapping[str, Json], colours: Mapping[str, str]) -> dict[str, Chart]:
    """Draw the markup per response of every DGM, where there are several."""
    if len(responses) < 2:
        return {}
    markup = {dgm: style["features"]["markup"] for dgm, style in responses.items()}
    cells = {dgm: cell_of(cell["mean"], cell["ci95"]) for dgm, cell in markup.items()}
    chart = Chart(
        plot_intervals(cells, colours, "markup per response by DGM"),
        title="Markdown in the responses to the prompts",
        note="elements per response, 95 % interval",
    )
    return {"styles-responses": chart}


def map_factors(pairs: Mapping[str, Json], models: list[str]) -> HeatMap:
    """Return the factor by which the style of every two models differs, shaded by its logarithm."""
    factors = [pair["factor"] for pair in pairs.values() if pair["factor"] is not None]
    most = max(factors, default=1.0)

    def show(pair: Json) -> HeatCell:
        mean = "–" if pair["mean"] is None else f"×{pair['mean']:.2f}"  # noqa: RUF001  (a dash, a sign)
        lines = [f"mean {mean}", f"n = {pair['turns']:,}"]
        if pair["factor"] is None:
            return HeatCell("–", lines=lines)  # noqa: RUF001  (a dash)
        return HeatCell(
            f"{pair['factor']:.2f}", shade_between(math.log(pair["factor"]), 0, math.log(most)), lines=lines
        )

    rows = {
        one: {other: show(pairs[f"{one} {other}"]) if f"{one} {other}" in pairs else None for other in models}
        for one in models
    }
    return HeatMap("factor", "and", rows, ("1.00, alike", f"{most:.2f}, least alike"))


def draw_profile(name: str, styles: Mapping[str, Json], title: str, text: str) -> dict[str, Chart]:
    """Draw every feature of every model, dark to light by its share of the most that one of them has."""
    if len(styles) < 2:
        return {}
    means = np.array([[style["features"][name]["mean"] or 0.0 for name in FEATURES] for style in styles.values()])
    shares = means / np.where(means.max(axis=0) > 0, means.max(axis=0), 1.0)
    columns = [feature.replace("_", " ") for feature in FEATURES]
    chart = Chart(
        plot_matrix(list(styles), columns, means, shares, "style by model"),
        title=f"Style profile, {title}",
        note=f"elements per {text}; in each column the model with the most is the darkest",
        is_wide=True,
    )
    return {name: chart}


SECTION = Section(
    name="style",
    title="Style",
    question="Is style inherited?",
    sources={"styling": "all numbers"},
    build=build,
)
