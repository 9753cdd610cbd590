"""Throughput and cost: how fast each DGM answered, and what its conversations cost."""

from collections.abc import Mapping
from math import inf

from stages.lib.core.files import SUMMARY
from stages.lib.core.numbers import num_decimals
from stages.lib.core.types import Json
from stages.lib.report.findings import rank_cells, show_cell, to_sentence
from stages.lib.report.inputs import Inputs
from stages.lib.report.section import Chart, Content, Section, describe_scores
from stages.lib.report.svg_scatter import Offer, plot_offers, plot_scatter

NOT_ANALYSED = "the replies existed already; how long they took is not known"


def build(inputs: Inputs) -> Content:
    """Read speed and cost of every DGM."""
    if inputs.is_analysis:
        return Content(skipped=NOT_ANALYSED)
    summary = inputs.files.read_json(inputs.files.data / "throughput" / SUMMARY)
    times = read_times(summary["dgms"])
    comparisons = summary["cost_and_quality"]["comparisons"]
    comparisons = [each | {"rows": sort_by_cost(each["rows"])} for each in comparisons]
    named = {f"cost-quality-{number}": comparison for number, comparison in enumerate(comparisons, start=1)}
    quality = {name: draw_cost_and_quality(comparison, inputs.colours) for name, comparison in named.items()}
    return Content(
        values={
            "summary": summary,
            "dgms": sort_by_time(times, [dgm for dgm in inputs.dgms if dgm in summary["dgms"]]),
            "comparisons": named,
            "conditions": describe_scores(inputs.evaluations),
            "totals": sort_totals(summary["totals"], [*inputs.dgms, *inputs.runs, *inputs.compare]),
        },
        charts=draw_speed_by_size(summary, inputs.colours) | quality,
        skipped="" if summary["dgms"] else "the profile has no DGM",
        finding=find_fastest(times),
    )


def read_times(speeds: Mapping[str, Json]) -> dict[str, Json]:
    """Return the time per 1,000 kept conversations of each DGM of which it is known, as a cell (value, ci95)."""
    kept = {dgm: speed.get("seconds_per_1000_kept") for dgm, speed in speeds.items()}
    return {dgm: cell for dgm, cell in kept.items() if cell and cell["value"] is not None}


def sort_by_time(times: Mapping[str, Json], dgms: list[str]) -> list[str]:
    """Sort DGMs by their time per 1,000 kept conversations, the fastest first, those of which it is not known last."""
    return sorted(dgms, key=lambda dgm: times[dgm]["value"] if dgm in times else inf)


def sort_by_cost(rows: Mapping[str, Json]) -> dict[str, Json]:
    """Sort the models of a comparison by their cost, the cheapest first; a JSON file has them by name."""
    return dict(sorted(rows.items(), key=lambda item: float(item[1]["cost"]["value"])))


def find_fastest(times: Mapping[str, Json]) -> str:
    """Say which DGM takes the least time for 1,000 kept conversations, and which the most."""
    ranked = rank_cells(times)[::-1]
    if not ranked:
        return ""
    decimals = num_decimals(list(times.values()))
    least, most = (f"{show_cell(times[dgm], decimals)} s" for dgm in (ranked[0], ranked[-1]))
    slowest = f"{ranked[-1]} the most, {most}" if len(ranked) > 1 else ""
    return to_sentence(f"{ranked[0]} takes the least time per 1,000 kept conversations, {least}", slowest)


def sort_totals(totals: Json, ids: list[str]) -> dict[str, Json]:
    """Return the cost of each step by model, in the order of these ids, then the others, and last of all together."""
    models = totals["models"]
    known = [model for model in dict.fromkeys([*ids, *models]) if model in models]
    return {model: models[model] for model in known} | {"all": totals["all"]}


def draw_speed_by_size(summary: Json, colours: Mapping[str, str]) -> dict[str, Chart]:
    """Draw tokens per second over the paper's proxy for a model's cost (sec. 2.2), where both are known."""
    points = {
        dgm: (speed["window_times_parameters"], speed["tokens_per_second"])
        for dgm, speed in summary["dgms"].items()
        if speed.get("tokens_per_second") and speed["window_times_parameters"]
    }
    if not points:
        return {}
    labels = ("context window (tokens) times parameters (billions)", "tokens per second")
    chart = Chart(
        plot_scatter(points, colours, labels, "throughput by size"),
        title=describe_correlation(summary),
        note="input and output tokens per second over the size of a DGM; both axes logarithmic",
    )
    return {"throughput-size": chart}


def describe_correlation(summary: Json) -> str:
    """Say how speed goes with size."""
    correlation = summary.get("correlation_with_window_times_parameters", {})
    value = correlation.get("tokens_per_second")
    if value is None:
        return "Speed by size; a correlation needs three DGMs of known size"
    return f"Speed by size: rank correlation {value:+.2f} over {correlation['dgms']} DGMs"


def draw_cost_and_quality(comparison: Json, colours: Mapping[str, str]) -> Chart:
    """Draw the averages of models over the cost of their DGMs, with the Pareto set."""
    offers = {
        model: Offer(
            row["cost"]["value"], row["average"]["value"], row["cost"]["ci95"], row["average"]["ci95"], row["is_in_set"]
        )
        for model, row in comparison["rows"].items()
    }
    return Chart(
        plot_offers(
            offers, colours, (f"{comparison['unit']} per 1,000 kept conversations", "average"), "cost and quality"
        ),
        title=describe_set(comparison["rows"]),
        note=f"{comparison['label']}, on {comparison['hardware']}; filled: in the Pareto set, ring: not; bars: 95 %",
    )


def describe_set(rows: Mapping[str, Json]) -> str:
    """Name the Pareto set in a sentence, and say whether it is certain."""
    names = ", ".join(model for model, row in rows.items() if row["is_in_set"])
    doubt = "" if all(row["is_certain"] for row in rows.values()) else "; by the intervals, this is not certain"
    return f"Nothing is both cheaper and better than {names}{doubt}"


SECTION = Section(
    name="throughput",
    title="Throughput and cost",
    question="How fast were the DGMs, and what did they cost?",
    sources={"throughput": "all numbers"},
    build=build,
)
