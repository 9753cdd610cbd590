"""Scores with their standard errors."""

import pytest

from stages.lib.comparison.scores import Score, average_scores, combine, read_scores, subtract
from tests.support.results import results


def test_errors_of_independent_scores_add_in_squares():
    assert subtract(Score(0.5, 0.03), Score(0.4, 0.04)).stderr == pytest.approx(0.05)
    assert average_scores([Score(0.5, 0.03), Score(0.3, 0.04)]).stderr == pytest.approx(0.025)
    assert combine([(1, Score(0.5, 0.03)), (1, Score(0.5))]).stderr is None


def test_an_average_has_the_error_of_its_columns_as_shares():
    content = results(math=0.5, chat=0.5)
    content["tasks"]["chat"]["metrics"]["acc"] = {"value": 6.0, "stderr": 0.4, "unit": "score_1_10"}
    content["averages"]["average"]["value"] = 0.55
    average = read_scores(content).averages["average"]
    assert average.value == 0.55
    assert average.stderr == pytest.approx(0.025)  # sqrt(.03² + .04²) / 2


def test_a_failed_benchmark_is_missing_with_its_reason_and_so_is_its_average():
    scores = read_scores(results(math=0.5, chat=None))
    assert scores.missing == {"chat": "OSError: no disk"}
    assert (list(scores.benchmarks), scores.averages) == (["math"], {})
