"""Preference: rates, flips, order effects and words that can be counted by hand, and intervals beside scipy's."""

from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import binomtest, bootstrap, false_discovery_control

from stages.lib.console.errors import UserError
from stages.lib.core.bootstrap import Bootstrap
from stages.lib.core.files import read_json, sha256_folder, write_json
from stages.lib.core.sections import parse
from stages.lib.judging.judgment_grid import align_judgments, all_pairs
from stages.lib.judging.length_control import length_controlled_rate
from stages.lib.judging.negation import extract_terms
from stages.lib.judging.pairwise import order_effects, overall_order_effects, position_bias, read_choices
from stages.lib.judging.preference import (
    adjust_p_values,
    compare_scores,
    count_flips,
    extra_chars,
    find_fine_tunes,
    mean_scores,
    preference_rates,
    sign_test,
)
from stages.lib.judging.word_tests import (
    build_term_matrix,
    count_by_model,
    count_by_winner,
    count_sampled_winners,
    run_exact_tests,
)
from stages.lib.records.judgments import JUDGMENT
from stages.lib.records.pairings import PAIRING
from stages.lib.records.shards import read_table, write_table
from stages.lib.settings.sections import Preference
from stages.preference import main, measure_preference

SETTINGS = parse(Preference, {"seed": 1, "resamples": 200, "min_judgments": 1, "num_words": 5}, "preference")
# Four questions of two turns.   1a 1b  2a 2b  3a 3b  4a 4b
DGM, TUNED, RIVAL = "dgm", "tuned", "rival"
SCORES = {
    DGM: [9, 8, 7, 5, 6, 9, 9, 4],
    TUNED: [7, 5, 7, 5, 6, 3, 5, 4],
    RIVAL: [8, 8, 4, 5, 7, 4, 5, 9],
}


def judgment(number, score, text="", chars=100, status="ok"):
    """The judgment of a turn: the first turn of question 1 is number 0, its second is 1."""
    return {
        "question_id": number // 2 + 1,
        "category": "explain",
        "turn": number % 2 + 1,
        "score": score,
        "text": text,
        "chars": chars,
        "status": status,
        "reason": "",
    }


def table(rows):
    return pa.Table.from_pylist(rows, schema=JUDGMENT)


def judgments(scores=SCORES):
    return {
        model: table([judgment(number, score) for number, score in enumerate(row)]) for model, row in scores.items()
    }


def failed(number, status="failed"):
    return judgment(number, None, None, 0 if status == "unanswered" else 100, status)


def draws(judged, resamples=200, seed=1):
    return Bootstrap(judged.questions, resamples, seed)


def pairing(number, first, winner, status="ok", one=DGM, other=TUNED):
    row = judgment(number, None)
    return {
        **{key: row[key] for key in ("question_id", "category", "turn", "text", "reason")},
        "one": one,
        "other": other,
        "first": first,
        "winner": winner,
        "status": status,
    }


def pairings(*rows):
    return pa.Table.from_pylist(list(rows), schema=PAIRING)


# Alignment


def test_models_are_compared_on_the_same_turn_whatever_the_order_of_the_rows():
    there = judgments()
    turned = {model: part.take(list(reversed(range(part.num_rows)))) for model, part in there.items()}
    for judged in (align_judgments(there), align_judgments(turned)):
        assert judged.questions.tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
        assert judged.turns.tolist() == [1, 2, 1, 2, 1, 2, 1, 2]
        assert judged.scores.T.tolist() == list(SCORES.values())


def test_a_turn_that_is_there_twice_is_an_error_that_names_it():
    there = judgments() | {TUNED: table([judgment(3, 5), judgment(2, 5), judgment(3, 6)])}
    with pytest.raises(UserError, match="judgments of tuned: question 2, turn 2 is there twice"):
        align_judgments(there)


def test_no_judgments_at_all_give_no_numbers():
    summary, tables = measure_preference({DGM: table([]), TUNED: table([])}, pairings(), {}, SETTINGS)
    assert summary["by_score"]["dgm tuned"]["turns"] == 0
    assert summary["by_score"]["dgm tuned"]["rate"] is None
    assert summary["models"][DGM]["mean"] is None
    assert [part.num_rows for part in tables.values()] == [0, 0, 0]


