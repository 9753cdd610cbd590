"""Words of judgments: negation, counts that can be made by hand, and exact paired tests."""

from collections import Counter

import pytest
from scipy.stats import binomtest

from stages.lib.core.pairs import all_pairs
from stages.lib.judging.judgment_grid import align_judgments
from stages.lib.judging.preference import compare_scores
from stages.lib.judging.words.negation import extract_terms
from stages.lib.judging.words.significant_words import word_label
from stages.lib.judging.words.word_tests import (
    build_term_matrix,
    count_by_model,
    count_by_winner,
    count_sampled_winners,
    run_exact_tests,
)
from tests.support.judgments import DGM, RIVAL, TUNED, judgment, judgment_table


@pytest.mark.parametrize(
    ("text", "terms"),
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
def test_negated_words_are_terms_of_their_own(text, terms):
    assert [term.replace("not ", "not:") for term in extract_terms(text)] == terms.split()


# Turn by turn: the scores of two models and the judge's text.
WORDS = {
    DGM: [(9, "Clear. Clear!"), (8, "clear"), (3, "lacks depth"), (5, "clear")],
    TUNED: [(5, "lacks depth"), (4, "clear, lacks depth"), (7, "clear"), (5, "depth")],
}
THREE = WORDS | {RIVAL: [(1, "vague"), (1, "vague"), (1, "vague"), (1, "vague")]}


def align_words(words):
    grid = align_judgments({
        model: judgment_table([judgment(number, *row) for number, row in enumerate(rows)])
        for model, rows in words.items()
    })
    pairs = all_pairs(grid.models)
    return grid, build_term_matrix(grid.texts), pairs, compare_scores(grid, pairs)


def counts_by_word(tested):
    return {word_label(row): (row["only_one"], row["only_other"], row["both"]) for row in tested.to_pylist()}


def test_words_are_counted_once_per_judgment_where_the_scores_differ():
    # 1a, 1b and 2a differ. `clear`: only DGM on 1a, both on 1b, only TUNED on 2a. 2b is level: its `depth` counts not.
    grid, terms, pairs, outcomes = align_words(WORDS)
    tested = run_exact_tests(terms, count_by_model(grid, terms, pairs[0], outcomes[:, 0]), 1)
    assert counts_by_word(tested) == {"clear": (1, 1, 1), "lacks": (1, 2, 0), "not depth": (1, 2, 0)}
    assert set(tested["turns"].to_pylist()) == {3}


def test_words_of_the_preferred_reply_are_paired_with_those_of_the_other():
    # The winners are DGM, DGM, TUNED: `clear` in all three judgments, of the losers' on 1b only.
    grid, terms, pairs, outcomes = align_words(WORDS)
    tested = run_exact_tests(terms, count_by_winner(grid, terms, pairs[0], outcomes[:, 0]), 1)
    assert counts_by_word(tested) == {"clear": (2, 0, 1), "lacks": (0, 3, 0), "not depth": (0, 3, 0)}
    assert tested["p"].to_pylist() == pytest.approx([0.25, 0.25, 0.5])
    assert tested["q"].to_pylist() == pytest.approx([0.375, 0.375, 0.5])


def test_the_p_of_a_word_is_mcnemars_exact_one():
    words = {DGM: [(9, "clear")] * 9 + [(9, "")], TUNED: [(1, "")] * 9 + [(1, "clear")]}
    grid, terms, pairs, outcomes = align_words(words)
    tested = run_exact_tests(terms, count_by_model(grid, terms, pairs[0], outcomes[:, 0]), 1)
    assert tested["p"].to_pylist() == pytest.approx([binomtest(9, 10).pvalue])


def test_words_in_few_judgments_are_not_tested():
    grid, terms, pairs, outcomes = align_words(WORDS)
    counts = count_by_winner(grid, terms, pairs[0], outcomes[:, 0])
    assert set(counts_by_word(run_exact_tests(terms, counts, 4))) == {"clear"}  # in three winners' and one loser's


def test_over_all_pairs_each_question_gives_one_pair_of_judgments():
    grid, terms, pairs, outcomes = align_words(THREE)
    counts = count_sampled_winners(grid, terms, pairs, outcomes, 1)
    assert counts.turns == 2
    grid, terms, pairs, outcomes = align_words(dict(reversed(THREE.items())))
    again = count_sampled_winners(grid, terms, pairs, outcomes, 1)
    assert counts.only_one.tolist() == again.only_one.tolist()
    assert counts.only_other.tolist() == again.only_other.tolist()


def test_the_seed_decides_which_pair_of_judgments_is_taken():
    grid, terms, pairs, outcomes = align_words(THREE)
    samples = Counter(
        tuple(count_sampled_winners(grid, terms, pairs, outcomes, seed).only_other.tolist()) for seed in range(20)
    )
    assert len(samples) > 1
