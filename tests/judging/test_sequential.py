"""When a pair is decided, which models are the best, and which pairs are asked about next."""

import numpy as np
import pytest

from stages.lib.core.sections import parse
from stages.lib.judging.race import Best, Rounds, Why, find_best
from stages.lib.judging.sequential import NEVER, Outcome, Rule, average_turns, decide_pair, first_decisions
from stages.lib.records.pairings import TIE
from stages.lib.settings.pairwise import Pairwise, Stop
from stages.lib.statistics.verdicts import Verdict
from tests.support.judgments import BOTH_ORDERS, DGM, INCOMPLETE, TUNED, pairing

RULE = Rule(alpha=0.05, margin=0.05)
BETTER, WORSE, EQUIVALENT, NOT_DECIDED = Verdict
AB, AC, BC = ("a", "b"), ("a", "c"), ("b", "c")


def stop(**values: float) -> Stop:
    return parse(Stop, {"alpha": 0.05, "margin": 0.05, **values}, "stop")


def test_a_question_is_the_mean_of_its_turns_and_a_split_is_a_tie():
    assert average_turns(BOTH_ORDERS[:4]) == Outcome(share=0.75, won=0.5, lost=0)  # a win and a tie
    assert average_turns(BOTH_ORDERS[4:8]) == Outcome(share=0.25, won=0, lost=0.5)  # a loss and a split


def test_a_turn_with_one_order_counts_nothing():
    assert average_turns(INCOMPLETE) is None
    assert average_turns([*BOTH_ORDERS[:2], *INCOMPLETE[:2]]) == Outcome(1, 1, 0)
    assert average_turns([pairing(0, DGM, TIE), pairing(0, TUNED, DGM)]) == Outcome(0.5, 0, 0)  # they disagree


def test_ten_wins_are_enough_and_nine_are_not():
    # Every bet is cut to 0.5 / 0.5, so that a win multiplies the capital by 1.5: 1.5^9 = 38.4 < 2 / 0.05 < 1.5^10.
    assert decide_pair(np.ones(9), RULE) == NOT_DECIDED
    assert decide_pair(np.ones(10), RULE) == BETTER
    assert decide_pair(np.zeros(10), RULE) == WORSE
    assert decide_pair(np.ones(10), Rule(0.05 / 3, 0.05)) == NOT_DECIDED  # one of three pairs


def test_a_pair_that_is_decided_stays_so():
    assert decide_pair(np.concatenate([np.ones(10), np.zeros(8)]), RULE) == BETTER


def test_ties_alone_are_equivalent_within_the_margin_and_the_wider_it_is_the_sooner():
    first = [int(first_decisions(np.full(400, 0.5), Rule(0.05, margin))[EQUIVALENT]) for margin in (0.02, 0.05, 0.2)]
    assert first == sorted(first, reverse=True) and 5 < first[2] < first[0] < 400
    assert first_decisions(np.full(400, 0.5), RULE)[BETTER] == NEVER
    assert decide_pair(np.full(400, 0.5), RULE) == EQUIVALENT


def test_the_best_of_three_is_better_than_both_others():
    assert find_best({AB: BETTER, AC: NOT_DECIDED, BC: NOT_DECIDED}, 1) == Best([], ["b"], ["a", "c"])
    assert find_best({AB: BETTER, AC: BETTER, BC: NOT_DECIDED}, 1) == Best(["a"], ["b", "c"], [])


def test_the_best_two_of_three_are_known_from_the_worst():
    assert find_best({AB: NOT_DECIDED, AC: BETTER, BC: BETTER}, 2) == Best(["a", "b"], ["c"], [])


def test_of_equivalent_models_at_the_edge_it_is_not_known_which_is_among_the_best():
    assert find_best({AB: EQUIVALENT, AC: BETTER, BC: BETTER}, 1) == Best([], ["c"], ["a", "b"])


def test_a_pair_is_asked_further_only_while_a_model_of_it_may_be_among_the_best():
    rounds = Rounds([AB, AC, BC], 100, stop(top=1))
    assert rounds.next_round() == dict.fromkeys([AB, AC, BC], range(10))
    rounds.record({AB: BETTER, AC: NOT_DECIDED, BC: NOT_DECIDED})
    assert rounds.next_round() == dict.fromkeys([AC, BC], range(10, 20))
    rounds.record({AC: BETTER, BC: NOT_DECIDED})
    assert rounds.next_round() == {}
    assert rounds.explain() == {AB: Why.DECIDED, AC: Why.DECIDED, BC: Why.NOT_NEEDED}


def test_the_last_round_of_a_pair_is_what_is_left_of_its_questions():
    rounds = Rounds([AB], 12, stop())
    assert [rounds.next_round() for _ in range(3)] == [{AB: range(10)}, {AB: range(10, 12)}, {}]
    assert rounds.explain() == {AB: Why.ALL_ASKED}


def test_a_budget_is_shared_by_the_pairs_that_are_not_decided():
    rounds = Rounds([AB, AC], 100, stop(max_questions=34))
    assert rounds.next_round() == {AB: range(10), AC: range(10)}
    rounds.record({AB: BETTER, AC: NOT_DECIDED})
    assert rounds.next_round() == {AC: range(10, 20)}
    assert rounds.next_round() == {AC: range(20, 24)}
    assert rounds.next_round() == {}
    assert rounds.explain() == {AB: Why.DECIDED, AC: Why.BUDGET_SPENT}


def test_each_pair_has_an_equal_part_of_the_chance_to_be_wrong():
    rule = Rounds([AB, AC, BC], 100, stop(alpha=0.03)).rule
    assert rule.alpha == pytest.approx(0.01) and rule.margin == 0.05


@pytest.mark.parametrize("word", ["none", None])
def test_there_may_be_no_rule(word):
    assert parse(Pairwise, {"stop": word, "pairs": "all"}, "pairwise").stop is None


def test_verdicts_of_equal_models_are_wrong_less_often_than_alpha():
    # Two equal models on 200 questions, 300 times: what is ever called better or worse, with a look at each question.
    drawn = np.random.default_rng(3).choice([0, 0.5, 1], (300, 200), p=[0.35, 0.3, 0.35])
    first = first_decisions(drawn, RULE)
    wrong = np.minimum(first[BETTER], first[WORSE]) < NEVER
    assert 0 < wrong.mean() < RULE.alpha