# Scores


def test_mean_scores_over_all_turns_and_over_the_first_and_the_second():
    judged = align_judgments(judgments())
    found = mean_scores(judged, draws(judged))[DGM]
    assert (found["mean"], found["scored"]) == (57 / 8, 8)
    assert (found["turns"]["1"]["mean"], found["turns"]["2"]["mean"]) == (31 / 4, 26 / 4)
    assert found["turns"]["2"]["scored"] == 4


def test_what_has_no_score_is_counted_under_its_name():
    rows = [judgment(0, 8), failed(1), failed(2), failed(3, "unanswered"), judgment(4, 6)]
    judged = align_judgments(judgments() | {TUNED: table(rows)})
    found = mean_scores(judged, draws(judged))[TUNED]
    assert {key: found[key] for key in ("mean", "scored", "failed", "unanswered", "absent")} == {
        "mean": 7,
        "scored": 2,
        "failed": 2,
        "unanswered": 1,
        "absent": 3,
    }
    rates = preference_rates(compare_scores(judged, [(DGM, TUNED)]), draws(judged))[0]
    assert rates["turns"] == 2


def test_an_interval_is_the_one_that_scipy_draws_over_whole_questions():
    judged = align_judgments(judgments())
    questions = judged.scores[:, 0].reshape(4, 2)

    def mean_of(places, axis):
        return questions[places.astype(int)].mean(axis=(-2, -1))

    theirs = bootstrap(
        (np.arange(4),),
        mean_of,
        n_resamples=500,
        method="percentile",
        rng=np.random.default_rng(7),
    ).confidence_interval
    ours = Bootstrap(judged.questions, 500, 7).mean(judged.scores)
    assert ours[0].tolist() == pytest.approx(list(theirs))


def test_turns_of_one_question_are_drawn_together():
    # Within a question all turns are alike: eight turns say no more than the four questions that they belong to.
    apart = Bootstrap(np.arange(4), 400, 3).mean(np.array([[1.0], [2], [3], [4]]))
    together = Bootstrap(np.repeat(np.arange(4), 2), 400, 3).mean(np.array([[1.0], [1], [2], [2], [3], [3], [4], [4]]))
    assert together.tolist() == apart.tolist()


def test_one_question_alone_has_no_interval():
    ends = Bootstrap(np.array([1, 1, 2, 2]), 50, 1).mean(np.array([[1.0], [2], [np.nan], [np.nan]]))
    assert np.isnan(ends).all()


def test_the_same_seed_draws_the_same_and_another_seed_does_not():
    values = np.linspace(0, 1, 30)[:, None]
    first, again, other = (Bootstrap(np.arange(30), 100, seed).mean(values).tolist() for seed in (1, 1, 2))
    assert first == again != other


# Pairs by score


def test_a_rate_counts_ties_among_the_turns_and_shows_them():
    # DGM over tuned: 2, 3, 0, 0, 0, 6, 4, 0 points ahead: four wins, four ties.
    judged = align_judgments(judgments())
    found = preference_rates(compare_scores(judged, all_pairs(judged.models)), draws(judged))
    wanted = {"turns": 8, "wins": 4, "ties": 4, "losses": 0, "rate": 0.5, "rate_other": 0.0, "rate_without_ties": 1.0}
    assert {key: found[0][key] for key in wanted} == wanted
    assert [(row["wins"], row["ties"], row["losses"]) for row in found] == [(4, 4, 0), (4, 2, 2), (1, 2, 5)]
    assert found[0]["ci95"][0] < 0.5 < found[0]["ci95"][1]


