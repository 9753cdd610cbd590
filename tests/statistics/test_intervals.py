"""The intervals that people see: exact for shares, within the scale, and by clusters."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest
from statsmodels.api import OLS
from statsmodels.stats.proportion import proportion_confint

from stages.lib.statistics.intervals import (
    clustered_means,
    exact_interval,
    score_interval,
    share_interval,
    student_interval,
)


def test_the_interval_of_a_share_is_scipys_and_statsmodels_exact_one():
    for count, total in product(range(8), (7, 30)):
        theirs = binomtest(count, total).proportion_ci(0.95, method="exact")
        ours = exact_interval(np.array(count), np.array(total))
        assert ours.tolist() == pytest.approx([theirs.low, theirs.high])
        if count:
            assert ours.tolist() == pytest.approx(list(proportion_confint(count, total, method="beta")))


def test_a_share_of_nothing_has_no_interval():
    assert share_interval(0, 0) is None
    assert np.isnan(exact_interval(np.array([0.0]), np.array([0.0]))).all()
    assert share_interval(0, 3) == pytest.approx([0, 1 - 0.025 ** (1 / 3)])


def test_a_mean_of_clusters_has_the_error_of_their_summed_residuals():
    # Mean 1/2; residuals 1/2, 1/2 | -1/2, -1/2 | 1/2, -1/2: sums 1, -1, 0. sqrt(2 * 3 / 2) / 6.
    means = clustered_means(np.array([[1.0], [1], [0], [0], [1], [0]]), np.array([4, 4, 5, 5, 9, 9]))
    assert (means.values[0], means.clusters[0]) == (0.5, 3)
    assert means.stderrs[0] == pytest.approx(3**0.5 / 6)


def test_the_error_of_clusters_is_that_of_statsmodels():
    random = np.random.default_rng(1)
    clusters = np.repeat(np.arange(12), [1, 2, 3] * 4)
    values = random.normal(size=24) + random.normal(size=12)[clusters]
    options = {"groups": clusters, "use_correction": False}
    fit = OLS(values, np.ones(24)).fit(cov_type="cluster", cov_kwds=options)
    assert clustered_means(values[:, None], clusters).stderrs[0] == pytest.approx(fit.bse[0] * (12 / 11) ** 0.5)


def test_rows_without_a_value_are_in_no_cluster_of_their_column():
    values = np.array([[1.0, np.nan], [3, np.nan], [np.nan, 2], [5, 4]])
    means = clustered_means(values, np.array([0, 0, 1, 2]))
    assert means.values.tolist() == [3, 3]
    assert means.clusters.tolist() == [2, 2]


def test_one_cluster_has_no_error_and_no_interval():
    means = clustered_means(np.array([[0.1], [0.2], [0.4]]), np.array([7, 7, 7]))  # residuals that do not sum to 0
    assert np.isnan(means.stderrs).all()
    assert np.isnan(score_interval(means.values, means.stderrs, means.clusters)).all()


def interval_of(scores: list[float], bounds: tuple[float, float] = (0.0, 1.0), size: int = 1) -> list[float]:
    """The interval of the mean of rows, `size` of which are a cluster."""
    means = clustered_means(np.array(scores)[:, None], np.arange(len(scores)) // size)
    ends: list[float] = score_interval(means.values, means.stderrs, means.clusters, bounds)[0].tolist()
    return ends


def test_a_score_of_right_and_wrong_rows_has_the_exact_interval_of_a_share():
    assert interval_of([1.0] * 19 + [0.0]) == pytest.approx(share_interval(19, 20))
    assert interval_of([10.0] * 19 + [1.0], (1.0, 10.0)) == pytest.approx([
        1 + 9 * end for end in share_interval(19, 20) or []
    ])


def test_rows_that_are_all_equal_say_as_much_as_their_number():
    assert interval_of([1.0] * 20) == pytest.approx(share_interval(20, 20))
    assert interval_of([1.0] * 20, size=2) == pytest.approx(share_interval(10, 10))


def test_turns_that_repeat_one_another_count_once():
    once, twice = interval_of([1.0] * 9 + [0.0] * 3), interval_of([1.0] * 18 + [0.0] * 6, size=2)
    assert once == pytest.approx(twice)


def test_an_interval_ends_within_the_scale_and_is_students_far_from_its_ends():
    low, high = interval_of([9.9, 10.0, 9.8, 10.0], (1.0, 10.0))
    assert 1 <= low < 9.925 < high <= 10
    scores = [5.4, 5.5, 5.6, 5.5, 5.45, 5.55]
    mean, stderr = np.mean(scores), np.std(scores, ddof=1) / 6**0.5
    expected = student_interval(np.array([mean]), np.array([stderr]), np.array([5.0]))[0]
    assert interval_of(scores, (1.0, 10.0)) == pytest.approx(expected.tolist(), rel=1e-3)


def test_fewer_degrees_of_freedom_make_a_wider_interval():
    value, stderr, rows = np.array([0.5]), np.array([0.05]), np.array([100.0])
    usual, few = (score_interval(value, stderr, rows, df=df)[0] for df in (None, np.array([2.0])))
    assert few[0] < usual[0] < usual[1] < few[1]
