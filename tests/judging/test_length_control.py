"""The rate at equal length: fits that can be computed by hand or with scipy, and rates that are not defined."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from stages.lib.judging.length_control import length_controlled_rate


def test_a_preference_that_only_length_explains_vanishes_at_equal_length():
    # The longer reply wins three in four, the shorter one in four, and the first model's is longer twice as often.
    extra = np.array([100.0] * 8 + [-100.0] * 4)
    outcomes = np.array([1.0] * 6 + [-1.0] * 2 + [1.0] + [-1.0] * 3)
    estimate = length_controlled_rate(outcomes, extra, np.arange(12))
    assert estimate["raw"] == pytest.approx(7 / 12)
    assert estimate["rate"] == pytest.approx(0.5)  # logit 3/4 = -logit 1/4: the curve crosses a half between them


def test_the_fit_is_the_likeliest_one_with_ties_as_halves():
    rng = np.random.default_rng(5)
    extra = rng.normal(50, 100, 200)
    outcomes = np.sign(rng.normal(extra / 200 + 0.2, 1).round())
    x, y = np.tanh(extra / extra.std()), (outcomes + 1) / 2

    def loss(beta):
        z = beta[0] + beta[1] * x
        return (np.logaddexp(0, z) - y * z).sum()

    best = minimize(loss, [0.0, 0.0], method="BFGS").x
    assert 0 in outcomes
    assert length_controlled_rate(outcomes, extra, np.arange(200))["rate"] == pytest.approx(expit(best[0]), abs=1e-5)


def test_the_interval_is_about_that_of_redrawing_the_questions():
    rng = np.random.default_rng(6)
    questions = np.repeat(np.arange(150), 2)
    extra = rng.normal(50, 100, 300)
    outcomes = np.sign(extra / 200 + np.repeat(rng.normal(0.2, 1, 150), 2) + rng.normal(0, 0.5, 300))
    estimate = length_controlled_rate(outcomes, extra, questions)
    rates = []
    for _ in range(200):
        rows = (rng.integers(0, 150, 150)[:, None] * 2 + [0, 1]).ravel()
        rates.append(length_controlled_rate(outcomes[rows], extra[rows], np.repeat(np.arange(150), 2))["rate"])
    assert estimate["ci95"] == pytest.approx(np.quantile(rates, [0.025, 0.975]).tolist(), abs=0.02)


def test_two_equal_turns_of_each_question_say_no_more_than_one():
    outcomes, extra = np.array([1.0, 1, 0, -1, -1, 1]), np.array([50.0, -20, 10, 30, -60, 5])
    once = length_controlled_rate(outcomes, extra, np.arange(6))
    twice = length_controlled_rate(np.tile(outcomes, 2), np.tile(extra, 2), np.tile(np.arange(6), 2))
    assert twice["ci95"] == pytest.approx(once["ci95"])


@pytest.mark.parametrize(
    ("outcomes", "extra", "reason"),
    [
        ([1, 1, 1], [5, -5, 3], "one model is preferred on every turn"),
        ([1, 0, -1], [5, 5, 5], "the lengths differ by the same on every turn"),
        ([1, 1, -1], [5, 3, -2], "the length alone tells who is preferred"),
        ([-1, 0, 1], [5, 3, -2], "the length alone tells who is preferred"),
        ([1, -1, 1], [5, 3, 2], "one model's replies are the longer ones on every turn"),
        ([1], [5], "fewer than two turns"),
        ([np.nan, np.nan], [5, 3], "fewer than two turns"),
    ],
)
def test_a_rate_that_is_not_defined_is_null_with_a_reason(outcomes, extra, reason):
    estimate = length_controlled_rate(np.array(outcomes, float), np.array(extra, float), np.arange(len(outcomes)))
    assert estimate["reason"] == reason
    assert np.isnan([estimate["rate"], *estimate["ci95"]]).all()


def test_the_rate_of_ties_alone_is_a_half():
    estimate = length_controlled_rate(np.zeros(4), np.array([5.0, -5, 3, 1]), np.arange(4))
    assert (estimate["rate"], estimate["reason"]) == (pytest.approx(0.5), "")
