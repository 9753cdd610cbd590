"""How far the style of a model is from others': of mean profiles, in standard deviations of a reply."""

import numpy as np
import pytest

from stages.lib.statistics.bootstrap import Bootstrap
from stages.lib.style.distances import measure_distances
from stages.lib.style.features import StyleGrid
from stages.lib.style.markup import FEATURES

QUESTIONS = np.arange(4)
BOOTSTRAP = Bootstrap(QUESTIONS, 50, 1)


def grid_of(**chars: list[float]) -> StyleGrid:
    """Models whose replies to four prompts differ in their length alone; NaN: no reply."""
    values = {}
    for model, lengths in chars.items():
        values[model] = np.zeros((4, len(FEATURES)))
        values[model][:, FEATURES.index("chars")] = lengths
        values[model][np.isnan(lengths)] = np.nan
    return StyleGrid(QUESTIONS, values)


def test_the_distance_is_in_standard_deviations_of_the_logarithms_of_all_replies() -> None:
    grid = grid_of(own=[0.0] * 4, same=[0.0] * 4, other=[9.0] * 4)
    found = measure_distances("own", grid, BOOTSTRAP)
    assert found["same"]["value"] == 0.0 and found["same"]["turns"] == 4
    assert found["other"]["value"] == pytest.approx(2.121, abs=1e-3)  # ln 10 / std(0, 0, ln 10): 1 / sqrt(2 / 9)


def test_a_model_without_a_turn_in_common_has_no_distance() -> None:
    none = float("nan")
    grid = grid_of(own=[1.0, 2.0, none, none], other=[none, none, 1.0, 5.0])
    assert measure_distances("own", grid, BOOTSTRAP) == {"other": {"value": None, "ci95": None, "turns": 0}}
