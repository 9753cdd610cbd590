"""Preference by score: rates and flips that can be counted by hand, and exact tests that equal scipy's."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest, false_discovery_control

from stages.lib.judging.judgment_grid import align_judgments, all_pairs
from stages.lib.judging.preference import (
    adjust_p_values,
    compare_scores,
    count_flips,
    find_fine_tunes,
    preference_rates,
    sign_test,
)
from tests.support.judgments import DGM, RIVAL, TUNED, draws, judgment, judgment_table, judgments


def test_a_rate_is_over_all_turns_with_ties_among_them():
    # DGM over TUNED: 2, 3, 0, 0, 0, 6, 4, 0 points ahead: four wins, four ties.
    grid = align_judgments(judgments())
    rates = preference_rates(compare_scores(grid, all_pairs(grid.models)), draws(grid))
    expected = {"turns": 8, "wins": 4, "ties": 4, "losses": 0, "rate": 0.5, "rate_other": 0.0, "rate_without_ties": 1.0}
    assert {key: rates[0][key] for key in expected} == expected
    assert [(row["wins"], row["ties"], row["losses"]) for row in rates] == [(4, 4, 0), (4, 2, 2), (1, 2, 5)]
    assert rates[0]["ci95"][0] < 0.5 < rates[0]["ci95"][1]


def test_p_is_the_sign_tests_and_q_is_benjamini_and_hochbergs():
    grid = align_judgments(judgments())
    rates = preference_rates(compare_scores(grid, all_pairs(grid.models)), draws(grid))
    p = [2 / 2**4, 2 * (1 + 6 + 15) / 2**6, 2 * (1 + 6) / 2**6]  # by hand: 4:0, 4:2, 1:5
    assert [row["p"] for row in rates] == pytest.approx(p)
    # 3/2 of the second smallest; 3/1 of the smallest is larger, so that it gets the same.
    assert [row["q"] for row in rates] == pytest.approx([0.328125, 0.6875, 0.328125])
    assert adjust_p_values(np.array(p)).tolist() == pytest.approx(false_discovery_control(p).tolist())


def test_the_sign_test_equals_scipys_exact_binomial_test():
    ones, others = np.array(list(product(range(9), range(9)))).T
    expected = [
        binomtest(one, one + other).pvalue if one + other else 1 for one, other in zip(ones, others, strict=True)
    ]
    assert sign_test(ones, others).tolist() == pytest.approx(expected)


def test_wins_are_losses_when_the_pair_is_reversed():
    grid = align_judgments(judgments())
    (one,), (other,) = (
        preference_rates(compare_scores(grid, [pair]), draws(grid)) for pair in [(DGM, RIVAL), (RIVAL, DGM)]
    )
    assert (one["rate"], one["rate_other"], one["p"]) == (other["rate_other"], other["rate"], other["p"])


def test_a_flip_is_a_lost_turn_that_the_dgm_wins_and_a_broken_tie_is_not_one():
    # The rival is above the fine-tune on 1a, 1b, 3a, 3b, 4b; the DGM above the rival there on 1a and 3b (1b: level).
    # Rival and fine-tune are level on 2b and 4a; the DGM is above on 4a.
    flips = count_flips(align_judgments(judgments()), DGM, TUNED, RIVAL)
    assert flips == {"turns": 8, "behind": 5, "flips": 2, "level": 2, "ties_broken": 1}


def test_flips_count_only_turns_that_all_three_models_have():
    rival = judgment_table([judgment(number, score) for number, score in enumerate([8, 8, 4])])
    assert count_flips(align_judgments(judgments() | {RIVAL: rival}), DGM, TUNED, RIVAL)["turns"] == 3


def test_the_fine_tunes_of_a_dgm_are_the_runs_on_it_alone():
    kinds = {"a": {"kind": "dgm"}, "b": {"kind": "dgm"}, "sums": {"kind": "auxiliary"}}
    runs = {"on-a": "a", "on-b": "b", "on-both": "ab", "too": "a", "on-sums": ["sums"], "mixed": ["a", "sums"]}
    recipes = {key: {"sources": {name: kinds[name] for name in names}} for key, names in runs.items()}
    assert find_fine_tunes(recipes) == [("a", "on-a"), ("a", "too"), ("b", "on-b")]
