"""Tests of paired differences, beside scipy and statsmodels, and the rows that would decide."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import norm, permutation_test
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import normal_sample_size_one_tail

from stages.lib.statistics import significance
from stages.lib.statistics.significance import adjust_p_values, mcnemar_test, rows_to_decide, sign_flip_test


def test_mcnemars_test_is_the_exact_one_of_statsmodels():
    ones, others = np.array(list(product(range(9), range(9)))).T
    expected = [
        mcnemar([[5, one], [other, 2]], exact=True).pvalue if one + other else 1
        for one, other in zip(ones, others, strict=True)
    ]
    assert mcnemar_test(ones, others).tolist() == pytest.approx(expected)
    assert mcnemar_test(np.array([0]), np.array([6])).tolist() == [2 / 2**6]


def test_signs_are_flipped_in_all_ways_where_there_are_few():
    # Of +-2 +-1 +-1, as far from 0 as 4 are two of eight, as 2 are six; where all is 0, nothing is farther.
    columns = np.array([[2.0, 2, 0, np.nan], [1, -1, 0, 1], [1, 1, 0, 1]])
    assert sign_flip_test(columns, 2000, 1).tolist() == [2 / 8, 6 / 8, 1, 4 / 8]


@pytest.mark.parametrize("rows", [2, 5, 10])
def test_all_ways_give_scipys_p(rows):
    differences = np.random.default_rng(rows).integers(-3, 4, (rows, 6)).astype(float)
    assert sign_flip_test(differences, 2000, 1).tolist() == pytest.approx(permute(differences, 2000).tolist())


def test_random_ways_give_scipys_p_but_for_chance():
    differences = np.random.default_rng(1).normal(0.15, 1, (60, 4))
    # 5,000 draws each: a standard deviation of at most sqrt(2 * .25 / 5000) = .01
    assert sign_flip_test(differences, 5000, 1).tolist() == pytest.approx(permute(differences, 5000).tolist(), abs=0.04)


def permute(differences, resamples):
    tested = permutation_test(
        (differences,),
        lambda rows, axis: rows.sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        axis=0,
        rng=np.random.default_rng(2),
    )
    return np.minimum(1, tested.pvalue)


def test_random_ways_never_give_a_p_of_zero_and_the_same_in_each_part(monkeypatch):
    differences = np.column_stack([np.ones(40), np.random.default_rng(1).normal(size=40)])
    p = sign_flip_test(differences, 99, 3)
    assert p[0] == 1 / 100
    assert sign_flip_test(-differences[:, ::-1], 99, 3).tolist() == p[::-1].tolist()
    monkeypatch.setattr(significance, "MOST_NUMBERS", 400)  # ten ways at a time
    assert sign_flip_test(differences, 99, 3).tolist() == p.tolist()


def test_one_cluster_alone_never_differs():
    assert sign_flip_test(np.array([[5.0]]), 100, 1).tolist() == [1.0]


def test_q_is_benjamini_and_hochbergs():
    p = np.array([0.001, 0.04, 0.03, 0.5])
    assert adjust_p_values(p).tolist() == pytest.approx(multipletests(p, method="fdr_bh")[1].tolist())
    assert adjust_p_values(p).tolist() == pytest.approx([0.004, 0.16 / 3, 0.16 / 3, 0.5])
    assert adjust_p_values(np.array([])).tolist() == []


@pytest.mark.parametrize(("difference", "deviation"), [(0.05, 0.6), (-0.05, 0.6), (0.3, 1.0)])
def test_without_a_margin_the_rows_that_decide_are_those_that_statsmodels_asks_for(difference, deviation):
    expected = normal_sample_size_one_tail(abs(difference), 0.8, 0.025, std_null=deviation)
    assert rows_to_decide(difference, deviation, 1e-6) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("difference", [0, 0.01, 0.025, 0.04, 0.05, -0.08])
def test_as_many_rows_decide_rightly_in_four_of_five_cases(difference):
    stderr = 0.6 / rows_to_decide(difference, 0.6, 0.05) ** 0.5
    estimates = norm.ppf((np.arange(100_000) + 0.5) / 100_000) * stderr + difference
    half = norm.ppf(0.975) * stderr
    is_right = np.sign(difference) * estimates > half  # never where there is no difference
    is_equivalent = np.abs(estimates) + half < 0.05
    assert (is_right | is_equivalent).mean() == pytest.approx(0.8, abs=1e-3)


def test_no_number_of_rows_decides_what_the_seeds_leave_open():
    assert rows_to_decide(0.01, 0.6, 0.05, seed_stderr=0.03) == float("inf")
    assert rows_to_decide(0.0, 0.6, 0.05) < rows_to_decide(0.0, 0.6, 0.05, seed_stderr=0.01) < float("inf")


def test_differences_that_do_not_vary_need_no_rows():
    assert rows_to_decide(0.01, 0.0, 0.05) == 0
