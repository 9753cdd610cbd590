"""Contrasts of models on the same rows, by cases computed by hand and beside scipy."""

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from stages.lib.comparison.contrasts import contrast
from stages.lib.comparison.score_rows import ScoreRows, average_rows

DIFFERENCE = np.array([[1.0], [-1.0]])


def score_rows(scores: dict[str, list[float]], size: int = 1, bounds: tuple[float, float] = (0.0, 1.0)) -> ScoreRows:
    """Rows of one benchmark, of which `size` are a cluster."""
    num = len(next(iter(scores.values())))
    weights, strata = np.full(num, 1 / num), np.zeros(num, np.int64)
    return ScoreRows(tuple(scores), np.array(list(scores.values())).T, weights, np.arange(num) // size, strata, bounds)


JUDGED = {"one": [7.0, 8, 6, 9, 5], "other": [6.0, 8, 5, 7, 6]}


def test_scores_have_students_interval_of_the_paired_differences():
    made = contrast(score_rows(JUDGED, bounds=(1, 10)), ["one", "other"], DIFFERENCE, {})
    theirs = ttest_1samp(np.subtract(JUDGED["one"], JUDGED["other"]), 0).confidence_interval()
    assert made.values[0] == pytest.approx(0.6)
    assert made.ends[0].tolist() == pytest.approx(list(theirs))
    assert (made.clusters[0], made.df[0], np.isnan(made.seed_shares[0])) == (5, 4, True)


def test_turns_of_a_question_are_one_cluster():
    scores = {model: np.repeat(values, 2).tolist() for model, values in JUDGED.items()}
    once = contrast(score_rows(JUDGED, bounds=(1, 10)), ["one", "other"], DIFFERENCE, {})
    twice = contrast(score_rows(scores, 2, (1, 10)), ["one", "other"], DIFFERENCE, {})
    assert twice.ends.tolist() == [pytest.approx(once.ends[0].tolist())]
    assert twice.sums.ravel().tolist() == pytest.approx([0.2, 0, 0.2, 0.4, -0.2])


def test_right_and_wrong_rows_have_bonett_and_prices_interval():
    # Of 10 rows one alone is right on 3, the other alone on none: (3 + 1) / 12 less 1 / 12, and
    # (4/12 + 1/12 - (3/12)²) / 12 for the variance.
    rows = score_rows({"one": [1.0] * 6 + [0.0] * 4, "other": [1.0] * 3 + [0.0] * 7})
    made = contrast(rows, ["one", "other"], DIFFERENCE, {})
    half = t.ppf(0.975, 9) * np.sqrt((5 / 12 - 1 / 16) / 12)
    assert made.values[0] == pytest.approx(0.3)
    assert made.ends[0].tolist() == pytest.approx([0.25 - half, 0.25 + half])


def test_models_that_are_right_on_the_same_rows_do_not_differ_by_exactly_nothing():
    rows = score_rows({"one": [1.0, 0] * 10, "other": [1.0, 0] * 10})
    low, high = contrast(rows, ["one", "other"], DIFFERENCE, {}).ends[0]
    assert low == pytest.approx(-t.ppf(0.975, 19) * np.sqrt(2 / 22 / 22))
    assert high == -low


def test_rows_on_which_a_model_has_no_score_are_left_out_of_its_columns():
    scores = {"one": [7.0, 8, 6, 9, 5], "other": [6.0, 8, np.nan, 7, 6], "third": [1.0, 2, 3, 4, 7]}
    factors = np.array([[1.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    made = contrast(score_rows(scores, bounds=(1, 10)), list(scores), factors, {})
    assert made.values.tolist() == pytest.approx([0.5, 3.6])  # (1 + 0 + 2 - 1) / 4
    assert made.clusters.tolist() == [4, 5]


def test_an_average_has_the_errors_of_its_benchmarks():
    other = {"one": [2.0, 4, 9], "other": [1.0, 5, 6]}
    parts = [score_rows(JUDGED, bounds=(1, 10)), score_rows(other, bounds=(1, 10))]
    average = average_rows([(rows, 10) for rows in parts])
    assert average is not None
    single = [contrast(rows, ["one", "other"], DIFFERENCE, {}) for rows in parts]
    made = contrast(average, ["one", "other"], DIFFERENCE, {})
    assert made.values[0] == pytest.approx((single[0].values[0] + single[1].values[0]) / 20)
    assert made.stderrs[0] == pytest.approx(np.hypot(single[0].stderrs[0], single[1].stderrs[0]) / 20)
    assert (made.clusters[0], made.df[0]) == (8, 6)


def test_a_part_with_one_row_alone_leaves_the_interval_undefined():
    parts = [score_rows(JUDGED, bounds=(1, 10)), score_rows({"one": [2.0], "other": [1.0]}, bounds=(1, 10))]
    average = average_rows([(rows, 10) for rows in parts])
    assert average is not None
    made = contrast(average, ["one", "other"], DIFFERENCE, {})
    assert made.values[0] == pytest.approx(0.08)
    assert np.isnan(made.ends).all()


def test_a_run_is_the_mean_of_its_seeds_and_has_their_spread_in_its_error():
    scores = {"a": [7.0, 8, 6, 9, 5], "b": [6.0, 7, 5, 8, 4], "other": [6.0, 8, 5, 7, 6]}
    made = contrast(score_rows(scores, bounds=(1, 10)), ["run", "other"], DIFFERENCE, {"run": ["a", "b"]})
    # Means 7 and 6 of the seeds: a variance of 1/2, over two seeds 1/4 with one degree of freedom. The rows are half a
    # point lower than those of seed a, which changes no spread: that of 1, 0, 1, 2, -1 over 5 rows.
    rows = np.var([1, 0, 1, 2, -1], ddof=1) / 5
    assert made.values[0] == pytest.approx(0.1)
    assert made.stderrs[0] ** 2 == pytest.approx(rows + 0.25)
    assert made.seed_shares[0] == pytest.approx(0.25 / (rows + 0.25))
    assert made.df[0] == pytest.approx((rows + 0.25) ** 2 / (rows**2 / 4 + 0.25**2))
