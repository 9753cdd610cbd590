"""Throughput and cost: how fast each DGM answered, and what its conversations cost."""

from collections.abc import Mapping

from stages.lib.core.files import SUMMARY
from stages.lib.core.types import Json
from stages.lib.report.inputs import Inputs
from stages.lib.report.section import Chart, Content, Section
from stages.lib.report.svg import plot_scatter

NOT_ANALYSED = "the replies existed already; how long they took is not known"


def build(inputs: Inputs) -> Content:
    """Read speed and cost of every DGM."""
    if inputs.is_analysis:
        return Content(skipped=NOT_ANALYSED)
    summary = inputs.files.read_json(inputs.files.data / "throughput" / SUMMARY)
    return Content(
        values={"summary": summary},
        charts=draw_speed_by_size(summary, inputs.colours),
        skipped="" if summary["dgms"] else "the profile has no DGM",
    )


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


SECTION = Section(
    name="throughput",
    title="Throughput and cost",
    question="How fast were the DGMs, and what did they cost?",
    sources={"throughput": "all numbers"},
    build=build,
)