def test_p_is_the_sign_tests_and_q_that_of_benjamini_and_hochberg():
    judged = align_judgments(judgments())
    found = preference_rates(compare_scores(judged, all_pairs(judged.models)), draws(judged))
    p = [2 / 2**4, 2 * (1 + 6 + 15) / 2**6, 2 * (1 + 6) / 2**6]  # by hand: 4:0, 4:2, 1:5
    assert [row["p"] for row in found] == pytest.approx(p)
    assert [row["q"] for row in found] == pytest.approx([
        0.328125,
        0.6875,
        0.328125,
    ])  # 3/2 of the second; the first, 3/1, is no more

    assert adjust_p_values(np.array(p)).tolist() == pytest.approx(false_discovery_control(p).tolist())


def test_the_sign_test_is_scipys_exact_binomial_test():
    ones, others = np.array(list(product(range(9), range(9)))).T
    wanted = [binomtest(one, one + other).pvalue if one + other else 1 for one, other in zip(ones, others, strict=True)]
    assert sign_test(ones, others).tolist() == pytest.approx(wanted)


def test_the_other_way_round_wins_are_losses():
    judged = align_judgments(judgments())
    (one,), (other,) = (
        preference_rates(compare_scores(judged, [pair]), draws(judged)) for pair in [(DGM, RIVAL), (RIVAL, DGM)]
    )
    assert (one["rate"], one["rate_other"], one["p"]) == (other["rate_other"], other["rate"], other["p"])


# Flips


def test_a_flip_is_a_lost_turn_that_the_dgm_wins_and_a_broken_tie_is_none():
    # The rival is above the tuned on 1a, 1b, 3a, 3b, 4b; the DGM above the rival there on 1a and 3b (1b: level).
    # Rival and tuned are level on 2b and 4a; the DGM is above on 4a.
    found = count_flips(align_judgments(judgments()), DGM, TUNED, RIVAL)
    assert found == {"turns": 8, "behind": 5, "flips": 2, "level": 2, "ties_broken": 1}


def test_flips_count_only_turns_that_all_three_have():
    there = judgments() | {RIVAL: table([judgment(number, score) for number, score in enumerate([8, 8, 4])])}
    assert count_flips(align_judgments(there), DGM, TUNED, RIVAL)["turns"] == 3


def test_a_dgm_has_as_fine_tunes_the_runs_on_it_alone():
    kinds = {"a": {"kind": "dgm"}, "b": {"kind": "dgm"}, "sums": {"kind": "auxiliary"}}
    runs = {"on-a": "a", "on-b": "b", "on-both": "ab", "too": "a", "on-sums": ["sums"], "mixed": ["a", "sums"]}
    recipes = {key: {"sources": {name: kinds[name] for name in names}} for key, names in runs.items()}
    assert find_fine_tunes(recipes) == [("a", "on-a"), ("a", "too"), ("b", "on-b")]


# At equal length


def test_a_preference_that_only_length_explains_vanishes_at_equal_length():
    # Longer wins three in four, shorter one in four, and one of both is longer twice as often.
    extra = np.array([100.0] * 8 + [-100.0] * 4)
    outcomes = np.array([1.0] * 6 + [-1.0] * 2 + [1.0] + [-1.0] * 3)
    found = length_controlled_rate(outcomes, extra, np.arange(12))
    assert found["raw"] == pytest.approx(7 / 12)
    assert found["rate"] == pytest.approx(0.5)  # logit 3/4 = -logit 1/4: the curve crosses a half between them


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


def test_the_interval_at_equal_length_is_about_that_of_redrawing_the_questions():
    rng = np.random.default_rng(6)
    questions = np.repeat(np.arange(150), 2)
    extra = rng.normal(50, 100, 300)
    outcomes = np.sign(extra / 200 + np.repeat(rng.normal(0.2, 1, 150), 2) + rng.normal(0, 0.5, 300))
    found = length_controlled_rate(outcomes, extra, questions)
    rates = []
    for _ in range(200):
        rows = (rng.integers(0, 150, 150)[:, None] * 2 + [0, 1]).ravel()
        rates.append(length_controlled_rate(outcomes[rows], extra[rows], np.repeat(np.arange(150), 2))["rate"])
    assert found["ci95"] == pytest.approx(np.quantile(rates, [0.025, 0.975]).tolist(), abs=0.02)


