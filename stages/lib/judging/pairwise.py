"""Whose replies a judge prefers when it sees two at a time, in both orders."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from stages.lib.console.errors import UserError
from stages.lib.core.types import Floats, Json
from stages.lib.judging.preference import JudgmentGrid, Pair, pairs_of
from stages.lib.records.pairings import TIE

COLUMNS = ["one", "other", "question_id", "turn", "first", "winner", "status"]  # of PAIRING, that are read


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Per turn and pair, as `by_score` has them: 1 for the first of both, 0 for a tie, -1; NaN: no verdict."""

    pairs: list[Pair]
    one_first: Floats  # with the first of both shown first
    other_first: Floats
    missing: list[dict[str, int]]  # of each pair: rows without a verdict by status
    not_compared: int  # rows of pairs with another model

    @property
    def both(self) -> Floats:
        """Whether both orders have a verdict."""
        found: Floats = np.isfinite(self.one_first) & np.isfinite(self.other_first)
        return found

    @property
    def outcomes(self) -> Floats:
        """What both orders say together: a split is a tie (FastChat's rule); NaN where one order is missing."""
        same = np.where(self.one_first == self.other_first, self.one_first, 0.0)
        found: Floats = np.where(self.both, same, np.nan)
        return found


def read_verdicts(pairings: pa.Table, judged: JudgmentGrid) -> Verdicts:
    """Put rows of PAIRING on the turns of `judged`, for the pairs of compared models that have any.

    Raises UserError for a turn that nobody's judgments have, and for one that a pair has twice in the same order.
    """
    places = {key: row for row, key in enumerate(zip(judged.questions.tolist(), judged.turns.tolist(), strict=True))}
    rows = [_in_order(row, judged.models) for row in pairings.select(COLUMNS).to_pylist()]
    present = {(row["one"], row["other"]) for row in rows}
    pairs = [pair for pair in pairs_of(judged.models) if pair in present]
    columns = {pair: column for column, pair in enumerate(pairs)}
    found = np.full((2, len(judged.turns), len(pairs)), np.nan)
    missing: list[dict[str, int]] = [{"failed": 0, "unanswered": 0} for _ in pairs]
    met = set()
    not_compared = 0
    for row in rows:
        key, column = (row["question_id"], row["turn"]), columns.get((row["one"], row["other"]))
        if column is None:
            not_compared += 1
            continue
        order = int(row["first"] != row["one"])
        where = f"pairwise: {row['one']} and {row['other']}, question {key[0]}, turn {key[1]}"
        if key not in places:
            raise UserError(f"{where} is not among the judgments; run `dvc repro pairwise`")
        if (column, order, key) in met:
            raise UserError(f"{where} is there twice in one order; run `dvc repro pairwise`")
        met.add((column, order, key))
        if row["status"] == "ok":
            found[order, places[key], column] = {row["one"]: 1, TIE: 0, row["other"]: -1}[row["winner"]]
        else:
            missing[column][row["status"]] += 1
    return Verdicts(pairs, found[0], found[1], missing, not_compared)


def _in_order(row: Json, models: Sequence[str]) -> Json:
    """A row with its models in the order of `models`; one with another model as it is."""
    known = row["one"] in models and row["other"] in models
    if known and models.index(row["one"]) > models.index(row["other"]):
        return {**row, "one": row["other"], "other": row["one"]}
    return row


def order_effects(verdicts: Verdicts) -> list[Json]:
    """Of each pair: what becomes of a verdict when the replies change places.

    `splits`: the two orders disagree; `reversed` of them: each order has another winner, not one a tie. `agreement` and
    Cohen's kappa over win, tie and loss. `one_order_only`: turns with a verdict in one order, compared nowhere.
    """
    return [
        {
            **_agreement(verdicts.one_first[:, column], verdicts.other_first[:, column]),
            **position(verdicts.one_first[:, column], verdicts.other_first[:, column]),
            **verdicts.missing[column],
        }
        for column in range(len(verdicts.pairs))
    ]


def all_orders(verdicts: Verdicts) -> Json:
    """The same over all pairs; the orders of different pairs share replies, so that its p is too small by some."""
    one, other = verdicts.one_first.ravel(), verdicts.other_first.ravel()
    missing = {status: sum(part[status] for part in verdicts.missing) for status in ("failed", "unanswered")}
    return {**_agreement(one, other), **position(one, other), **missing}


def _agreement(one_first: Floats, other_first: Floats) -> Json:
    """Agreement of two orders, each with 1, 0 or -1; NaN: none."""
    known = np.isfinite(one_first) & np.isfinite(other_first)
    one, other = one_first[known], other_first[known]
    same, turns = int((one == other).sum()), len(one)
    varied = len(np.unique(np.concatenate([one, other]))) > 1  # else kappa is 0 by 0
    return {
        "turns": turns,
        "splits": turns - same,
        "reversed": int((one * other == -1).sum()),
        "agreement": same / turns if turns else np.nan,
        "kappa": float(cohen_kappa_score(one, other)) if varied else np.nan,
        "one_order_only": int((np.isfinite(one_first) ^ np.isfinite(other_first)).sum()),
    }


def position(one_first: Floats, other_first: Floats) -> Json:
    """How often the reply shown first wins, of all verdicts that are no tie; and whether that is the place's doing.

    A turn whose two verdicts agree has one win for each place and says nothing of it. So `first_p` is the exact
    binomial test of a half over the turns that split: `split_to_first` lean to the reply shown first,
    `split_to_second` to the other.
    """
    firsts = int((one_first == 1).sum() + (other_first == -1).sum())
    seconds = int((one_first == -1).sum() + (other_first == 1).sum())
    to_first, to_second = int((one_first > other_first).sum()), int((one_first < other_first).sum())
    split = to_first + to_second
    return {
        "first_wins": firsts,
        "second_wins": seconds,
        "first_rate": firsts / (firsts + seconds) if firsts + seconds else np.nan,
        "split_to_first": to_first,
        "split_to_second": to_second,
        "first_p": float(binomtest(to_first, split).pvalue) if split else np.nan,
    }
