"""The picture of a table of experiments: every number against a parameter, with intervals, a line for each model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure

from commands.experiments.changes import format_param
from commands.experiments.numbers import Cell
from commands.experiments.screen import BASE
from commands.experiments.table import Row, Table, is_number
from stages.lib.console.errors import UserError
from stages.lib.report.palette import assign_colours
from stages.lib.report.svg import MARKERS, PALE, STYLE, Axes, add_legend, to_svg

MOST_PANELS, ACROSS = 6, 3
PANEL = (300, 230)  # CSS pixels
DOUBLINGS_FROM = 4  # a ratio of the largest to the least value, both above 0, from which the axis is logarithmic
TITLE = "Rewild experiments"
PAGE = (  # black on white, or light on dark
    "svg { color: #101214; background: #ffffff } "
    "@media (prefers-color-scheme: dark) { svg { color: #e8eaed; background: #16181c } }"
)
RING: dict[str, Any] = {"markersize": 11, "markerfacecolor": "none", "markeredgewidth": 1.8}  # the base
SHIFT, MOST_SHIFT = 0.02, 0.08  # of the axis: between two models, and over all


@dataclass(frozen=True)
class Look:
    """How a model is drawn; `shift` is a share of the axis."""

    name: str
    colour: str
    marker: str
    shift: float


def draw_svg(table: Table) -> str:
    """Draw the picture as SVG, light or dark as the reader's system is."""
    with style.context(STYLE, after_reset=True):
        svg = to_svg(draw(table), title_of(table))
    head, tag, rest = svg.partition("</title>")
    return f"{head}{tag}<style>{PAGE}</style>{rest}"


def draw_png(table: Table) -> bytes:
    """Draw the picture as PNG, on white."""
    buffer = BytesIO()
    with style.context(STYLE, after_reset=True):
        draw(table).savefig(
            buffer, format="png", dpi=144, facecolor="white", metadata={"Title": title_of(table), "Software": None}
        )
    return buffer.getvalue()


def title_of(table: Table) -> str:
    """Return the title of the picture."""
    return f"{TITLE}: against {find_key(table)}"


def find_key(table: Table) -> str:
    """Return the parameter that the picture is against; raise UserError where it is not clear which."""
    if not table.keys:
        raise UserError("a picture needs a parameter: name it as KEYS, such as KEYS=mix.size")
    return table.keys[0]


def draw(table: Table) -> Figure:
    """Draw a panel for each of the first numbers that have an interval, and so are measured."""
    key = find_key(table)
    places = find_places([row.params[key] for row in table.rows])
    measures = [name for name in table.measures if any(has_interval(row.numbers.cells.get(name)) for row in table.rows)]
    if not measures:
        raise UserError("there is no number with an interval to draw: `dvc repro` makes them")
    shown = measures[:MOST_PANELS]
    across = min(ACROSS, len(shown))
    down = -(-len(shown) // across)
    figure = Figure(figsize=(PANEL[0] * across / 72, PANEL[1] * down / 72), layout="constrained")
    looks = list_looks(list(table.groups))
    panels = figure.subplots(down, across, squeeze=False).flatten()
    for axes, measure in zip(panels, shown, strict=False):
        axes.set(title=measure, xlabel=key)
        axes.title.set_fontsize(13)
        axes.grid(visible=True, axis="both")
        draw_axis(axes, places)
        for model, rows in table.groups.items():
            draw_line(axes, rows, [places[format_param(row.params[key])] for row in rows], measure, looks[model])
    if any(row.is_base for row in table.rows):
        panels[0].plot([], [], "o", color=PALE, label=BASE, **RING)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    add_legend(figure, panels[0])
    return figure


def list_looks(models: Sequence[str]) -> dict[str, Look]:
    """Return the look of each model: another colour and marker, a little beside the others."""
    colours = assign_colours(models)
    middle = (len(models) - 1) / 2
    step = min(SHIFT, MOST_SHIFT / max(len(models) - 1, 1))
    return {
        model: Look(model, colours[model], MARKERS[number % len(MARKERS)], step * (number - middle))
        for number, model in enumerate(models)
    }


def has_interval(cell: Cell | None) -> bool:
    """Tell whether a number has an interval."""
    return cell is not None and cell.ci95 is not None


def find_places(values: Sequence[Any]) -> dict[str, float]:
    """Return the place of each value on the axis: numbers where they are, else one after the other."""
    if all(map(is_number, values)):
        return {format_param(value): float(value) for value in sorted(values)}
    return {text: float(place) for place, text in enumerate(dict.fromkeys(map(format_param, values)))}


def draw_axis(axes: Axes, places: Mapping[str, float]) -> None:
    """Put a tick at each value, on a logarithmic axis where the values are far apart."""
    least, most = min(places.values()), max(places.values())
    if least > 0 and most >= DOUBLINGS_FROM * least:
        axes.set_xscale("log", base=2)
        axes.set_xlim(least / 1.3, most * 1.3)
    else:
        margin = 0.12 * (most - least) or 1.0
        axes.set_xlim(least - margin, most + margin)
    axes.set_xticks(list(places.values()), list(places), minor=False)
    axes.minorticks_off()


def draw_line(axes: Axes, rows: Sequence[Row], places: Sequence[float], measure: str, look: Look) -> None:
    """Draw the numbers of one model with intervals; a line joins the first at each place. A ring is the base."""
    known = [
        (shift(axes, x, look.shift), row) for x, row in zip(places, rows, strict=True) if measure in row.numbers.cells
    ]
    firsts = {x: row.numbers.cells[measure].value for x, row in reversed(known)}
    if firsts:
        axes.plot(*zip(*sorted(firsts.items()), strict=True), color=look.colour, linewidth=1.4, label=look.name)
    for x, row in known:
        cell = row.numbers.cells[measure]
        if cell.ci95:
            axes.plot([x, x], cell.ci95, color=look.colour, linewidth=4, alpha=0.35, solid_capstyle="round")
        face = RING if row.is_base else {"markersize": 7}
        axes.plot([x], [cell.value], look.marker, color=look.colour, **face)


def shift(axes: Axes, x: float, share: float) -> float:
    """Move a place to the right by a share of the axis, so that the intervals of models do not hide one another."""
    scale = axes.xaxis.get_transform()
    low, high = scale.transform(np.array(axes.get_xlim()))
    return float(scale.inverted().transform(scale.transform(np.array([x])) + share * (high - low))[0])
