"""Charts as SVG in the page's own text colour, light or dark: equal numbers give equal bytes."""

import re
from collections.abc import Mapping, Sequence
from io import StringIO
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from stages.lib.core.types import Floats

WIDTH, ROW = 360, 27  # CSS pixels
MARKERS = "os^DvP*"
DASHES = ("-", "--", "-.", ":")  # after as many lines as there are colours
MOST_NAMED = 20  # dots of a scatter chart
BLACK, PALE = "#101214", "#8a8f98"
INK = "#010203"  # stands for the page's text colour until the SVG is written
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
    """A chart as SVG with a title, without the ids that several charts of one page would share."""
    buffer = StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Title": title})
    svg = re.sub(r"<metadata>.*?</metadata>\s*|(?<=<g) id=\"[^\"]*\"", "", buffer.getvalue(), flags=re.DOTALL)
    return svg[svg.index("<svg") :].replace("<svg ", '<svg role="img" ', 1).replace(INK, "currentColor")


def canvas(labels: list[str]) -> tuple[Figure, Any]:
    """An empty chart with one labelled row for each name, the first on top."""
    width = WIDTH + 8 * max(0, max(map(len, labels), default=0) - 18)  # long names take nothing from the chart
    figure = Figure(figsize=(width / 72, (len(labels) * ROW + 36) / 72), layout="constrained")
    axes = figure.add_subplot()
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.locator_params(axis="x", nbins=4)
    return figure, axes