def test_two_turns_alike_of_each_question_say_no_more_than_one():
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
def test_a_rate_that_cannot_be_told_is_null_with_a_reason(outcomes, extra, reason):
    found = length_controlled_rate(np.array(outcomes, float), np.array(extra, float), np.arange(len(outcomes)))
    assert found["reason"] == reason
    assert np.isnan([found["rate"], *found["ci95"]]).all()


def test_ties_alone_are_a_half():
    found = length_controlled_rate(np.zeros(4), np.array([5.0, -5, 3, 1]), np.arange(4))
    assert (found["rate"], found["reason"]) == (pytest.approx(0.5), "")


def test_the_length_is_that_of_the_judged_replies():
    there = {DGM: table([judgment(0, 8, chars=300)]), TUNED: table([judgment(0, 5, chars=120), judgment(1, 5)])}
    extra = extra_chars(align_judgments(there), [(DGM, TUNED)])[:, 0]
    assert extra[0] == 180
    assert np.isnan(extra[1])


# Verdicts on two replies at a time

# Both orders of five turns: DGM wins twice, a tie, tuned wins; then the first shown, and a tie against a win.
ORDERS = [
    *(pairing(0, DGM, DGM), pairing(0, TUNED, DGM)),
    *(pairing(1, DGM, "tie"), pairing(1, TUNED, "tie")),
    *(pairing(2, DGM, TUNED), pairing(2, TUNED, TUNED)),
    *(pairing(3, DGM, DGM), pairing(3, TUNED, TUNED)),
    *(pairing(4, DGM, "tie"), pairing(4, TUNED, DGM)),
]
INCOMPLETE = [
    *(pairing(5, DGM, DGM), pairing(5, TUNED, None, "failed")),
    *(pairing(6, DGM, None, "unanswered"), pairing(6, TUNED, None, "unanswered")),
]


def test_verdicts_that_change_with_the_order_are_a_tie_and_counted_as_split():
    judged = align_judgments(judgments())
    verdicts = read_choices(pairings(*ORDERS, *INCOMPLETE), judged)
    rates, orders = preference_rates(verdicts.outcomes, draws(judged))[0], order_effects(verdicts)[0]
    assert verdicts.pairs == [(DGM, TUNED)]
    assert (rates["turns"], rates["wins"], rates["ties"], rates["losses"]) == (5, 1, 3, 1)
    assert (orders["turns"], orders["splits"], orders["reversed"], orders["agreement"]) == (5, 2, 1, 0.6)
    assert (orders["one_order_only"], orders["failed"], orders["unanswered"]) == (1, 1, 2)


def test_kappa_is_the_one_computed_by_hand():
    # Agreement 3/5. DGM first says 2 wins, 2 ties, 1 loss; tuned first 2 wins, 1 tie, 2 losses.
    # By chance (2 * 2 + 2 * 1 + 1 * 2) / 25 = 8/25; kappa = (15/25 - 8/25) / (17/25).
    judged = align_judgments(judgments())
    assert order_effects(read_choices(pairings(*ORDERS), judged))[0]["kappa"] == pytest.approx(7 / 17)


def test_kappa_of_a_judge_that_says_the_same_of_all_is_not_defined():
    rows = [pairing(number, first, "tie") for number in range(3) for first in (DGM, TUNED)]
    orders = order_effects(read_choices(pairings(*rows), align_judgments(judgments())))[0]
    assert orders["agreement"] == 1
    assert np.isnan([orders["kappa"], orders["first_rate"], orders["first_p"]]).all()


def test_how_often_the_reply_shown_first_wins():
    # Shown first and preferred: DGM on 0 and 3, tuned on 2 and 3; shown second: DGM on 0 and 4, tuned on 2.
    found = overall_order_effects(read_choices(pairings(*ORDERS), align_judgments(judgments())))
    assert (found["first_wins"], found["second_wins"], found["first_rate"]) == (4, 3, 4 / 7)


