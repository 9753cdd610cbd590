"""The evaluations of several models: paired where they have rows, else as if they were independent."""

import numpy as np
import pytest

from stages.lib.comparison.evaluations import Evaluations
from stages.lib.comparison.scores import ModelScores, Score
from tests.comparison.test_contrasts import score_rows

# Right on the same nine of ten rows but for one.
QUIZ = {"one": [1.0] * 9 + [0.0], "other": [1.0] * 8 + [0.0] * 2, "third": [0.0] * 4 + [1.0] * 6}


def scores_of(**values: float) -> ModelScores:
    return ModelScores({name: Score(value, 0.1, clusters=10) for name, value in values.items()}, {}, {})


SCORES = {"one": scores_of(quiz=0.9, f1=0.7), "other": scores_of(quiz=0.8, f1=0.5), "third": scores_of(quiz=0.6)}


def test_a_difference_on_the_same_rows_has_a_shorter_interval_than_of_independent_ones():
    paired = Evaluations(SCORES, {"quiz": score_rows(QUIZ)}).contrast("quiz", {"one": 1, "other": -1})
    apart = Evaluations(SCORES).contrast("quiz", {"one": 1, "other": -1})
    assert paired and apart and paired.ci95 and apart.ci95
    assert paired.value == apart.value == pytest.approx(0.1)
    assert apart.stderr == pytest.approx(0.1 * 2**0.5)
    # Bonett and Price: (2/12 + 1/12 - (1/12)²) / 12
    assert paired.stderr == pytest.approx(np.sqrt((3 / 12 - 1 / 144) / 12))


def test_a_benchmark_that_is_not_the_mean_of_its_rows_counts_as_independent():
    evaluations = Evaluations(SCORES, {"quiz": score_rows(QUIZ)})
    assert evaluations.are_paired("quiz", ["one", "third"])
    assert not evaluations.are_paired("f1", ["one", "other"])
    difference = evaluations.contrast("f1", {"one": 1, "other": -1})
    assert difference and difference.stderr == pytest.approx(0.1 * 2**0.5)


def test_a_model_without_a_score_has_no_contrast():
    assert Evaluations(SCORES).contrast("f1", {"one": 1, "third": -1}) is None
    assert Evaluations(SCORES).score("third", "f1") is None
    assert not Evaluations(SCORES).has("fourth", "quiz")


def test_a_mean_of_models_ends_within_the_scale():
    evaluations = Evaluations(SCORES, {"quiz": score_rows(QUIZ)})
    mean = evaluations.contrast("quiz", {"one": 0.5, "other": 0.5})
    assert mean and mean.ci95
    assert mean.value == pytest.approx(0.85)
    assert 0 < mean.ci95[0] < 0.85 < mean.ci95[1] <= 1


def test_one_row_alone_has_no_interval():
    rows = {"quiz": score_rows({"one": [1.0], "other": [0.0]})}
    difference = Evaluations(SCORES, rows).contrast("quiz", {"one": 1, "other": -1})
    assert difference and difference.ci95 is None


def test_a_run_is_the_mean_of_its_seeds_in_the_unit_of_its_benchmark():
    def percent(value: float) -> ModelScores:
        return ModelScores({"alpaca": Score(value, 3.0, clusters=805, scale=100)}, {}, {})

    scores = {"run": percent(40.0), "run-seed43": percent(44.0)}
    seeds = {"run": ["run", "run-seed43"]}
    score = Evaluations(scores, seeds=seeds).score("run", "alpaca")
    assert score is not None
    # The rows are the same, so their error is that of one model; of two seeds 8 / 2 is added.
    assert (score.value, score.clusters, score.scale) == (42, 805, 100)
    assert score.stderr == pytest.approx(np.sqrt(9 + 4))
    assert not Evaluations({"run": percent(40.0)}, seeds=seeds).has("run", "alpaca")


def test_a_run_with_rows_has_the_spread_of_its_seeds_in_its_interval():
    scores = {"run": scores_of(quiz=0.9), "again": scores_of(quiz=0.6)}
    rows = {"quiz": score_rows({"run": QUIZ["one"], "again": QUIZ["third"]})}
    run = Evaluations(scores, rows, {"run": ["run", "again"]}).score("run", "quiz")
    means = np.mean([QUIZ["one"], QUIZ["third"]], axis=0)
    assert run and run.ci95
    assert run.value == pytest.approx(0.75)
    assert run.stderr == pytest.approx(np.sqrt(np.var(means, ddof=1) / 10 + 0.15**2))  # .045 / 2 of two seeds
    assert run.ci95[0] >= 0
    assert run.ci95[1] <= 1