def legend(figure: Figure, axes: Any) -> None:  # noqa: ANN401  (matplotlib has no types here)
    """Name lines and parts below the chart, which grows by as much."""
    handles, labels = axes.get_legend_handles_labels()
    width, height = figure.get_size_inches()
    columns = max(1, int(72 * width / (7 * max(map(len, labels), default=1) + 44)))
    figure.set_size_inches(width, height + (-(-len(labels) // columns) * 19 + 10) / 72)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=11)


def short(value: float) -> str:
    """A value with as many decimals as it has room for."""
    return f"{value:.{3 if abs(value) <= 1 else 2 if abs(value) < 10 else 1}f}"


def beside(axes: Any, row: int, text: str) -> None:  # noqa: ANN401  (matplotlib has no types here)
    """Write a row's value right of the chart."""
    axes.text(1.03, row, text, transform=axes.get_yaxis_transform(), va="center_baseline")


@style.context(STYLE, after_reset=True)
def intervals(cells: Mapping[str, dict[str, Any]], colours: Mapping[str, str], title: str) -> str:
    """A dot on its 95 % interval for each name; what has no value says so."""
    figure, axes = canvas(list(cells))
    for row, (name, cell) in enumerate(cells.items()):
        beside(axes, row, "missing" if cell["value"] is None else short(cell["value"]))
        if cell["ci95"]:
            axes.plot(cell["ci95"], [row, row], color=colours[name], linewidth=5, alpha=0.4, solid_capstyle="round")
        if cell["value"] is not None:
            axes.plot([cell["value"]], [row], "o", color=colours[name], markersize=8)
    return to_svg(figure, title)


@style.context(STYLE, after_reset=True)
def bars(rows: list[tuple[str, float, str]], colours: Mapping[str, str], most: float, title: str) -> str:
    """A bar for each (label, value, name whose colour it has), on an axis that ends at `most`."""
    figure, axes = canvas([label for label, _, _ in rows])
    for row, (_, value, name) in enumerate(rows):
        axes.barh(row, value, height=0.62, color=colours[name])
        beside(axes, row, f"{value:.2f}")
    axes.set_xlim(0, most * 1.02 or 1)
    return to_svg(figure, title)


@style.context(STYLE, after_reset=True)
def stacks(parts: dict[str, dict[str, int]], colours: Mapping[str, str], title: str) -> str:
    """A bar for each name, made of its parts."""
    figure, axes = canvas(list(parts))
    named = set[str]()
    for row, counts in enumerate(parts.values()):
        left = 0
        for part, count in counts.items():
            label = "" if part in named else part
            axes.barh(row, count, left=left, height=0.62, color=colours[part], label=label)
            named.add(part)
            left += count
        beside(axes, row, f"{left:,}")
    legend(figure, axes)
    return to_svg(figure, title)


@style.context(STYLE, after_reset=True)
def curves(lines: dict[str, list[tuple[float, float]]], colours: Mapping[str, str], title: str) -> str:
    """A line of points for each name."""
    figure = Figure(figsize=(WIDTH / 72, 220 / 72), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel="loss")
    axes.grid(visible=True, axis="both")
    for number, (name, points) in enumerate(lines.items()):
        marker, dashes = "o" if len(points) == 1 else "", DASHES[number // len(MARKERS) % len(DASHES)]
        drawn: dict[str, Any] = {"color": colours[name], "linestyle": dashes, "marker": marker, "label": name}
        axes.plot(*zip(*points, strict=True), linewidth=1.8, **drawn)
    legend(figure, axes)
    return to_svg(figure, title)


@style.context(STYLE, after_reset=True)
def sizes(lines: dict[str, list[dict[str, Any]]], colours: Mapping[str, str], title: str) -> str:
    """A line of points on their 95 % intervals for each name, over numbers of rows on an axis of doublings.

    A point is {rows, value, ci95, paper}; what has no value has no point; a ring is the value that the paper printed.
    """
    figure = Figure(figsize=(WIDTH / 72, 240 / 72), layout="constrained")
    axes = figure.add_subplot(xlabel="conversations")
    axes.grid(visible=True, axis="both")
    axes.set_xscale("log", base=2)
    rows = sorted({point["rows"] for points in lines.values() for point in points})
    axes.set_xticks(rows, [in_thousands(number) for number in rows], minor=False)
    axes.set_xlim(rows[0] / 1.4, rows[-1] * 1.4)
    for number, (name, points) in enumerate(lines.items()):
        aside = 2 ** (0.06 * (number - (len(lines) - 1) / 2))  # lest intervals hide one another
        known = [(point["rows"] * aside, point) for point in points if point["value"] is not None]
        values = [point["value"] for _, point in known]
        line: dict[str, Any] = {"color": colours[name], "linewidth": 1.6, "markersize": 6, "label": name}
        axes.plot([place for place, _ in known], values, "o-", **line)
        for place, point in known:
            if point["ci95"]:
                axes.plot([place] * 2, point["ci95"], color=colours[name], linewidth=4, alpha=0.35)
            if point["paper"] is not None:
                ring: dict[str, Any] = {"markersize": 10, "markerfacecolor": "none", "markeredgewidth": 1.5}
                axes.plot([place], [point["paper"]], "o", color=colours[name], **ring)
    legend(figure, axes)
    return to_svg(figure, title)


def in_thousands(rows: int) -> str:
    """A number of rows, short."""
    return f"{rows / 1000:g}k" if rows >= 1000 else str(rows)


@style.context(STYLE, after_reset=True)
def spider(
    axes: Sequence[str], lines: Mapping[str, Sequence[float | None]], colours: Mapping[str, str], title: str
) -> str:
    """A closed line of points for each name over spokes, each of which ends at the best value on it, written there.

    A missing value is a gap. Lines differ in their markers too, for those who see colours alike.
    """
    best = [max((line[spoke] or 0.0 for line in lines.values()), default=0.0) or 1.0 for spoke in range(len(axes))]
    angles = np.linspace(0, 2 * np.pi, len(axes), endpoint=False)
    figure = Figure(figsize=(WIDTH * 1.25 / 72, WIDTH / 72), layout="constrained")
    plot = figure.add_subplot(projection="polar", theta_offset=np.pi / 2, theta_direction=-1)
    plot.set_xticks(angles, [f"{name}\n{most:.2f}" for name, most in zip(axes, best, strict=True)])
    plot.set_yticks([0.25, 0.5, 0.75, 1.0], [])
    plot.set_ylim(0, 1.04)
    for text, across in zip(plot.get_xticklabels(), np.sin(angles), strict=True):
        text.set_horizontalalignment("left" if across > 0.1 else "right" if across < -0.1 else "center")
    plot.grid(visible=True, axis="both")
    plot.spines["polar"].set_visible(False)
    for (name, line), marker in zip(lines.items(), cycle(MARKERS), strict=False):
        shares = [np.nan if value is None else value / most for value, most in zip(line, best, strict=True)]
        around: dict[str, Any] = {"color": colours[name], "marker": marker, "markersize": 6, "label": name}
        plot.plot([*angles, angles[0]], [*shares, shares[0]], linewidth=1.8, **around)
    legend(figure, plot)
    return to_svg(figure, title)


@style.context(STYLE, after_reset=True)
def scatter(
    points: Mapping[str, tuple[float, float]], colours: Mapping[str, str], labels: tuple[str, str], title: str
) -> str:
    """A named dot for each (x, y), on logarithmic axes; of very many the names have no room."""
    figure = Figure(figsize=(WIDTH * 1.4 / 72, 280 / 72), layout="constrained")
    axes = figure.add_subplot(xlabel=labels[0], ylabel=labels[1], xscale="log", yscale="log")
    axes.grid(visible=True, axis="both")
    axes.margins(0.15)
    xs, ys = zip(*points.values(), strict=True)
    for axis, values in ((axes.xaxis, xs), (axes.yaxis, ys)):
        axis.set_major_locator(LogLocator(subs=(1,) if max(values) > 30 * min(values) else (1, 2, 5)))
        axis.set_major_formatter(StrMethodFormatter("{x:,.12g}"))
        axis.set_minor_formatter(NullFormatter())
    for name, place in points.items():
        axes.plot(*place, "o", color=colours[name], markersize=8)
        if len(points) <= MOST_NAMED:
            axes.annotate(name, place, xytext=(0, 8), textcoords="offset points", ha="center", fontsize=11)
    return to_svg(figure, title)


@style.context(STYLE, after_reset=True)
def opposed(rows: Sequence[tuple[str, int, int]], title: str) -> str:
    """Two bars for each (word, loser, winner): to the left how many losers, to the right how many winners."""
    figure, axes = canvas([word for word, _, _ in rows])
    for row, (_, loser, winner) in enumerate(rows):
        axes.barh(row, -loser, height=0.62, color="#d55e00")
        axes.barh(row, winner, height=0.62, color="#0072b2")
        beside(axes, row, f"{loser} : {winner}")
    axes.axvline(0, color=PALE, linewidth=1)
    most = max(max(loser, winner) for _, loser, winner in rows)
    axes.set_xlim(-1.05 * most, 1.05 * most)
    axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    return to_svg(figure, title)


@style.context(STYLE, after_reset=True)
def grid(rows: Sequence[str], columns: Sequence[str], values: Floats, shares: Floats, title: str) -> str:
    """A value in every square of rows and columns, which is the darker the larger its share (0 to 1) is."""
    width = 46 * len(columns) + 8 * max(map(len, rows), default=0) + 20
    figure = Figure(figsize=(width / 72, (len(rows) * ROW + 90) / 72), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(visible=False)
    filled = np.where(shares > 0, shares, np.nan)
    axes.pcolormesh(filled, cmap="GnBu", vmin=0, vmax=1.4, edgecolors="none", linewidth=0)  # black is read on all
    for (row, column), value in np.ndenumerate(values):
        text = f"{value:,.0f}" if value >= 10 or not value else f"{value:.2g}" if value >= 0.01 else "<.01"
        axes.text(
            column + 0.5,
            row + 0.5,
            text,
            ha="center",
            va="center_baseline",
            fontsize=11,
            color=BLACK if shares[row, column] > 0 else INK,
        )
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=40, ha="left", rotation_mode="anchor")
    axes.set_yticks(np.arange(len(rows)) + 0.5, rows)
    axes.xaxis.tick_top()
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return to_svg(figure, title)


@style.context(STYLE, after_reset=True)
def heat(names: list[str], values: Floats, title: str) -> str:
    """A square for every two names, darker for less; those of one with itself, and what has no value (NaN), are empty.

    The colours, from blue to yellow, differ in lightness: readable by colour-blind people, and in print. Columns have
    the numbers of the rows, for which names have no room.
    """
    side = 26 * len(names)  # CSS pixels
    figure = Figure(figsize=((side + 8 * max(map(len, names)) + 110) / 72, (side + 30) / 72), layout="constrained")
    axes = figure.add_subplot(aspect="equal")
    axes.grid(visible=False)
    shown = axes.pcolormesh(values, cmap="cividis", edgecolors="none", linewidth=0)
    places = np.arange(len(names)) + 0.5
    numbers = [str(number) for number in range(1, len(names) + 1)]
    axes.set_xticks(places, numbers)
    axes.set_yticks(places, [f"{name}  {number}" for name, number in zip(names, numbers, strict=True)], fontsize=12)
    axes.xaxis.tick_top()
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    scale = figure.colorbar(shown, ax=axes, shrink=0.6)
    scale.outline.set_visible(False)
    scale.ax.tick_params(labelsize=11)
    if scale.solids:
        scale.solids.set(rasterized=False, edgecolor="face")  # the page takes no images; no gaps between colours
    return to_svg(figure, title)
