"""Which words judgments have where two models' scores differ (paper, sec. 3.3, Fig. 3 and 4), with exact paired tests.

A word counts once per judgment. By model: one model's judgments against the other's, of the same turns. By winner: the
judgment of the preferred reply against the other's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from stages.lib.core.types import Floats, Ints
from stages.lib.judging.negation import NOT, terms
from stages.lib.judging.preference import JudgmentGrid, Pair, adjusted, columns_of, sign_test
from stages.lib.records.hashing import keyed_hash


@dataclass(frozen=True, slots=True)
class Presence:
    """Which judgment has which word."""

    terms: list[str]  # sorted, denied words with NOT before them
    matrix: csr_matrix  # judgments by terms, 1 or absent


@dataclass(frozen=True, slots=True)
class Counts:
    """Of each term: in how many pairs of judgments only the one has it, only the other, or both."""

    turns: int
    only_one: Ints
    only_other: Ints
    both: Ints

    def __add__(self, more: "Counts") -> "Counts":
        """The same over more pairs of judgments."""
        return Counts(
            self.turns + more.turns,
            self.only_one + more.only_one,
            self.only_other + more.only_other,
            self.both + more.both,
        )


def presence(texts: Sequence[str]) -> Presence:
    """Look up the words of all judgments."""
    found = [set(terms(text)) for text in texts]
    names = sorted(set().union(*found))
    places = {name: place for place, name in enumerate(names)}
    columns = [np.sort(np.fromiter((places[name] for name in each), dtype=np.int32, count=len(each))) for each in found]
    ends = np.concatenate([[0], np.cumsum([len(each) for each in columns], dtype=np.int64)])
    indices = np.concatenate([np.zeros(0, dtype=np.int32), *columns])
    values = np.ones(len(indices), dtype=np.int32)
    return Presence(names, csr_matrix((values, indices, ends), shape=(len(texts), len(names))))


def count(present: Presence, ones: Ints, others: Ints) -> Counts:
    """Compare judgments pair by pair, given by their rows."""
    one, other = present.matrix[ones], present.matrix[others]
    both = _totals(one.multiply(other))
    return Counts(len(ones), _totals(one) - both, _totals(other) - both, both)


def nothing(present: Presence) -> Counts:
    """No judgments compared."""
    none = np.zeros(0, dtype=np.int64)
    return count(present, none, none)


def _totals(matrix: csr_matrix) -> Ints:
    totals: Ints = np.asarray(matrix.sum(axis=0), dtype=np.int64).ravel()
    return totals


def by_model(judged: JudgmentGrid, present: Presence, pair: Pair, outcomes: Floats) -> Counts:
    """One model's judgments against the other's, of the turns on which the scores differ."""
    rows = judged.rows[np.abs(outcomes) == 1]
    one, other = map(judged.column, pair)
    return count(present, rows[:, one], rows[:, other])


def by_winner(judged: JudgmentGrid, present: Presence, pair: Pair, outcomes: Floats) -> Counts:
    """The judgment of the higher score against that of the lower, of the same turns."""
    one, other = map(judged.column, pair)
    won, lost = judged.rows[outcomes == 1], judged.rows[outcomes == -1]
    winners = np.concatenate([won[:, one], lost[:, other]])
    losers = np.concatenate([won[:, other], lost[:, one]])
    return count(present, winners, losers)


def sampled_winners(
    judged: JudgmentGrid, present: Presence, pairs: Sequence[Pair], outcomes: Floats, seed: int
) -> Counts:
    """Winner against loser, one pair of judgments per question, which are then independent of one another.

    Of all turns and pairs of models of a question whose scores differ, that with the smallest keyed hash.
    """
    least: dict[int, tuple[int, int, int]] = {}
    for row, column in np.argwhere(np.abs(outcomes) == 1).tolist():
        question = int(judged.questions[row])
        key = keyed_hash(seed, str(question), str(judged.turns[row]), *sorted(pairs[column]))
        least[question] = min(least.get(question, (key, row, column)), (key, row, column))
    chosen = np.array([place for _, *place in least.values()], dtype=np.int64).reshape(-1, 2)
    rows, models = chosen[:, 0], columns_of(judged, pairs).T[chosen[:, 1]]
    wins = outcomes[rows, chosen[:, 1]] == 1
    winners = judged.rows[rows, np.where(wins, models[:, 0], models[:, 1])]
    losers = judged.rows[rows, np.where(wins, models[:, 1], models[:, 0])]
    return count(present, winners, losers)


def exact_tests(present: Presence, counts: Counts, min_judgments: int) -> pa.Table:
    """The terms that so many judgments have, with McNemar's exact p and q over them (Benjamini and Hochberg).

    Which terms are tested depends on their frequency in both together, not on how they differ. Smallest p first.
    """
    frequent = np.flatnonzero(counts.only_one + counts.only_other + 2 * counts.both >= min_judgments)
    one, other, both = (part[frequent] for part in (counts.only_one, counts.only_other, counts.both))
    p = sign_test(one, other)
    names = [present.terms[place] for place in frequent]
    columns = {
        "word": pa.array([name.removeprefix(NOT) for name in names], pa.string()),
        "negated": pa.array([name.startswith(NOT) for name in names], pa.bool_()),
        "only_one": one,
        "only_other": other,
        "both": both,
        "turns": np.full(len(frequent), counts.turns, dtype=np.int64),
        "p": p,
        "q": adjusted(p),
    }
    return pa.table(columns).take(np.argsort(p, kind="stable"))
