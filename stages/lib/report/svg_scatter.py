"""Plots charts of dots over two axes as SVG: size and speed, cost and quality."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from stages.lib.report.svg import PALE, STYLE, WIDTH, Axes, Colours, to_svg

MOST_NAMED = 20  # dots whose names have room


@dataclass(frozen=True, slots=True)
class Offer:
    """A dot of a chart of cost and quality, with its 95 % intervals if they are known."""

    cost: float
    quality: float
    cost_ci95: Sequence[float] | None
    quality_ci95: Sequence[float] | None
    is_in_set: bool  # the Pareto set


@style.context(STYLE, after_reset=True)
def plot_scatter(
    points: Mapping[str, tuple[float, float]], colours: Colours, labels: tuple[str, str], title: str
) -> str:
    """Plot a dot for each (x, y), on logarithmic axes; the names of more than MOST_NAMED have no room."""
    figure, axes = _new_scatter(labels, yscale="log")
    xs, ys = zip(*points.values(), strict=True)
    _tick_logarithmic(axes.xaxis, xs)
    _tick_logarithmic(axes.yaxis, ys)
    for name, point in points.items():
        axes.plot(*point, "o", color=colours[name], markersize=8)
    _name_dots(axes, points)
    return to_svg(figure, title)


@style.context(STYLE, after_reset=True)
def plot_offers(offers: Mapping[str, Offer], colours: Colours, labels: tuple[str, str], title: str) -> str:
    """Plot a dot on its intervals for each offer over a logarithmic cost; a dashed line of steps joins the Pareto set.

    A ring is an offer that is not in the set.
    """
    figure, axes = _new_scatter(labels)
    front = sorted((offer.cost, offer.quality) for offer in offers.values() if offer.is_in_set)
    axes.plot(*zip(*front, strict=True), "--", drawstyle="steps-post", color=PALE, linewidth=1.4)
    line: dict[str, Any] = {"linewidth": 4, "alpha": 0.35}
    for name, offer in offers.items():
        if offer.cost_ci95:
            least = max(offer.cost_ci95[0], offer.cost / 100)  # a logarithmic axis has no 0
            axes.plot([least, offer.cost_ci95[1]], [offer.quality] * 2, color=colours[name], **line)
        if offer.quality_ci95:
            axes.plot([offer.cost] * 2, offer.quality_ci95, color=colours[name], **line)
        face = {} if offer.is_in_set else {"markerfacecolor": "none", "markeredgewidth": 1.8}
        axes.plot(offer.cost, offer.quality, "o", color=colours[name], markersize=9, **face)
    _tick_logarithmic(axes.xaxis, [offer.cost for offer in offers.values()])
    _name_dots(axes, {name: (offer.cost, offer.quality) for name, offer in offers.items()})
    return to_svg(figure, title)


@style.context(STYLE, after_reset=True)
def plot_prediction(
    points: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]],
    colours: Colours,
    labels: tuple[str, str],
    title: str,
) -> str:
    """Plot a dot on its intervals for each pair of cells (value, ci95), on linear axes."""
    figure, axes = _new_scatter(labels, xscale="linear")
    line: dict[str, Any] = {"linewidth": 4, "alpha": 0.35}
    for name, (x, y) in points.items():
        if x["ci95"]:
            axes.plot(x["ci95"], [y["value"]] * 2, color=colours[name], **line)
        if y["ci95"]:
            axes.plot([x["value"]] * 2, y["ci95"], color=colours[name], **line)
        axes.plot(x["value"], y["value"], "o", color=colours[name], markersize=9)
    _name_dots(axes, {name: (x["value"], y["value"]) for name, (x, y) in points.items()})
    return to_svg(figure, title)


def _new_scatter(labels: tuple[str, str], **scales: str) -> tuple[Figure, Axes]:
    """Return an empty chart with labelled axes; the horizontal one is logarithmic unless `scales` say otherwise."""
    figure = Figure(figsize=(WIDTH * 1.4 / 72, 280 / 72), layout="constrained")
    axes = figure.add_subplot(xlabel=labels[0], ylabel=labels[1], **{"xscale": "log", **scales})
    axes.grid(visible=True, axis="both")
    axes.margins(0.15)
    return figure, axes


def _tick_logarithmic(axis: Any, values: Sequence[float]) -> None:
    """Put ticks on a logarithmic axis, closer ones where the values are close to one another."""
    axis.set_major_locator(LogLocator(subs=(1,) if max(values) > 30 * min(values) else (1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:,.12g}"))
    axis.set_minor_formatter(NullFormatter())


def _name_dots(axes: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """Write the names above the dots, unless there are too many."""
    if len(points) <= MOST_NAMED:
        for name, point in points.items():
            axes.annotate(name, point, xytext=(0, 8), textcoords="offset points", ha="center", fontsize=11)