def test_only_turns_that_split_say_whether_the_place_decides():
    # On 3 both orders prefer the first; on 4 a tie and a win of the second.
    found = overall_order_effects(read_choices(pairings(*ORDERS), align_judgments(judgments())))
    assert (found["split_to_first"], found["split_to_second"], found["first_p"]) == (1, 1, 1)
    always = position_bias(np.ones(4), -np.ones(4))
    assert (always["first_rate"], always["split_to_first"], always["first_p"]) == (1, 4, pytest.approx(2 / 2**4))
    never = position_bias(np.array([1.0, 1, -1]), np.array([1.0, 1, -1]))
    assert (never["first_rate"], never["split_to_first"] + never["split_to_second"]) == (0.5, 0)


def test_a_pair_that_is_written_the_other_way_round_is_the_same_pair():
    judged = align_judgments(judgments())
    turned = [row | {"one": row["other"], "other": row["one"]} for row in reversed(ORDERS)]
    first, second = (read_choices(pairings(*rows), judged) for rows in (ORDERS, turned))
    assert np.array_equal(first.outcomes, second.outcomes, equal_nan=True)
    assert order_effects(first) == order_effects(second)


def test_verdicts_on_models_that_are_not_compared_are_left_out():
    stranger = pairing(0, "stranger", "stranger", one="stranger", other=TUNED)
    verdicts = read_choices(pairings(*ORDERS, stranger), align_judgments(judgments()))
    assert verdicts.pairs == [(DGM, TUNED)]
    assert verdicts.num_not_compared == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (pairing(40, DGM, DGM), "dgm and tuned, question 21, turn 1 is not among the judgments"),
        (pairing(0, DGM, TUNED), "dgm and tuned, question 1, turn 1 is there twice in one order"),
    ],
)
def test_verdicts_that_fit_no_judgment_are_an_error(row, message):
    with pytest.raises(UserError, match=message):
        read_choices(pairings(*ORDERS, row), align_judgments(judgments()))


# Words


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("It is clear.", "it is clear"),
        ("It is not clear.", "it is not not:clear"),
        ("It isn\u2019t clear, but detailed", "it isn't not:clear but detailed"),
        ("No clear answer; well-structured", "no not:clear not:answer well structured"),
        ("lacks depth and detail. Accurate", "lacks not:depth and not:detail accurate"),
        ("the lack of any detail", "the lack of any not:detail"),
        ("fails to be clear", "fails to be not:clear"),
        ("without errors (clear)", "without not:errors clear"),
        (
            "does not provide a detailed analysis of history",
            "does not not:provide a not:detailed not:analysis of history",
        ),
        ("not only clear but complete", "not only clear but complete"),
        ("not vague however brief", "not not:vague however brief"),
        ("does not lack detail", "does not lack not:detail"),
        ("Rating: [[8]], 2 GB", "rating gb"),
        ("", ""),
    ],
)
def test_denied_words_are_told_apart(text, wanted):
    assert [term.replace("not ", "not:") for term in extract_terms(text)] == wanted.split()


# Turn by turn: the scores of two models and what the judge said.
WORDS = {
    DGM: [(9, "Clear. Clear!"), (8, "clear"), (3, "lacks depth"), (5, "clear")],
    TUNED: [(5, "lacks depth"), (4, "clear, lacks depth"), (7, "clear"), (5, "depth")],
}


def worded(words=WORDS):
    judged = align_judgments({
        model: table([judgment(number, *row) for number, row in enumerate(rows)]) for model, rows in words.items()
    })
    pairs = all_pairs(judged.models)
    return judged, build_term_matrix(judged.texts), pairs, compare_scores(judged, pairs)


def found(words):
    return {
        ("not " if row["negated"] else "") + row["word"]: (row["only_one"], row["only_other"], row["both"])
        for row in words.to_pylist()
    }


def test_words_are_counted_once_per_judgment_where_the_scores_differ():
    # 1a, 1b and 2a differ. `clear`: only DGM on 1a, both on 1b, only tuned on 2a. 2b is level: its `depth` counts not.
    judged, present, pairs, outcomes = worded()
    words = run_exact_tests(present, count_by_model(judged, present, pairs[0], outcomes[:, 0]), 1)
    assert found(words) == {"clear": (1, 1, 1), "lacks": (1, 2, 0), "not depth": (1, 2, 0)}
    assert set(words["turns"].to_pylist()) == {3}


