"""Every chart of the page, by section and name, and what is seen on it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np

from stages.lib.core.types import Json
from stages.lib.judging.significant_words import split_by_side, word_label
from stages.lib.report.benchmark_table import leaders
from stages.lib.report.clustering import FEWEST, square
from stages.lib.report.inputs import Inputs
from stages.lib.report.scaling_charts import draw_families
from stages.lib.report.svg import bars, curves, grid, heat, intervals, opposed, scatter, spider, stacks
from stages.lib.style.markup import FEATURES

PALETTE = ("#d55e00", "#0072b2", "#009e73", "#d98f00", "#45a3dc", "#cc79a7", "#8a6d3b")  # after Okabe and Ito
IN_SPIDER = 5  # lines that can be told apart
NUM_WORDS = 10  # of each side

Charts = dict[str, dict[str, str]]


def draw(inputs: Inputs, page: Json) -> Charts:
    """The page's charts as SVG."""
    colour = page["colours"]
    return {
        "scores": draw_scores(page["benchmarks"], colour),
        "spider": draw_spider(page["benchmarks"], inputs, colour),
        "judge": draw_judge(inputs, page["judged"], colour),
        "similarity": draw_similarity(inputs.pairs),
        "styles": draw_styles(inputs, page["families"], colour),
        "scaling": draw_families(inputs.agreement.get("names", []), inputs.agreement.get("scaling", []), colour),
        "runs": draw_runs(inputs, page["sources"], colour),
        "throughput": draw_throughput(inputs.throughput["dgms"], colour),
    }


def draw_scores(table: Json, colour: Mapping[str, str]) -> dict[str, str]:
    """A chart of intervals for every average and benchmark."""
    columns = [*table["averages"], *table["tasks"]] if table["rows"] else []
    return {
        name: intervals({key: row[name] for key, row in table["rows"].items()}, colour, f"{name} by model")
        for name in columns
    }


def draw_spider(table: Json, inputs: Inputs, colour: Mapping[str, str]) -> dict[str, str]:
    """The best fine-tunes on every benchmark (paper, Fig. 1), where there are three benchmarks."""
    models = in_spider(table, inputs)
    if not models:
        return {}
    lines = {model: [table["rows"][model][task]["value"] for task in table["tasks"]] for model in models}
    if len({colour[model] for model in models}) < len(models):
        colour = paint(models)  # or lines could not be told apart
    return {"benchmarks": spider(table["tasks"], lines, colour, "benchmarks of the best fine-tunes")}


