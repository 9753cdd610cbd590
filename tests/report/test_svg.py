"""The charts: a missing value is never drawn as a number."""

import re

from stages.lib.report.svg import plot_curves, plot_intervals, plot_scaling, plot_spider, spread
from stages.lib.report.svg_scatter import Offer, plot_offers


def test_a_missing_score_is_not_drawn() -> None:
    cell = {"value": None, "ci95": None}
    svg = plot_intervals({"base": cell}, {"base": "#123456"}, "quiz")
    assert "missing" in svg and "#123456" not in svg


def test_a_missing_value_is_a_gap_in_a_spider_chart() -> None:
    whole = plot_spider(["x", "y", "z"], {"m": [1.0, 0.5, 1.0]}, {"m": "#123456"}, "t")
    gap = plot_spider(["x", "y", "z"], {"m": [1.0, None, 1.0]}, {"m": "#123456"}, "t")
    assert whole.count("<use") - gap.count("<use") == 1, "one dot less"


def test_a_size_without_a_value_has_no_point_and_a_paper_number_has_a_ring() -> None:
    known = {"rows": 100_000, "value": 0.4, "ci95": [0.3, 0.5], "paper": None}
    colour = {"family": "#123456"}
    alone = plot_scaling(
        {"family": [known, {"rows": 250_000, "value": None, "ci95": None, "paper": None}]}, colour, "t"
    )
    ringed = plot_scaling({"family": [{**known, "paper": 0.41}]}, colour, "t")
    assert "100k" in alone and "250k" in alone
    points = [len(re.findall(r"<use [^>]*#123456", svg)) for svg in (alone, ringed)]
    assert points == [1, 2]


def test_an_offer_outside_the_pareto_set_is_a_ring_and_an_unknown_interval_is_not_drawn() -> None:
    colours, labels = {"cheap": "#123456", "dear": "#654321"}, ("cost", "average")
    cheap, dear = Offer(1.0, 0.5, [-0.5, 2.5], [0.4, 0.6], True), Offer(9.0, 0.4, None, None, False)
    svg = plot_offers({"cheap": cheap, "dear": dear}, colours, labels, "t")
    assert len(re.findall(r"<path [^>]*stroke: #123456", svg)) == 2 + 1, "two intervals, and the outline of a dot"
    assert len(re.findall(r"<path [^>]*stroke: #654321", svg)) == 1
    assert re.search(r"<use [^>]*fill: #123456", svg) and not re.search(r"<use [^>]*fill: #654321", svg)
    assert "nan" not in svg.lower() and "cheap" in svg


def test_lines_are_named_where_they_end_and_many_of_them_in_a_legend() -> None:
    def names_of(count: int) -> list[str]:
        lines = {f"m{number}": [(1.0, 1.0), (2.0, -float(number))] for number in range(count)}
        return re.findall(r">(m\d+)<", plot_curves(lines, dict.fromkeys(lines, "#123456"), "t"))

    assert names_of(3) == ["m2", "m1", "m0"], "the lowest first"
    assert sorted(names_of(11)[:2]) == ["m0", "m1"], "in their order"


def test_names_that_would_touch_are_moved_apart_as_little_as_possible() -> None:
    assert spread([1.0, 5.0], 2.0) == [1.0, 5.0]
    assert spread([4.0, 5.0], 2.0) == [3.5, 5.5]
    assert spread([1.0, 1.0, 1.0, 9.0], 2.0) == [-1.0, 1.0, 3.0, 9.0]
    assert spread([], 2.0) == []


def test_charts_with_the_same_ends_have_the_same_axis() -> None:
    low, high = (
        plot_intervals({"m": {"value": value, "ci95": None}}, {"m": "#123456"}, "t", (0.0, 1.0)) for value in (0.2, 0.8)
    )
    dots = [float(re.findall(r'<use [^>]*x="([\d.]+)"[^>]*#123456', svg)[0]) for svg in (low, high)]
    ticks = [re.findall(r">(\d\.\d+)<", svg)[:-1] for svg in (low, high)]
    assert dots[0] < dots[1] and ticks[0] == ticks[1]
