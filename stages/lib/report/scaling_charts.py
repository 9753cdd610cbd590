"""Families of runs of several sizes as charts: a line each, one chart for every score (paper, Fig. 2)."""

from typing import Any

from stages.lib.report.svg import sizes


def points(family: dict[str, Any], curve: dict[str, Any]) -> list[dict[str, Any]]:
    """The points of a curve, the fewest rows first."""
    return [
        {"rows": rows, "paper": curve["paper"].get(run), **curve["points"][run]}
        for run, rows in sorted(family["runs"].items(), key=lambda pair: (pair[1], pair[0]))
    ]


def draw_families(names: list[str], families: list[dict[str, Any]], colours: dict[str, str]) -> dict[str, str]:
    """A chart for each score that one of the runs has."""
    lines = {name: {family["label"]: points(family, family["curves"][name]) for family in families} for name in names}
    return {
        name: sizes(found, colours, f"{name} by number of conversations")
        for name, found in lines.items()
        if any(point["value"] is not None for line in found.values() for point in line)
    }
