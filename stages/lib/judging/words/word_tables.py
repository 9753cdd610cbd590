"""The tested words of every pair of models and of all pairs together, as tables and as a summary (paper, Fig. 3, 4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from stages.lib.core.pairs import Pair, pair_key
from stages.lib.core.types import Floats, Json
from stages.lib.judging.judgment_grid import JudgmentGrid
from stages.lib.judging.words.significant_words import summarize_words, word_label
from stages.lib.judging.words.word_tests import (
    PairedCounts,
    TermMatrix,
    build_term_matrix,
    count_by_model,
    count_by_winner,
    count_sampled_winners,
    run_exact_tests,
)
from stages.lib.settings.sections import Preference

BY_WINNER = {"only_one": "only_winner", "only_other": "only_loser"}  # the columns of tests by winner
SIDES = ("winner", "loser")
Tables = dict[str, pa.Table]


@dataclass(frozen=True, slots=True)
class PairWords:
    """The tested words of one pair of models."""

    by_model: pa.Table
    by_winner: pa.Table
    turns: int  # on which the scores differ


@dataclass(frozen=True, slots=True)
class WordTester:
    """Tests the terms of the judgments of a grid; `outcomes` of its pairs are [turn, pair]."""

    grid: JudgmentGrid
    pairs: Sequence[Pair]
    outcomes: Floats
    terms: TermMatrix
    min_judgments: int  # that a term must be in

    def test(self, counts: PairedCounts) -> pa.Table:
        """Test the terms that are in enough judgments."""
        return run_exact_tests(self.terms, counts, self.min_judgments)

    def test_pairs(self) -> tuple[dict[Pair, PairWords], PairedCounts]:
        """Test the terms of each pair, and return the counts by winner over all pairs with them.

        The counts of single pairs, large for many models, are not kept.
        """
        words, total = {}, self.terms.no_counts
        for column, pair in enumerate(self.pairs):
            outcomes = self.outcomes[:, column]
            by_winner = count_by_winner(self.grid, self.terms, pair, outcomes)
            by_model = count_by_model(self.grid, self.terms, pair, outcomes)
            words[pair] = PairWords(self.test(by_model), self.test(by_winner), by_winner.turns)
            total += by_winner
        return words, total


def build_word_tables(
    grid: JudgmentGrid, pairs: Sequence[Pair], outcomes: Floats, preference: Preference
) -> tuple[Tables, Json]:
    """Test the words by model and by winner of each pair, and by winner over all pairs; return tables and a summary.

    In the test over all pairs, one pair of judgments stands for each question: the seed decides which. `outcomes` are
    [turn, pair].
    """
    tester = WordTester(grid, pairs, outcomes, build_term_matrix(grid.texts), preference.min_judgments)
    words, total = tester.test_pairs()
    sampled = count_sampled_winners(grid, tester.terms, pairs, outcomes, preference.seed)
    overall = tester.test(sampled)
    empty = run_exact_tests(tester.terms, tester.terms.no_counts, 1)  # has the columns when there is no pair
    tables = {
        "words_by_model": _join_pairs({pair: tests.by_model for pair, tests in words.items()}, empty),
        "words_by_winner": _rename(_join_pairs({pair: tests.by_winner for pair, tests in words.items()}, empty)),
        "words_by_winner_of_all": _add_totals(_rename(overall), tester.terms, total),
    }
    summary = {
        "pairs": {pair_key(pair): _summarize_pair(pair, tests, preference.num_words) for pair, tests in words.items()},
        "of_all": {"turns": sampled.turns, **summarize_words(overall.to_pylist(), SIDES, preference.num_words)},
    }
    return tables, summary


def _summarize_pair(pair: Pair, words: PairWords, num_words: int) -> Json:
    return {
        "turns": words.turns,
        "by_model": summarize_words(words.by_model.to_pylist(), pair, num_words),
        "by_winner": summarize_words(words.by_winner.to_pylist(), SIDES, num_words),
    }


def _join_pairs(words: Mapping[Pair, pa.Table], empty: pa.Table) -> pa.Table:
    """Join the words of all pairs to one table, with the models of each in the columns `one` and `other`."""
    parts = []
    for pair, table in [(("", ""), empty), *words.items()]:
        models = [pa.array([model] * table.num_rows, pa.string()) for model in pair]
        parts.append(pa.table([*models, *table.columns], names=["one", "other", *table.column_names]))
    return pa.concat_tables(parts)


def _rename(words: pa.Table) -> pa.Table:
    """Name the columns of tests by winner."""
    return words.rename_columns([BY_WINNER.get(name, name) for name in words.column_names])


def _add_totals(words: pa.Table, terms: TermMatrix, total: PairedCounts) -> pa.Table:
    """Add the counts over all pairs to words that were tested on one pair of judgments per question."""
    places = {term: place for place, term in enumerate(terms.terms)}
    rows = np.array([places[word_label(row)] for row in words.to_pylist()], dtype=np.int64)
    counts = {"only_winner": total.only_one, "only_loser": total.only_other, "both": total.both}
    for name, values in counts.items():
        words = words.append_column(f"pairs_{name}", pa.array(values[rows]))
    return words
