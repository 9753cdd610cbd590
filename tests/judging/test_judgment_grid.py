"""The grid of judgments: models are compared on the same turns, and missing scores are counted."""

import numpy as np
import pytest

from stages.lib.console.errors import UserError
from stages.lib.judging.judgment_grid import align_judgments
from stages.lib.judging.preference import compare_scores, extra_chars, mean_scores, preference_rates
from tests.support.judgments import DGM, SCORES, TUNED, judgment, judgment_table, judgments, without_score


def test_models_are_compared_on_the_same_turn_whatever_the_order_of_the_rows():
    tables = judgments()
    reversed_rows = {model: table.take(list(reversed(range(table.num_rows)))) for model, table in tables.items()}
    for grid in (align_judgments(tables), align_judgments(reversed_rows)):
        assert grid.questions.tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
        assert grid.turns.tolist() == [1, 2, 1, 2, 1, 2, 1, 2]
        assert grid.scores.T.tolist() == list(SCORES.values())


def test_a_repeated_turn_is_an_error_that_names_it():
    tables = judgments() | {TUNED: judgment_table([judgment(3, 5), judgment(2, 5), judgment(3, 6)])}
    with pytest.raises(UserError, match="judgments of tuned: question 2, turn 2 appears twice"):
        align_judgments(tables)


def test_mean_scores_are_over_all_turns_and_over_the_first_and_the_second():
    grid = align_judgments(judgments())
    means = mean_scores(grid)[DGM]
    assert (means["mean"], means["scored"]) == (57 / 8, 8)
    assert (means["turns"]["1"]["mean"], means["turns"]["2"]["mean"]) == (31 / 4, 26 / 4)
    assert means["turns"]["2"]["scored"] == 4


def test_rows_without_a_score_are_counted_by_status():
    rows = [judgment(0, 8), without_score(1), without_score(2), without_score(3, "unanswered"), judgment(4, 6)]
    grid = align_judgments(judgments() | {TUNED: judgment_table(rows)})
    means = mean_scores(grid)[TUNED]
    assert {key: means[key] for key in ("mean", "scored", "failed", "unanswered", "absent")} == {
        "mean": 7,
        "scored": 2,
        "failed": 2,
        "unanswered": 1,
        "absent": 3,
    }
    rates = preference_rates(compare_scores(grid, [(DGM, TUNED)]), grid.questions, 200, 1)[0]
    assert rates["turns"] == 2


def test_the_length_is_that_of_the_judged_replies():
    tables = {
        DGM: judgment_table([judgment(0, 8, chars=300)]),
        TUNED: judgment_table([judgment(0, 5, chars=120), judgment(1, 5)]),
    }
    extra = extra_chars(align_judgments(tables), [(DGM, TUNED)])[:, 0]
    assert extra[0] == 180
    assert np.isnan(extra[1])
