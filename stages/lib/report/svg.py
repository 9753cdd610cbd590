"""Plots charts as SVG in the page's own text colour, light or dark. Equal numbers give equal bytes."""

import re
from collections.abc import Mapping, Sequence
from io import StringIO
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure

from stages.lib.core.numbers import num_decimals
from stages.lib.core.types import Floats

Axes = Any  # matplotlib has no types here
Colours = Mapping[str, str]  # by name

WIDTH = 360  # CSS pixels
ROW = 27
NAME_HEIGHT = 19  # of a name beside a line, with what a chart has above and below its axes
MOST_NAMED, LONGEST_NAME = 10, 24  # lines with a name at their end, and characters of it
MARKERS = "os^DvP*"
DASHES = ("-", "--", "-.", ":")  # the next one when the colours begin again
BLACK = "#101214"
PALE = "#8a8f98"
LOSER = "#d55e00"
WINNER = "#0072b2"
INK = "#010203"  # takes the place of the page's text colour until the SVG is written
STYLE = {
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), INK),
    **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color", "grid.color"), PALE),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "axes.spines.left", "ytick.left"), False),
    "axes.grid": True,
    "axes.grid.axis": "x",
    "axes.axisbelow": True,
    "font.size": 13,
    "grid.alpha": 0.3,
    "svg.fonttype": "none",
    "svg.hashsalt": "rewild",
    "text.parse_math": False,
    "xtick.labelsize": 11,
}


def to_svg(figure: Figure, title: str) -> str:
    """Return a chart as SVG with a title, without the ids that several charts of one page would share."""
    buffer = StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Title": title})
    svg = re.sub(r"<metadata>.*?</metadata>\s*|(?<=<g) id=\"[^\"]*\"", "", buffer.getvalue(), flags=re.DOTALL)
    return svg[svg.index("<svg") :].replace("<svg ", '<svg role="img" ', 1).replace(INK, "currentColor")


def new_row_chart(labels: list[str]) -> tuple[Figure, Axes]:
    """Return an empty chart with one labelled row for each name, the first on top."""
    width = WIDTH + 8 * max(0, max(map(len, labels), default=0) - 18)  # long names take nothing from the chart
    figure = Figure(figsize=(width / 72, (len(labels) * ROW + 36) / 72), layout="constrained")
    axes = figure.add_subplot()
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.locator_params(axis="x", nbins=4)
    return figure, axes


def new_line_chart(height: int, **labels: str) -> tuple[Figure, Axes]:
    """Return an empty chart of a height in CSS pixels, with labelled axes and a grid."""
    figure = Figure(figsize=(WIDTH / 72, height / 72), layout="constrained")
    axes = figure.add_subplot(**labels)
    axes.grid(visible=True, axis="both")
    return figure, axes


