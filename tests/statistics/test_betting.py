"""Intervals and tests that hold at every number of rows: by hand, on a grid of means, in made-up repetitions."""

import numpy as np
import pytest

from stages.lib.statistics.betting import anytime_interval, anytime_p, choose_bets, log_capitals

ALPHA = 0.05
DRAWN = np.array([1.0, 0.5, 1, 0, 1, 1, 0.5, 1, 1, 0, 1, 1])


def test_the_first_two_capitals_are_those_computed_by_hand():
    # The bets on 1 and 0.5: sqrt(2 log 40 / (0.25 log 2)) = 6.525, then with the mean (0.5 + 1) / 2 and the variance
    # (0.25 + (1 - 0.75)^2) / 2 = 0.15625: sqrt(2 log 40 / (0.15625 * 2 log 3)) = 4.636. Against 0.4 both are cut: up to
    # 0.5 / 0.4 = 1.25, down to 0.5 / 0.6 = 0.8333.
    assert choose_bets(DRAWN[:2], ALPHA) == pytest.approx([6.525, 4.636], abs=1e-3)
    up, down = log_capitals(DRAWN[:2], 0.4, ALPHA)
    assert np.exp(up) == pytest.approx([1 + 1.25 * 0.6, 1.75 * (1 + 1.25 * 0.1)])
    assert np.exp(down) == pytest.approx([1 - 0.5, 0.5 * (1 - 0.1 / 1.2)])


def test_without_replacement_what_is_left_has_another_mean():
    # Of four rows with the mean 0.5 the first is 1: the mean of the other three is 1/3. The next is 0.5: 0.25 is left.
    up, _ = log_capitals(np.array([1.0, 0.5, 0.5]), 0.5, ALPHA, total=4)
    assert np.exp(up) == pytest.approx(np.cumprod([1 + 1 * 0.5, 1 + 1.5 * (0.5 - 1 / 3), 1 + 2 * (0.5 - 0.25)]))


def test_what_the_drawn_rows_make_impossible_is_excluded_and_all_rows_leave_their_mean():
    low, high = anytime_interval(np.array([1.0, 1, 0]), ALPHA, total=4)
    assert (low, high) == pytest.approx((0.5, 0.75))  # two of four are won, one is lost
    assert anytime_interval(np.array([1.0, 1, 0, 0.5]), ALPHA, total=4) == pytest.approx([0.625, 0.625])
    assert anytime_interval(np.array([1.0, 1, 0]), ALPHA) == pytest.approx([0, 1], abs=0.2)  # of questions in general


@pytest.mark.parametrize("total", [None, 20])
def test_bisection_finds_the_interval_that_a_grid_of_means_shows(total):
    means = np.linspace(0, 1, 2001)
    up, down = log_capitals(np.tile(DRAWN, (2001, 1)), means, ALPHA, total)
    kept = means[np.maximum(up, down).max(axis=1) < np.log(2 / ALPHA)]
    assert anytime_interval(DRAWN, ALPHA, total=total) == pytest.approx([kept[0], kept[-1]], abs=1e-3)


def test_p_is_at_most_the_level_exactly_when_the_mean_lies_outside_the_interval():
    low, high = anytime_interval(DRAWN, ALPHA)
    inside = np.linspace(low + 1e-6, high - 1e-6, 7)
    assert all(anytime_p(DRAWN, mean, ALPHA) > ALPHA for mean in inside)
    assert anytime_p(DRAWN, low - 1e-6, ALPHA) <= ALPHA


def test_before_any_row_nothing_is_known():
    assert list(anytime_interval(np.zeros(0), ALPHA)) == [0, 1]
    assert anytime_p(np.zeros(0), 0.5, ALPHA) == 1


@pytest.mark.parametrize("total", [None, 300])
def test_the_mean_is_outside_at_any_time_in_less_than_one_of_twenty_repetitions(total):
    drawn = np.random.default_rng(5).choice([0, 0.5, 1], (400, 300), p=[0.3, 0.1, 0.6])
    means = drawn.mean(axis=1) if total else np.full(400, 0.65)
    is_ever_outside = anytime_p_of(drawn, means, total) <= ALPHA
    assert 0 < is_ever_outside.mean() < ALPHA


def anytime_p_of(drawn, means, total):
    return np.array([anytime_p(row, mean, ALPHA, total) for row, mean in zip(drawn, means, strict=True)])


def test_intervals_shrink_with_every_row_and_more_so_without_replacement():
    drawn = np.random.default_rng(6).choice([0, 0.5, 1], 200)
    widths = [np.ptp(anytime_interval(drawn[:num], ALPHA)) for num in (25, 50, 100, 200)]
    assert widths == sorted(widths, reverse=True)
    assert np.ptp(anytime_interval(drawn[:150], ALPHA, total=200)) < np.ptp(anytime_interval(drawn[:150], ALPHA)) / 1.4
