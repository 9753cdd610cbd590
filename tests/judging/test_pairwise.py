"""Choices between two replies: both orders together, agreement, kappa and position bias that can be counted by hand."""

import numpy as np
import pytest

from stages.lib.console.errors import UserError
from stages.lib.judging.judgment_grid import align_judgments
from stages.lib.judging.pairwise import order_effects, overall_order_effects, position_bias, read_choices
from stages.lib.judging.preference import preference_rates
from stages.lib.records.pairings import TIE
from tests.support.judgments import BOTH_ORDERS, DGM, INCOMPLETE, TUNED, judgments, pairing, pairing_table


def choices_of(*rows):
    return read_choices(pairing_table(*rows), align_judgments(judgments()))


def test_choices_that_change_with_the_order_are_a_tie_and_counted_as_split():
    grid = align_judgments(judgments())
    choices = read_choices(pairing_table(*BOTH_ORDERS, *INCOMPLETE), grid)
    rates, orders = preference_rates(choices.outcomes, grid.questions, 200, 1)[0], order_effects(choices)[0]
    assert choices.pairs == [(DGM, TUNED)]
    assert (rates["turns"], rates["wins"], rates["ties"], rates["losses"]) == (5, 1, 3, 1)
    assert (orders["turns"], orders["splits"], orders["reversed"], orders["agreement"]) == (5, 2, 1, 0.6)
    assert (orders["one_order_only"], orders["failed"], orders["unanswered"]) == (1, 1, 2)


def test_kappa_equals_the_one_computed_by_hand():
    # Agreement 3/5. DGM first says 2 wins, 2 ties, 1 loss; TUNED first 2 wins, 1 tie, 2 losses.
    # By chance (2 * 2 + 2 * 1 + 1 * 2) / 25 = 8/25; kappa = (15/25 - 8/25) / (17/25).
    assert order_effects(choices_of(*BOTH_ORDERS))[0]["kappa"] == pytest.approx(7 / 17)


def test_kappa_of_a_judge_that_always_chooses_the_same_is_not_defined():
    rows = [pairing(number, first, TIE) for number in range(3) for first in (DGM, TUNED)]
    orders = order_effects(choices_of(*rows))[0]
    assert orders["agreement"] == 1
    assert np.isnan([orders["kappa"], orders["first_rate"], orders["first_p"]]).all()


def test_wins_of_the_reply_shown_first_are_counted():
    # Shown first and preferred: DGM on 0 and 3, TUNED on 2 and 3; shown second: DGM on 0 and 4, TUNED on 2.
    effects = overall_order_effects(choices_of(*BOTH_ORDERS))
    assert (effects["first_wins"], effects["second_wins"], effects["first_rate"]) == (4, 3, 4 / 7)


def test_only_turns_that_split_say_whether_the_position_decides():
    # On 3 both orders prefer the first; on 4 a tie and a win of the second.
    effects = overall_order_effects(choices_of(*BOTH_ORDERS))
    assert (effects["split_to_first"], effects["split_to_second"], effects["first_p"]) == (1, 1, 1)
    always = position_bias(np.ones(4), -np.ones(4))
    assert (always["first_rate"], always["split_to_first"], always["first_p"]) == (1, 4, pytest.approx(2 / 2**4))
    never = position_bias(np.array([1.0, 1, -1]), np.array([1.0, 1, -1]))
    assert (never["first_rate"], never["split_to_first"] + never["split_to_second"]) == (0.5, 0)


def test_a_pair_whose_models_are_in_the_other_order_is_the_same_pair():
    reversed_rows = [row | {"one": row["other"], "other": row["one"]} for row in reversed(BOTH_ORDERS)]
    first, second = choices_of(*BOTH_ORDERS), choices_of(*reversed_rows)
    assert np.array_equal(first.outcomes, second.outcomes, equal_nan=True)
    assert order_effects(first) == order_effects(second)


def test_choices_on_models_that_are_not_compared_are_left_out_and_counted():
    stranger = pairing(0, "stranger", "stranger", one="stranger", other=TUNED)
    choices = choices_of(*BOTH_ORDERS, stranger)
    assert choices.pairs == [(DGM, TUNED)]
    assert choices.num_not_compared == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (pairing(40, DGM, DGM), "dgm and tuned, question 21, turn 1 is not among the judgments"),
        (pairing(0, DGM, TUNED), "dgm and tuned, question 1, turn 1 appears twice in one order"),
    ],
)
def test_choices_that_match_no_judgment_are_an_error(row, message):
    with pytest.raises(UserError, match=message):
        choices_of(*BOTH_ORDERS, row)