def add_legend(figure: Figure, axes: Axes) -> None:
    """Name lines and parts below the chart, which grows by the height of the legend."""
    handles, labels = axes.get_legend_handles_labels()
    width, height = figure.get_size_inches()
    columns = max(1, int(72 * width / (7 * max(map(len, labels), default=1) + 44)))
    figure.set_size_inches(width, height + (-(-len(labels) // columns) * 19 + 10) / 72)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=11)


def name_lines(figure: Figure, axes: Axes, ends: Mapping[str, float], colours: Colours) -> None:
    """Name lines to the right of the chart, where they end; too many or too long names stand in a legend."""
    if len(ends) > MOST_NAMED or max(map(len, ends), default=0) > LONGEST_NAME:
        add_legend(figure, axes)
        return
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    names = sorted(ends, key=ends.__getitem__)
    gap = (high - low) * NAME_HEIGHT / (72 * figure.get_figheight())
    places = spread([max(ends[name], low) for name in names], gap)
    beside = axes.get_yaxis_transform()
    for name, place in zip(names, (place + max(0.0, low - places[0]) for place in places), strict=True):
        stub: dict[str, Any] = {"color": colours[name], "linewidth": 1.6, "clip_on": False, "transform": beside}
        axes.plot([1.01, 1.07], [ends[name], place], **stub)
        axes.text(1.09, place, name, transform=beside, va="center", fontsize=11)


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Move rising values apart until neighbours differ by a gap, as little as possible, around where they were."""
    groups: list[list[float]] = []  # [mean of the first place, number] of values that touch one another
    for value in values:
        groups.append([value, 1])
        while len(groups) > 1 and groups[-2][0] + groups[-2][1] * gap > groups[-1][0]:
            (first, count), (second, more) = groups.pop(-2), groups.pop()
            groups.append([(first * count + (second - count * gap) * more) / (count + more), count + more])
    return [first + gap * number for first, count in groups for number in range(int(count))]


def write_value(axes: Axes, row: int, text: str) -> None:
    """Write the value of a row to the right of the chart."""
    axes.text(1.03, row, text, transform=axes.get_yaxis_transform(), va="center_baseline")


@style.context(STYLE, after_reset=True)
def plot_intervals(
    cells: Mapping[str, dict[str, Any]], colours: Colours, title: str, ends: tuple[float, float] | None = None
) -> str:
    """Plot a dot on its 95 % interval for each name, from cells of value and ci95; no value is written as missing.

    Charts with the same `ends` have the same axis.
    """
    figure, axes = new_row_chart(list(cells))
    decimals = num_decimals(list(cells.values()))
    for row, (name, cell) in enumerate(cells.items()):
        write_value(axes, row, "missing" if cell["value"] is None else f"{cell['value']:.{decimals}f}")
        if cell["ci95"]:
            axes.plot(cell["ci95"], [row, row], color=colours[name], linewidth=5, alpha=0.4, solid_capstyle="round")
        if cell["value"] is not None:
            axes.plot([cell["value"]], [row], "o", color=colours[name], markersize=8)
    if ends:
        axes.set_xlim(*ends)
    return to_svg(figure, title)


@style.context(STYLE, after_reset=True)
def plot_bars(rows: list[tuple[str, float, str]], colours: Colours, most: float, decimals: int, title: str) -> str:
    """Plot a bar for each (label, value, name that decides its colour), on an axis that ends at `most`."""
    figure, axes = new_row_chart([label for label, _, _ in rows])
    for row, (_, value, name) in enumerate(rows):
        axes.barh(row, value, height=0.62, color=colours[name])
        write_value(axes, row, f"{value:.{decimals}f}")
    axes.set_xlim(0, most * 1.02 or 1)
    return to_svg(figure, title)


@style.context(STYLE, after_reset=True)
def plot_stacked_bars(parts: dict[str, dict[str, int]], colours: Colours, title: str) -> str:
    """Plot a bar for each name, made of its parts, with the sum."""
    figure, axes = new_row_chart(list(parts))
    labelled = set[str]()
    for row, counts in enumerate(parts.values()):
        left = 0
        for part, count in counts.items():
            label = "" if part in labelled else part
            axes.barh(row, count, left=left, height=0.62, color=colours[part], label=label)
            labelled.add(part)
            left += count
        write_value(axes, row, f"{left:,}")
    add_legend(figure, axes)
    return to_svg(figure, title)


@style.context(STYLE, after_reset=True)
def plot_opposed_bars(rows: Sequence[tuple[str, int, int]], title: str) -> str:
    """Plot two bars for each (word, loser, winner): the count of losers to the left, of winners to the right."""
    figure, axes = new_row_chart([word for word, _, _ in rows])
    for row, (_, loser, winner) in enumerate(rows):
        axes.barh(row, -loser, height=0.62, color=LOSER)
        axes.barh(row, winner, height=0.62, color=WINNER)
        write_value(axes, row, f"{loser} : {winner}")
    axes.axvline(0, color=PALE, linewidth=1)
    most = max(max(loser, winner) for _, loser, winner in rows)
    axes.set_xlim(-1.05 * most, 1.05 * most)
    axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    return to_svg(figure, title)


@style.context(STYLE, after_reset=True)
def plot_curves(lines: dict[str, list[tuple[float, float]]], colours: Colours, title: str) -> str:
    """Plot a line of (step, loss) for each name."""
    figure, axes = new_line_chart(220, xlabel="step", ylabel="loss")
    for number, (name, points) in enumerate(lines.items()):
        marker = "o" if len(points) == 1 else ""
        dashes = DASHES[number // len(MARKERS) % len(DASHES)]
        line: dict[str, Any] = {"color": colours[name], "linestyle": dashes, "marker": marker, "label": name}
        axes.plot(*zip(*points, strict=True), linewidth=1.8, **line)
    name_lines(figure, axes, {name: points[-1][1] for name, points in lines.items()}, colours)
    return to_svg(figure, title)


@style.context(STYLE, after_reset=True)
def plot_scaling(lines: dict[str, list[dict[str, Any]]], colours: Colours, title: str) -> str:
    """Plot a line of points on their 95 % intervals for each name, over numbers of rows on an axis of doublings.

    A point is {rows, value, ci95, paper}; one without a value is not drawn; a ring is the value that the paper printed.
    """
    figure, axes = new_line_chart(240, xlabel="conversations")
    axes.set_xscale("log", base=2)
    rows = sorted({point["rows"] for points in lines.values() for point in points})
    axes.set_xticks(rows, [format_rows(number) for number in rows], minor=False)
    axes.set_xlim(rows[0] / 1.4, rows[-1] * 1.4)
    ends = {}
    for number, (name, points) in enumerate(lines.items()):
        shift = 2 ** (0.06 * (number - (len(lines) - 1) / 2))  # so that intervals do not hide one another
        known = [(point["rows"] * shift, point) for point in points if point["value"] is not None]
        _add_scaling_line(axes, known, name, colours[name])
        if known:
            ends[name] = known[-1][1]["value"]
    name_lines(figure, axes, ends, colours)
    return to_svg(figure, title)


def _add_scaling_line(axes: Axes, points: list[tuple[float, dict[str, Any]]], name: str, colour: str) -> None:
    """Add a line of (x, point), with intervals and rings."""
    values = [point["value"] for _, point in points]
    line: dict[str, Any] = {"color": colour, "linewidth": 1.6, "markersize": 6, "label": name}
    ring: dict[str, Any] = {"color": colour, "markersize": 10, "markerfacecolor": "none", "markeredgewidth": 1.5}
    axes.plot([x for x, _ in points], values, "o-", **line)
    for x, point in points:
        if point["ci95"]:
            axes.plot([x, x], point["ci95"], color=colour, linewidth=4, alpha=0.35)
        if point["paper"] is not None:
            axes.plot([x], [point["paper"]], "o", **ring)


def format_rows(rows: int) -> str:
    """Return a number of rows, from a thousand in thousands."""
    return f"{rows / 1000:g}k" if rows >= 1000 else str(rows)


@style.context(STYLE, after_reset=True)
def plot_spider(axes: Sequence[str], lines: Mapping[str, Sequence[float | None]], colours: Colours, title: str) -> str:
    """Plot a closed line of points for each name over spokes, each of which ends at the best value on it.

    A missing value is a gap. Lines differ in their markers too, for those who see colours alike.
    """
    best = [max((line[spoke] or 0.0 for line in lines.values()), default=0.0) or 1.0 for spoke in range(len(axes))]
    angles = np.linspace(0, 2 * np.pi, len(axes), endpoint=False)
    figure, plot = _new_spider(angles, [f"{name}\n{most:.2f}" for name, most in zip(axes, best, strict=True)])
    for (name, line), marker in zip(lines.items(), cycle(MARKERS), strict=False):
        shares = [np.nan if value is None else value / most for value, most in zip(line, best, strict=True)]
        drawn: dict[str, Any] = {"color": colours[name], "marker": marker, "markersize": 6, "label": name}
        plot.plot([*angles, angles[0]], [*shares, shares[0]], linewidth=1.8, **drawn)
    add_legend(figure, plot)
    return to_svg(figure, title)


def _new_spider(angles: Floats, labels: list[str]) -> tuple[Figure, Axes]:
    """Return an empty spider chart with a labelled spoke at each angle."""
    figure = Figure(figsize=(WIDTH * 1.25 / 72, WIDTH / 72), layout="constrained")
    plot = figure.add_subplot(projection="polar", theta_offset=np.pi / 2, theta_direction=-1)
    plot.set_xticks(angles, labels)
    plot.set_yticks([0.25, 0.5, 0.75, 1.0], [])
    plot.set_ylim(0, 1.04)
    for text, across in zip(plot.get_xticklabels(), np.sin(angles), strict=True):
        text.set_horizontalalignment("left" if across > 0.1 else "right" if across < -0.1 else "center")
    plot.grid(visible=True, axis="both")
    plot.spines["polar"].set_visible(False)
    return figure, plot


@style.context(STYLE, after_reset=True)
def plot_matrix(rows: Sequence[str], columns: Sequence[str], values: Floats, shares: Floats, title: str) -> str:
    """Plot a value in every square of rows and columns; the larger its share (0 to 1), the darker the square."""
    width = 46 * len(columns) + 8 * max(map(len, rows), default=0) + 20
    figure = Figure(figsize=(width / 72, (len(rows) * ROW + 90) / 72), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(visible=False)
    filled = np.where(shares > 0, shares, np.nan)
    axes.pcolormesh(filled, cmap="GnBu", vmin=0, vmax=1.4, edgecolors="none", linewidth=0)  # black is legible on all
    font: dict[str, Any] = {"ha": "center", "va": "center_baseline", "fontsize": 11}
    for (row, column), value in np.ndenumerate(values):
        text = f"{value:,.0f}" if value >= 10 or not value else f"{value:.2g}" if value >= 0.01 else "<.01"
        axes.text(column + 0.5, row + 0.5, text, color=BLACK if shares[row, column] > 0 else INK, **font)
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=40, ha="left", rotation_mode="anchor")
    axes.set_yticks(np.arange(len(rows)) + 0.5, rows)
    _put_names_on_top(axes)
    return to_svg(figure, title)


def _put_names_on_top(axes: Axes) -> None:
    """Let a matrix begin at the top left, with the names of its columns above it and no frame."""
    axes.xaxis.tick_top()
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
