"""The bootstrap: whole questions are drawn, as scipy draws them."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from stages.lib.statistics.bootstrap import Bootstrap
from tests.support.judgments import SCORES


def test_an_interval_equals_scipys_over_whole_questions():
    scores = np.array(list(SCORES.values()), dtype=float).T  # [turn, model], two turns of each question
    questions = scores[:, 0].reshape(4, 2)

    def mean_of(places, axis):
        return questions[places.astype(int)].mean(axis=(-2, -1))

    expected = bootstrap(
        (np.arange(4),),
        mean_of,
        n_resamples=500,
        method="percentile",
        rng=np.random.default_rng(7),
    ).confidence_interval
    ours = Bootstrap(np.repeat(np.arange(4), 2), 500, 7).mean_interval(scores)
    assert ours[0].tolist() == pytest.approx(list(expected))


def test_turns_of_one_question_are_drawn_together():
    # Within a question all turns are equal: eight turns say no more than the four questions that they belong to.
    apart = Bootstrap(np.arange(4), 400, 3).mean_interval(np.array([[1.0], [2], [3], [4]]))
    together = Bootstrap(np.repeat(np.arange(4), 2), 400, 3).mean_interval(
        np.array([[1.0], [1], [2], [2], [3], [3], [4], [4]])
    )
    assert together.tolist() == apart.tolist()


def test_a_single_question_has_no_interval():
    ends = Bootstrap(np.array([1, 1, 2, 2]), 50, 1).mean_interval(np.array([[1.0], [2], [np.nan], [np.nan]]))
    assert np.isnan(ends).all()


def test_the_same_seed_gives_the_same_interval_and_another_seed_another_one():
    values = np.linspace(0, 1, 30)[:, None]
    first, again, other = (Bootstrap(np.arange(30), 100, seed).mean_interval(values).tolist() for seed in (1, 1, 2))
    assert first == again != other
