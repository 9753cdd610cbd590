"""Preference by score: rates and flips that can be counted by hand, and exact tests that equal scipy's."""

import numpy as np
import pytest

from stages.lib.core.pairs import all_pairs
from stages.lib.judging.judgment_grid import align_judgments
from stages.lib.judging.preference import (
    compare_scores,
    count_flips,
    find_fine_tunes,
    preference_rates,
)
from tests.support.judgments import DGM, RIVAL, TUNED, judgment, judgment_table, judgments


def test_a_rate_is_over_all_turns_with_ties_among_them():
    # DGM over TUNED: 2, 3, 0, 0, 0, 6, 4, 0 points ahead: four wins, four ties.
    grid = align_judgments(judgments())
    rates = preference_rates(compare_scores(grid, all_pairs(grid.models)), grid.questions, 200, 1)
    expected = {"turns": 8, "wins": 4, "ties": 4, "losses": 0, "rate": 0.5, "rate_other": 0.0, "rate_without_ties": 1.0}
    assert {key: rates[0][key] for key in expected} == expected
    assert [(row["wins"], row["ties"], row["losses"]) for row in rates] == [(4, 4, 0), (4, 2, 2), (1, 2, 5)]
    assert rates[0]["ci95"][0] < 0.5 < rates[0]["ci95"][1]


def test_p_flips_whole_questions_and_q_is_benjamini_and_hochbergs():
    grid = align_judgments(judgments())
    rates = preference_rates(compare_scores(grid, all_pairs(grid.models)), grid.questions, 200, 1)
    # Net wins by question: 2, 0, 1, 1; then 1, 1, 0, 0; then -2, 1, -2, -1. Of all signs, as far from 0 as the sums of
    # 4, 2 and -4 are 2 of 8, 2 of 4, and 6 of 16.
    assert [row["p"] for row in rates] == pytest.approx([0.25, 0.5, 0.375])
    assert [row["q"] for row in rates] == pytest.approx([0.5, 0.5, 0.5])  # 3/3 of the largest is the least of all
    assert [(row["net"], row["questions"]) for row in rates] == [(0.5, 4), (0.25, 4), (-0.5, 4)]


def test_turns_of_a_question_say_no_more_than_it():
    # Eight turns won by one model, two of each of four questions: of 16 ways to flip, 2 are as extreme.
    outcomes = np.ones((8, 1))
    assert preference_rates(outcomes, np.repeat(np.arange(4), 2), 200, 1)[0]["p"] == pytest.approx(2 / 2**4)
    assert preference_rates(outcomes, np.arange(8), 400, 1)[0]["p"] == pytest.approx(2 / 2**8)


def test_wins_are_losses_when_the_pair_is_reversed():
    grid = align_judgments(judgments())
    (one,), (other,) = (
        preference_rates(compare_scores(grid, [pair]), grid.questions, 200, 1) for pair in [(DGM, RIVAL), (RIVAL, DGM)]
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
