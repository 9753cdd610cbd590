"""Proportional frequency and inheritance, by hand and by drawing questions."""

from typing import Any

import numpy as np
import pytest

from stages.lib.core.numbers import round_significant
from stages.lib.statistics.bootstrap import Bootstrap
from stages.lib.style.features import align_answers
from stages.lib.style.inheritance import compare_inheritance, measure_inheritance
from stages.lib.style.markup import FEATURES
from stages.lib.style.ratios import describe_ratios, proportional_frequency
from tests.support.styles import PLAIN, RICH, count_texts

# strong em ol ul h1 h2 h3 h4 p chars, as the paper printed them
PRINTED = {
    "Q72": (741, 53, 83, 230, 24, 0, 135, 26, 1217, 6492),
    "L70": (406, 38, 76, 116, 30, 38, 22, 4, 1222, 6411),
    "L8B:L70": (331, 34, 75, 109, 27, 13, 32, 3, 1210, 6207),
    "L8B:Q72": (808, 60, 77, 260, 20, 0, 149, 33, 1237, 6585),
}


def printed_ratios(one: str, other: str) -> dict[str, Any]:
    rest = np.zeros(len(FEATURES) - 10)
    return describe_ratios(*(np.concatenate([PRINTED[name], rest]) for name in (one, other)))


def test_ratios_of_table_3_equal_those_computed_by_hand_without_zero_by_zero() -> None:
    """The mean of the printed row of the Qwen pair is 1.052 with h2 = 0/0 printed as 1.000; without it 1.057."""
    assert printed_ratios("L8B:L70", "L70")["mean"] == pytest.approx(0.904, abs=5e-4)
    qwen = printed_ratios("L8B:Q72", "Q72")
    assert qwen["ratios"]["h2"] is None and "h2" in qwen["neither"]
    assert qwen["mean"] == pytest.approx((10.515 - 1.0) / 9, abs=1e-3)
    tuned = printed_ratios("L8B:Q72", "L8B:L70")
    assert tuned["mean"] == pytest.approx(2.61, abs=5e-3), "1.1 of it is one cell, h4 = 33 / 3"
    assert tuned["median"] == pytest.approx((1.061 + 1.765) / 2, abs=1e-3)


def test_ratios_by_zero_are_named_as_undefined() -> None:
    one, other = np.zeros(len(FEATURES)), np.zeros(len(FEATURES))
    one[[0, 1, 8]], other[[0, 2, 8]] = (3, 2, 12), (4, 5, 10)  # strong, em, p; strong, ol, p
    described = describe_ratios(one, other)
    assert [described["ratios"][name] for name in ("strong", "em", "ol", "ul", "p")] == [0.75, None, 0.0, None, 1.2]
    assert described["only_first"] == ["em"] and "ul" in described["neither"] and "ol" not in described["neither"]
    assert described["mean"] == 0.65, "(0.75 + 0 + 1.2) / 3"
    assert described["median"] == 0.75
    assert described["factor"] is None, "of 1.2, 1.33, and two that are infinitely far: half of them have no bound"
    one[1], other[1] = 1, 1
    assert describe_ratios(one, other)["factor"] == round_significant((1.2 * 4 / 3) ** 0.5), (
        "the middle of 1, 1.2, 1.33 and infinite"
    )


def test_the_typical_factor_is_symmetric_and_the_mean_is_not() -> None:
    one, other = printed_ratios("L8B:Q72", "L8B:L70"), printed_ratios("L8B:L70", "L8B:Q72")
    assert one["factor"] == other["factor"]
    assert one["mean"] > 1 > other["median"]


def test_between_two_models_without_any_feature_nothing_is_defined() -> None:
    described = describe_ratios(np.zeros(len(FEATURES)), np.zeros(len(FEATURES)))
    assert (described["mean"], described["median"], described["factor"]) == (None, None, None)
    assert len(described["neither"]) == len(FEATURES)


def test_ratios_are_taken_feature_by_feature() -> None:
    assert proportional_frequency(np.array([3.0, 0.0]), np.array([4.0, 2.0])).tolist() == [0.75, 0.0]


def test_inheritance_is_the_share_of_the_way_from_base_to_dgm() -> None:
    base, dgm = np.array([0.0, 1.0, 2.0]), np.array([2.0, 1.0, 1.0])
    for share in (0.0, 0.5, 1.0, 1.5, -0.5):
        measured = measure_inheritance(base + share * (dgm - base), dgm, base)
        assert measured["inheritance"] == pytest.approx(share)
    aside = measure_inheritance(dgm + np.array([0.0, 3.0, 0.0]), dgm, base)
    assert aside["inheritance"] == 1.0, "a change at a right angle to the way does not count"
    assert aside["direction"] == pytest.approx(5 / np.sqrt(5 * 14)), (
        "but shows in the direction: (2, 3, -1) and (2, 0, -1)"
    )
    assert np.isnan(measure_inheritance(dgm, base, base)["inheritance"]), "base and DGM are equal"


def test_the_interval_of_inheritance_equals_that_of_drawing_whole_questions() -> None:
    grid = align_answers({"b": count_texts(*PLAIN), "d": count_texts(*RICH), "t": count_texts(*RICH[:3], *PLAIN[3:])})
    tuned, dgm, base = (np.log1p(grid.values[name]) for name in "tdb")
    spread = np.concatenate([tuned, dgm, base]).std(axis=0)
    chosen = [values[:, spread > 0] / spread[spread > 0] for values in (tuned, dgm, base)]
    drawn = np.random.default_rng(3).integers(0, 5, (400, 5))
    values = []
    for draw in drawn:
        rows = np.concatenate([np.flatnonzero(grid.questions == question) for question in draw])
        t, d, b = (model[rows].mean(axis=0) for model in chosen)
        values.append(((t - b) @ (d - b)) / ((d - b) @ (d - b)))
    drawing = Bootstrap(grid.questions, 400, 3)
    compared = compare_inheritance(grid.values["t"], grid.values["d"], grid.values["b"], drawing)
    assert compared["inheritance"]["ci95"] == pytest.approx(list(np.quantile(values, (0.025, 0.975))), abs=1e-3)
