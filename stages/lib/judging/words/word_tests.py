"""Which words judgments have where two models' scores differ (paper, sec. 3.3, Fig. 3 and 4), with exact paired tests.

A word counts once per judgment. By model: one model's judgments are paired with the other's, of the same turns. By
winner: the judgment of the preferred reply is paired with that of the other reply.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from stages.lib.core.pairs import Pair
from stages.lib.core.types import Floats, Ints
from stages.lib.judging.judgment_grid import JudgmentGrid
from stages.lib.judging.words.negation import NEGATED, extract_terms
from stages.lib.records.hashing import keyed_hash
from stages.lib.statistics.significance import adjust_p_values, mcnemar_test


@dataclass(frozen=True, slots=True)
class PairedCounts:
    """In how many pairs of judgments only the first has a term, only the second, or both: [term] each."""

    turns: int
    only_one: Ints
    only_other: Ints
    both: Ints

    def __add__(self, more: "PairedCounts") -> "PairedCounts":
        """Add the counts over more pairs of judgments."""
        return PairedCounts(
            self.turns + more.turns,
            self.only_one + more.only_one,
            self.only_other + more.only_other,
            self.both + more.both,
        )


@dataclass(frozen=True, slots=True)
class TermMatrix:
    """Which judgment has which term."""

    terms: list[str]  # sorted, negated words with NEGATED before them
    matrix: csr_matrix  # [judgment, term], 1 or absent

    @property
    def no_counts(self) -> PairedCounts:
        """The counts over no judgments."""
        none = np.zeros(0, dtype=np.int64)
        return self.count(none, none)

    def count(self, ones: Ints, others: Ints) -> PairedCounts:
        """Count the terms over pairs of judgments, given by their rows."""
        one, other = self.matrix[ones], self.matrix[others]
        both = _column_sums(one.multiply(other))
        return PairedCounts(len(ones), _column_sums(one) - both, _column_sums(other) - both, both)


def _column_sums(matrix: csr_matrix) -> Ints:
    sums: Ints = np.asarray(matrix.sum(axis=0), dtype=np.int64).ravel()
    return sums


def build_term_matrix(texts: Sequence[str]) -> TermMatrix:
    """Look up the terms of all judgments."""
    present = [set(extract_terms(text)) for text in texts]
    terms = sorted(set().union(*present))
    places = {term: place for place, term in enumerate(terms)}
    columns = [np.sort(np.fromiter((places[term] for term in own), dtype=np.int32, count=len(own))) for own in present]
    ends = np.concatenate([[0], np.cumsum([len(row) for row in columns], dtype=np.int64)])
    indices = np.concatenate([np.zeros(0, dtype=np.int32), *columns])
    values = np.ones(len(indices), dtype=np.int32)
    return TermMatrix(terms, csr_matrix((values, indices, ends), shape=(len(texts), len(terms))))


def count_by_model(grid: JudgmentGrid, terms: TermMatrix, pair: Pair, outcomes: Floats) -> PairedCounts:
    """Pair one model's judgments with the other's, of the turns on which the scores differ; `outcomes` are [turn]."""
    rows = grid.rows[np.abs(outcomes) == 1]
    one, other = map(grid.column, pair)
    return terms.count(rows[:, one], rows[:, other])


def count_by_winner(grid: JudgmentGrid, terms: TermMatrix, pair: Pair, outcomes: Floats) -> PairedCounts:
    """Pair the judgment of the higher score with that of the lower, of the same turns; `outcomes` are [turn]."""
    one, other = map(grid.column, pair)
    won, lost = grid.rows[outcomes == 1], grid.rows[outcomes == -1]
    winners = np.concatenate([won[:, one], lost[:, other]])
    losers = np.concatenate([won[:, other], lost[:, one]])
    return terms.count(winners, losers)


def count_sampled_winners(
    grid: JudgmentGrid, terms: TermMatrix, pairs: Sequence[Pair], outcomes: Floats, seed: int
) -> PairedCounts:
    """Pair winner and loser, one pair of judgments per question, so that the pairs are independent of one another.

    Of all turns and pairs of models of a question whose scores differ, that with the smallest keyed hash is taken.
    `outcomes` are [turn, pair].
    """
    smallest: dict[int, tuple[int, int, int]] = {}
    for row, column in np.argwhere(np.abs(outcomes) == 1).tolist():
        question = int(grid.questions[row])
        key = keyed_hash(seed, str(question), str(grid.turns[row]), *sorted(pairs[column]))
        smallest[question] = min(smallest.get(question, (key, row, column)), (key, row, column))
    sampled = np.array([place for _, *place in smallest.values()], dtype=np.int64).reshape(-1, 2)
    rows, columns = sampled[:, 0], sampled[:, 1]
    ones, others = grid.columns(pairs)[:, columns]
    one_wins = outcomes[rows, columns] == 1
    winners = grid.rows[rows, np.where(one_wins, ones, others)]
    losers = grid.rows[rows, np.where(one_wins, others, ones)]
    return terms.count(winners, losers)


def run_exact_tests(terms: TermMatrix, counts: PairedCounts, min_judgments: int) -> pa.Table:
    """Test the terms that at least `min_judgments` judgments have: McNemar's exact p, and q (Benjamini and Hochberg).

    Which terms are tested depends on their frequency in both sides together, not on how they differ. The rows are
    sorted by p, the smallest first.
    """
    frequent = np.flatnonzero(counts.only_one + counts.only_other + 2 * counts.both >= min_judgments)
    one, other = counts.only_one[frequent], counts.only_other[frequent]
    p = mcnemar_test(one, other)
    names = [terms.terms[place] for place in frequent]
    columns = {
        "word": pa.array([name.removeprefix(NEGATED) for name in names], pa.string()),
        "negated": pa.array([name.startswith(NEGATED) for name in names], pa.bool_()),
        "only_one": one,
        "only_other": other,
        "both": counts.both[frequent],
        "turns": np.full(len(frequent), counts.turns, dtype=np.int64),
        "p": p,
        "q": adjust_p_values(p),
    }
    return pa.table(columns).take(np.argsort(p, kind="stable"))
