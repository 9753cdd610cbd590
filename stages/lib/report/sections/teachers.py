"""Teachers: fine-tunes that differ in one thing only, compared: DGM, size, blend, family (paper, Fig. 2 and sec. 3)."""

from collections.abc import Mapping
from typing import Any

from stages.lib.core.types import Json
from stages.lib.report.inputs import Inputs
from stages.lib.report.palette import assign_colours
from stages.lib.report.section import Chart, Content, Section, describe_scores
from stages.lib.report.svg import plot_scaling

NOT_ANALYSED = "nothing was fine-tuned, so there is no teacher"


def build(inputs: Inputs) -> Content:
    """Read the comparisons of the fine-tunes."""
    if inputs.is_analysis:
        return Content(skipped=NOT_ANALYSED)
    tables = inputs.files.read_json(inputs.files.data / "agreement" / "tables.json")
    families = tables.get("scaling", [])
    colours = assign_colours([family["label"] for family in families])
    return Content(
        values={"tables": tables, "colours": colours, "conditions": describe_scores(inputs.evaluations)},
        charts=draw_scaling(tables.get("names", []), families, colours),
        skipped="" if tables else "no model was compared",
    )


def draw_scaling(names: list[str], families: list[Json], colours: Mapping[str, str]) -> dict[str, Chart]:
    """Draw each score over the number of conversations, a line for each family of runs (paper, Fig. 2)."""
    lines = {
        name: {family["label"]: list_points(family, family["curves"][name]) for family in families} for name in names
    }
    return {
        f"scaling-{name}": Chart(plot_scaling(curves, colours, f"{name} by number of conversations"), title=name)
        for name, curves in lines.items()
        if any(point["value"] is not None for curve in curves.values() for point in curve)
    }


def list_points(family: Mapping[str, Any], curve: Mapping[str, Any]) -> list[Json]:
    """Return the points (rows, value, ci95, paper) of a curve, the fewest rows first."""
    return [
        {"rows": rows, "paper": curve["paper"].get(run), **curve["points"][run]}
        for run, rows in sorted(family["runs"].items(), key=lambda pair: (pair[1], pair[0]))
    ]


SECTION = Section(
    name="teachers",
    title="Teachers",
    question="What makes a good teacher?",
    sources={"agreement": "all numbers"},
    build=build,
)
