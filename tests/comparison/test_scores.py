"""Scores with their standard errors."""

import pytest
from scipy.stats import binomtest

from stages.lib.comparison.scores import Score, average_shares, combine, read_scores, to_score
from tests.support.results import results


def test_errors_of_independent_scores_add_in_squares():
    assert combine([(1, Score(0.5, 0.03)), (-1, Score(0.4, 0.04))]).stderr == pytest.approx(0.05)
    assert average_shares([Score(0.5, 0.03, clusters=9), Score(0.3, 0.04, clusters=9)]).stderr == pytest.approx(0.025)
    assert combine([(1, Score(0.5, 0.03)), (1, Score(0.5))]).stderr is None


def test_an_average_has_the_error_of_its_columns_as_shares():
    content = results(math=0.5, chat=0.5)
    content["tasks"]["chat"]["metrics"]["acc"] = {"value": 6.0, "n": 80, "stderr": 0.4, "unit": "score_1_10"}
    content["averages"]["average"]["value"] = 0.55
    average = read_scores(content).averages["average"]
    assert average.value == 0.55
    assert average.stderr == pytest.approx(0.025)  # sqrt(.03² + .04²) / 2


def test_a_failed_benchmark_is_missing_with_its_reason_and_so_is_its_average():
    scores = read_scores(results(math=0.5, chat=None))
    assert scores.missing == {"chat": "OSError: no disk"}
    assert (list(scores.benchmarks), scores.averages) == (["math"], {})


def test_a_share_of_rows_has_the_exact_interval_and_ends_within_the_scale():
    stderr = (0.95 * 0.05 / 19) ** 0.5
    score = to_score({"value": 0.95, "n": 20, "stderr": stderr, "unit": "fraction"})
    expected = binomtest(19, 20).proportion_ci(0.95, method="exact")
    assert score and score.ci95 == pytest.approx([expected.low, expected.high])  # by the normal it would end at 1.05
    percent = to_score({"value": 95.0, "n": 20, "stderr": 100 * stderr, "unit": "percent"})
    assert percent and percent.scale == 100
    assert percent.ci95 == pytest.approx([100 * expected.low, 100 * expected.high])


def test_a_harness_that_gives_an_error_without_rows_has_the_normal_interval():
    score = to_score({"value": 41.0, "n": 0, "clusters": 0, "stderr": 1.5, "unit": "percent"})
    assert score and score.ci95 == pytest.approx([41 - 1.96 * 1.5, 41 + 1.96 * 1.5])


def test_the_error_is_that_of_clusters_where_results_count_them():
    # A prompt's two instructions are followed together or not at all: 40 scores say no more than 20 rows.
    metric = {"value": 0.95, "n": 40, "clusters": 20, "stderr": (0.95 * 0.05 / 19) ** 0.5, "unit": "fraction"}
    score, unknown = to_score(metric), to_score({**metric, "stderr": None})
    assert score and score.ci95 == pytest.approx(list(binomtest(19, 20).proportion_ci(0.95, method="exact")))
    assert unknown and unknown.ci95 is None
