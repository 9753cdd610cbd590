"""Whose replies a judge prefers when it sees two at a time, in both orders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from stages.lib.console.errors import UserError
from stages.lib.core.pairs import Pair, all_pairs
from stages.lib.core.types import Floats, Json
from stages.lib.judging.judgment_grid import JudgmentGrid
from stages.lib.records.pairings import TIE

COLUMNS = ["one", "other", "question_id", "turn", "first", "winner", "status"]  # the columns of PAIRING that are read


@dataclass(frozen=True, slots=True)
class PairChoices:
    """The judge's choices, [turn, pair]: 1 for the first model of the pair, 0 for a tie, -1 for the second.

    NaN: no choice.
    """

    pairs: list[Pair]
    one_first: Floats  # the reply of the pair's first model was shown first
    other_first: Floats  # the reply of its second model was
    missing: list[dict[str, int]]  # of each pair: rows without a choice, by status
    num_not_compared: int  # rows of pairs with a model that is not compared

    @property
    def outcomes(self) -> Floats:
        """Both orders together, [turn, pair]: a split is a tie (FastChat's rule); NaN where one order is missing."""
        same = np.where(self.one_first == self.other_first, self.one_first, 0.0)
        complete = np.isfinite(self.one_first) & np.isfinite(self.other_first)
        outcomes: Floats = np.where(complete, same, np.nan)
        return outcomes


def read_choices(pairings: pa.Table, grid: JudgmentGrid) -> PairChoices:
    """Put rows of PAIRING on the turns of a grid, for the pairs of its models that have any row.

    Raises UserError for a turn that is not in the grid, and for one that a pair has twice in the same order.
    """
    rows = [_sort_pair(row, grid.models) for row in pairings.select(COLUMNS).to_pylist()]
    present = {(row["one"], row["other"]) for row in rows}
    pairs = [pair for pair in all_pairs(grid.models) if pair in present]
    columns = {pair: column for column, pair in enumerate(pairs)}
    compared = [row for row in rows if (row["one"], row["other"]) in columns]
    choices = np.full((2, len(grid.turns), len(pairs)), np.nan)
    missing: list[dict[str, int]] = [{"failed": 0, "unanswered": 0} for _ in pairs]
    for row, place in zip(compared, _locate_rows(compared, columns, grid), strict=True):
        if row["status"] == "ok":
            choices[place] = {row["one"]: 1, TIE: 0, row["other"]: -1}[row["winner"]]
        else:
            missing[place[2]][row["status"]] += 1
    return PairChoices(pairs, choices[0], choices[1], missing, len(rows) - len(compared))


def _sort_pair(row: Json, models: Sequence[str]) -> Json:
    """Return a row with its models in the order of `models`; one with a model that is not in it as it is."""
    known = row["one"] in models and row["other"] in models
    if known and models.index(row["one"]) > models.index(row["other"]):
        return {**row, "one": row["other"], "other": row["one"]}
    return row


def _locate_rows(rows: Sequence[Json], columns: Mapping[Pair, int], grid: JudgmentGrid) -> list[tuple[int, int, int]]:
    """Return the place of each row in [order, turn, pair]; raise UserError for an unknown turn or a repeated row."""
    turns = {key: place for place, key in enumerate(zip(grid.questions.tolist(), grid.turns.tolist(), strict=True))}
    places: dict[tuple[int, int, int], None] = {}
    for row in rows:
        key = row["question_id"], row["turn"]
        where = f"pairwise: {row['one']} and {row['other']}, question {key[0]}, turn {key[1]}"
        if key not in turns:
            raise UserError(f"{where} is not among the judgments; run `dvc repro pairwise`")
        place = int(row["first"] != row["one"]), turns[key], columns[row["one"], row["other"]]
        if place in places:
            raise UserError(f"{where} appears twice in one order; run `dvc repro pairwise`")
        places[place] = None
    return list(places)


def order_effects(choices: PairChoices) -> list[Json]:
    """Describe for each pair how the choices change when the replies change places.

    `splits`: the two orders disagree; `reversed` of them: each order has another winner, so that neither is a tie.
    `agreement` and Cohen's kappa are over win, tie and loss. `one_order_only`: turns with a choice in one order, which
    are compared nowhere.
    """
    return [
        {
            **_agreement(choices.one_first[:, column], choices.other_first[:, column]),
            **position_bias(choices.one_first[:, column], choices.other_first[:, column]),
            **choices.missing[column],
        }
        for column in range(len(choices.pairs))
    ]


def overall_order_effects(choices: PairChoices) -> Json:
    """Describe the same over all pairs. Pairs share replies, so that its p is somewhat too small."""
    one_first, other_first = choices.one_first.ravel(), choices.other_first.ravel()
    missing = {status: sum(counts[status] for counts in choices.missing) for status in ("failed", "unanswered")}
    return {**_agreement(one_first, other_first), **position_bias(one_first, other_first), **missing}


def _agreement(one_first: Floats, other_first: Floats) -> Json:
    """Describe how far two orders agree, each with 1, 0 or -1; NaN: no choice."""
    known = np.isfinite(one_first) & np.isfinite(other_first)
    one, other = one_first[known], other_first[known]
    turns = len(one)
    num_equal = int((one == other).sum())
    varies = len(np.unique(np.concatenate([one, other]))) > 1  # else kappa is 0 / 0
    return {
        "turns": turns,
        "splits": turns - num_equal,
        "reversed": int((one * other == -1).sum()),
        "agreement": num_equal / turns if turns else np.nan,
        "kappa": float(cohen_kappa_score(one, other)) if varies else np.nan,
        "one_order_only": int((np.isfinite(one_first) ^ np.isfinite(other_first)).sum()),
    }


def position_bias(one_first: Floats, other_first: Floats) -> Json:
    """Describe how often the reply shown first wins, of all choices that are not a tie, and whether by its position.

    A turn whose two choices agree has one win for each position and says nothing about it. So `first_p` is the exact
    binomial test of a half over the turns that split: `split_to_first` lean to the reply shown first,
    `split_to_second` to the other.
    """
    first_wins = int((one_first == 1).sum() + (other_first == -1).sum())
    second_wins = int((one_first == -1).sum() + (other_first == 1).sum())
    to_first = int((one_first > other_first).sum())
    to_second = int((one_first < other_first).sum())
    splits = to_first + to_second
    return {
        "first_wins": first_wins,
        "second_wins": second_wins,
        "first_rate": first_wins / (first_wins + second_wins) if first_wins + second_wins else np.nan,
        "split_to_first": to_first,
        "split_to_second": to_second,
        "first_p": float(binomtest(to_first, splits).pvalue) if splits else np.nan,
    }