def paint(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name, in turn."""
    return dict(zip(names, cycle(PALETTE), strict=False))


def in_spider(table: Json, inputs: Inputs) -> list[str]:
    """The models on the spider chart: the best fine-tunes, or the best of all where none is compared."""
    if len(table["tasks"]) < 3:
        return []
    return leaders(table, inputs.runs, IN_SPIDER) or leaders(table, inputs.compare, IN_SPIDER)


def draw_judge(inputs: Inputs, models: list[str], colour: Mapping[str, str]) -> dict[str, str]:
    """The judge's mean score of every model that has one, and the words of its verdicts."""
    cells = {
        model: {"value": found["mean"], "ci95": found["ci95"] if None not in found["ci95"] else None}
        for model in models
        if (found := inputs.preference["models"][model])["mean"] is not None
    }
    charts = {"score": intervals(cells, colour, "the judge's score by model")} if cells else {}
    words = telling(inputs.words)
    return charts | ({"words": opposed(words, "words of the judgments by winner")} if words else {})


def telling(words: list[Json]) -> list[tuple[str, int, int]]:
    """The surest words of either side, with how many judgments of the loser and of the winner alone have them."""
    return [
        (word_label(word), word["only_loser"], word["only_winner"])
        for side in split_by_side(words, "only_winner", "only_loser")
        for word in side[:NUM_WORDS]
    ]


def draw_similarity(pairs: Mapping[str, Any]) -> dict[str, str]:
    """How alike every two DGMs answer, where there are more than two."""
    names, values = square(pairs, "rouge1")
    return {"rouge1": heat(names, values, "ROUGE-1 of every two DGMs")} if len(names) >= FEWEST else {}


def draw_styles(inputs: Inputs, families: Json, colour: Mapping[str, str]) -> dict[str, str]:
    """Markup by DGM, the profile of every feature, and each DGM beside the fine-tunes on it."""
    answers, responses = styles_of(inputs, "answers", inputs.compare), styles_of(inputs, "responses", inputs.dgms)
    charts = {}
    if len(responses) > 1:
        cells = {dgm: markup(style) for dgm, style in responses.items()}
        charts["responses"] = intervals(cells, colour, "markup per response by DGM")
    for name, styles in (("profile", answers), ("profile of responses", responses)):
        if len(styles) > 1:
            charts[name] = profile(styles)
    rows = {dgm: style_rows(dgm, family, answers) for dgm, family in families.items() if family["runs"]}
    most = max((value for found in rows.values() for _, value, _ in found), default=0)
    return charts | {
        f"family {dgm}": bars(found, colour, most, f"markup per answer: {dgm} and the fine-tunes on it")
        for dgm, found in rows.items()
    }


def styles_of(inputs: Inputs, kind: str, ids: list[str]) -> dict[str, Json]:
    """The styles of answers or of responses, in the page's order."""
    found = inputs.styling.get(kind, {})
    return {key: found[key] for key in ids if key in found}


def markup(style: Json) -> Json:
    """The markup elements per answer of a style, as a cell."""
    found = style["features"]["markup"]
    return {"value": found["mean"], "ci95": found["ci95"]}


def profile(styles: Mapping[str, Json]) -> str:
    """Every feature of every model, dark to light by its share of the most that one of them has."""
    means = np.array([[style["features"][name]["mean"] or 0.0 for name in FEATURES] for style in styles.values()])
    shares = means / np.where(means.max(axis=0) > 0, means.max(axis=0), 1.0)
    return grid(list(styles), [name.replace("_", " ") for name in FEATURES], means, shares, "style by model")


def style_rows(dgm: str, family: Json, answers: Mapping[str, Json]) -> list[tuple[str, float, str]]:
    """Label, markup per answer and model: a DGM, the fine-tunes on it, and what those were before."""
    styles = {f"{dgm} (DGM)": (family["style"], dgm)}
    styles |= {key: (answers[key], key) for key in family["runs"]}
    styles |= {f"{key} (before)": (answers[key], key) for key in family["bases"]}
    return [(label, style["features"]["markup"]["mean"] or 0.0, model) for label, (style, model) in styles.items()]


def draw_runs(inputs: Inputs, sources: list[str], colour: Mapping[str, str]) -> dict[str, str]:
    """What every run took, and its loss."""
    taken = {
        key: {source: int(mix["sources"][source]["rows"]) for source in sources if source in mix["sources"]}
        for key, mix in inputs.mix.items()
    }
    losses = {key: curve for key, curve in inputs.losses.items() if curve}
    charts = {"mix": stacks(taken, colour, "rows of every run by source")} if taken else {}
    return charts | ({"loss": curves(losses, colour, "training loss of every run")} if losses else {})


def draw_throughput(dgms: Mapping[str, Json], colour: Mapping[str, str]) -> dict[str, str]:
    """Tokens per second over the paper's proxy for a model's cost (sec. 2.2), of what was measured."""
    points = {
        dgm: (found["window_times_parameters"], found["tokens_per_second"])
        for dgm, found in dgms.items()
        if found.get("tokens_per_second") and found["window_times_parameters"]
    }
    labels = ("context window (tokens) times parameters (billions)", "tokens per second")
    return {"size": scatter(points, colour, labels, "throughput by size")} if points else {}


def seen(inputs: Inputs, table: Json) -> dict[str, str]:
    """What is to be seen on charts, as their titles."""
    responses = {dgm: markup(style)["value"] for dgm, style in inputs.styling.get("responses", {}).items()}
    judged = {model: found["mean"] for model, found in inputs.preference.get("models", {}).items()}
    alike = {pair.replace(" ", " and "): scores["rouge1"]["mean"] for pair, scores in inputs.pairs.items()}
    return {
        "spider": seen_on_spider(table, in_spider(table, inputs)),
        "judge": ends(judged, "{0} is scored highest ({1:.2f}), {2} lowest ({3:.2f})"),
        "similarity": ends(alike, "{0} are the most alike ({1:.2f}), {2} the least ({3:.2f})"),
        "style": ends(responses, "{0} writes the most markup ({1:.1f}), {2} the least ({3:.1f})"),
        "throughput": seen_on_throughput(inputs.throughput),
        "words": seen_in_words(telling(inputs.words)),
    }


def ends(values: Mapping[str, float | None], said: str) -> str:
    """Who has the most and who the least, in a sentence of four places; of fewer than two, nothing."""
    known = sorted((value, name) for name, value in values.items() if value is not None)
    if len(known) < 2:
        return "of each"
    (least, last), (most, first) = known[0], known[-1]
    return said.format(first, most, last, least)


def seen_on_spider(table: Json, models: list[str]) -> str:
    """Who is the best of those shown on how many benchmarks."""
    best = Counter[str]()
    for task in table["tasks"]:
        values = {model: table["rows"][model][task]["value"] for model in models}
        most = max((value for value in values.values() if value is not None), default=None)
        best.update(model for model, value in values.items() if value is not None and value == most)
    said = [f"{model} leads on {best[model]}" for model in models if best[model]]
    return f"Of {len(table['tasks'])} benchmarks {', '.join(said)}"


def seen_on_throughput(throughput: Json) -> str:
    """How speed goes with size."""
    found = throughput.get("correlation_with_window_times_parameters", {})
    value = found.get("tokens_per_second")
    if value is None:
        return "Speed by size; a correlation takes three DGMs of known size"
    return f"Speed by size: rank correlation {value:+.2f} over {found['dgms']} DGMs"


def seen_in_words(words: list[tuple[str, int, int]]) -> str:
    """The surest word of each side."""
    of_winners = [word for word, loser, winner in words if winner > loser]
    of_losers = [word for word, loser, winner in words if winner < loser]
    said = [f"“{side[0]}” is said of {whom}" for side, whom in ((of_winners, "winners"), (of_losers, "losers")) if side]
    return ", ".join(said).capitalize()