def test_words_of_the_preferred_reply_against_those_of_the_other():
    # The winners are DGM, DGM, tuned: `clear` in all three, of the losers on 1b only.
    judged, present, pairs, outcomes = worded()
    words = run_exact_tests(present, count_by_winner(judged, present, pairs[0], outcomes[:, 0]), 1)
    assert found(words) == {"clear": (2, 0, 1), "lacks": (0, 3, 0), "not depth": (0, 3, 0)}
    assert words["p"].to_pylist() == pytest.approx([0.25, 0.25, 0.5])
    assert words["q"].to_pylist() == pytest.approx([0.375, 0.375, 0.5])


def test_the_p_of_a_word_is_mcnemars_exact_one():
    one = {DGM: [(9, "clear")] * 9 + [(9, "")], TUNED: [(1, "")] * 9 + [(1, "clear")]}
    judged, present, pairs, outcomes = worded(one)
    words = run_exact_tests(present, count_by_model(judged, present, pairs[0], outcomes[:, 0]), 1)
    assert words["p"].to_pylist() == pytest.approx([binomtest(9, 10).pvalue])


def test_words_in_few_judgments_are_not_tested():
    judged, present, pairs, outcomes = worded()
    counts = count_by_winner(judged, present, pairs[0], outcomes[:, 0])
    assert set(found(run_exact_tests(present, counts, 4))) == {"clear"}  # in three winners' judgments and one loser's


def test_over_all_pairs_each_question_gives_one_pair_of_judgments():
    there = WORDS | {RIVAL: [(1, "vague"), (1, "vague"), (1, "vague"), (1, "vague")]}
    judged, present, pairs, outcomes = worded(there)
    counts = count_sampled_winners(judged, present, pairs, outcomes, 1)
    assert counts.turns == 2
    judged, present, pairs, outcomes = worded(dict(reversed(there.items())))
    again = count_sampled_winners(judged, present, pairs, outcomes, 1)
    assert counts.only_one.tolist() == again.only_one.tolist()
    assert counts.only_other.tolist() == again.only_other.tolist()


def test_which_pair_is_taken_depends_on_the_seed():
    there = WORDS | {RIVAL: [(1, "vague"), (1, "vague"), (1, "vague"), (1, "vague")]}
    judged, present, pairs, outcomes = worded(there)
    seen = Counter(
        tuple(count_sampled_winners(judged, present, pairs, outcomes, seed).only_other.tolist()) for seed in range(20)
    )
    assert len(seen) > 1


def test_the_summary_names_what_differs_and_the_table_counts_it_over_all_pairs():
    # Ten questions, three models: the winner is always the clear one, of two pairs; the third pair is level.
    there = {
        DGM: [(9, "clear" if number % 2 == 0 else "") for number in range(20)],
        TUNED: [(9 if number % 2 else 1, "not clear" if number % 2 == 0 else "") for number in range(20)],
        RIVAL: [(9 if number % 2 else 1, "not clear" if number % 2 == 0 else "") for number in range(20)],
    }
    texts = {model: table([judgment(number, *row) for number, row in enumerate(rows)]) for model, rows in there.items()}
    summary, tables = measure_preference(texts, pairings(), {}, SETTINGS)
    assert summary["words"]["of_all"] == {
        "turns": 10,
        "tested": 3,
        "different": 3,
        "negated": 1,
        "words": {"winner": ["clear"], "loser": ["not", "not clear"]},
    }
    assert summary["words"]["pairs"]["tuned rival"]["turns"] == 0
    row = tables["words_by_winner_of_all"].to_pylist()[0]
    wanted = {"word": "clear", "negated": False, "turns": 10, "only_winner": 10, "only_loser": 0, "both": 0}
    assert {key: row[key] for key in wanted} == wanted
    assert (row["pairs_only_winner"], row["pairs_only_loser"], row["pairs_both"]) == (20, 0, 0)
    assert row["p"] == pytest.approx(2 / 2**10)


# The stage

PARAMS = """
compare: [dgm, tuned, rival]
preference: {seed: 1, resamples: 100, min_judgments: 2, num_words: 3}
"""
RUNS = {"tuned": {"sources": {"dgm": {"kind": "dgm"}}}, "else": {"sources": {"other": {"kind": "dgm"}}}}


RATES = ("rate", "rate_other")


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS)
    for model, part in judgments().items():
        folder = Path("data/judgments") / model
        folder.mkdir(parents=True)
        write_table(folder, part)
        write_json(folder / ".summary.json", {"status": "ok"})
        write_json(Path(f"metrics/digests/models/{model}.json"), {"judgments": sha256_folder(folder)})
    Path("data/pairwise").mkdir()
    write_json(Path("data/pairwise/.summary.json"), {"status": "ok"})
    write_table(Path("data/pairwise"), pairings(*ORDERS))
    write_json(Path("metrics/recipes.json"), {"runs": RUNS})


def test_of_a_judge_that_failed_too_often_no_verdict_counts(project):
    folder = Path("data/judgments") / DGM
    write_json(folder / ".summary.json", {"status": "failed"})
    write_json(Path(f"metrics/digests/models/{DGM}.json"), {"judgments": sha256_folder(folder)})
    write_json(Path("data/pairwise/.summary.json"), {"status": "failed"})
    main()
    found = read_json(Path("data/preference/tables.json"))
    assert (found["models"][DGM]["mean"], found["models"][DGM]["scored"]) == (None, 0)
    assert found["models"]["tuned"]["mean"] is not None
    assert found["side_by_side"]["orders"]["turns"] == 0


def test_the_stage_writes_all_numbers_and_the_words(project):
    main()
    found = read_json(Path("data/preference/tables.json"))
    assert found["models"][DGM]["mean"] == 7.125
    assert found["by_score"]["dgm tuned"]["rate"] == 0.5
    assert found["by_score"]["dgm tuned"]["equal_length"]["reason"] == "the lengths differ by the same on every turn"
    assert found["side_by_side"]["pairs"]["dgm tuned"]["orders"]["splits"] == 2
    assert found["flips"]["pairs"] == {
        "dgm tuned": {"rival": {"turns": 8, "behind": 5, "flips": 2, "level": 2, "ties_broken": 1}}
    }
    assert found["flips"]["not_compared"] == ["other else"]
    assert read_json(Path("data/preference/summary.json")) == {
        "flips": {"dgm tuned": 2},
        "orders": {"agreement": found["side_by_side"]["orders"]["agreement"], "failed": 0, "unanswered": 0},
        "side_by_side": {"dgm tuned": {name: found["side_by_side"]["pairs"]["dgm tuned"][name] for name in RATES}},
        "words": {name: found["words"]["of_all"][name] for name in ("tested", "different")},
    }
    assert set(found["words"]["pairs"]) == {"dgm tuned", "dgm rival", "tuned rival"}
    columns = {"word", "negated", "only_winner", "only_loser", "both", "turns", "p", "q"}
    assert {"one", "other", *columns} == set(read_table(Path("data/preference/words_by_winner")).column_names)


def test_the_stage_writes_the_same_bytes_again(project):
    main()
    first = sha256_folder(Path("data/preference"))
    main()
    assert sha256_folder(Path("data/preference")) == first


def test_pairwise_may_have_judged_nothing(project):
    write_table(Path("data/pairwise"), pairings())
    main()
    found = read_json(Path("data/preference/tables.json"))["side_by_side"]
    assert found["pairs"] == {}
    assert found["orders"]["agreement"] is None


def test_judgments_that_are_not_those_of_the_digests_are_refused(project):
    write_table(Path("data/judgments/rival"), table([judgment(0, 1)]))
    with pytest.raises(UserError, match="data/judgments/rival does not match the digest in metrics/"):
        main()
