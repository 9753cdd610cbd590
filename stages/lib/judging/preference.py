"""Whose replies a judge prefers (paper, sec. 3.3 and Tab. 4), from its score of each reply."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa
from scipy.stats import binom, false_discovery_control

from stages.lib.console.errors import UserError
from stages.lib.core.bootstrap import Bootstrap
from stages.lib.core.types import Floats, Ints, Json
from stages.lib.records.judgments import JUDGMENT

Pair = tuple[str, str]
COLUMNS = ["question_id", "turn", "score", "text", "chars", "status"]  # of JUDGMENT, that are read
NONE = JUDGMENT.empty_table().select(COLUMNS)  # a table where no model is compared


@dataclass(frozen=True, slots=True)
class JudgmentGrid:
    """The judgments of some models, side by side: a row per turn, in the order of questions, a column per model."""

    models: list[str]
    questions: Ints  # of each turn
    turns: Ints
    scores: Floats  # NaN: no score
    chars: Floats  # of the reply; NaN: the model has no row of this turn
    rows: Ints  # of `texts`; -1: none
    texts: list[str]  # of all judgments
    statuses: dict[str, list[str]]  # of each model's rows

    def column(self, model: str) -> int:
        """A model's column."""
        return self.models.index(model)


def align_judgments(judgments: Mapping[str, pa.Table]) -> JudgmentGrid:
    """Align tables of JUDGMENT by question and turn; the order of their rows changes nothing.

    Raises UserError when a model has a turn twice.
    """
    table = pa.concat_tables([NONE, *(judgments[model].select(COLUMNS) for model in judgments)])
    keys = np.stack([table["question_id"].to_numpy(), table["turn"].to_numpy()], axis=1)
    grid, places = np.unique(keys, axis=0, return_inverse=True)
    owners = np.repeat(np.arange(len(judgments)), [part.num_rows for part in judgments.values()])
    rows = np.full((len(grid), len(judgments)), -1, dtype=np.int64)
    rows[places, owners] = np.arange(table.num_rows)
    if (rows >= 0).sum() < table.num_rows:
        twice = next(row for row in range(table.num_rows) if rows[places[row], owners[row]] != row)
        model = list(judgments)[owners[twice]]
        question, turn = keys[twice]
        raise UserError(
            f"judgments of {model}: question {question}, turn {turn} is there twice; run `dvc repro judge@{model}`"
        )
    statuses = table["status"].to_pylist()
    scores = table["score"].to_numpy().astype(np.float64)
    scores[np.array([status != "ok" for status in statuses], dtype=bool)] = np.nan
    taken = {model: np.flatnonzero(owners == number) for number, model in enumerate(judgments)}
    return JudgmentGrid(
        models=list(judgments),
        questions=grid[:, 0],
        turns=grid[:, 1],
        scores=_spread(scores, rows),
        chars=_spread(table["chars"].to_numpy().astype(np.float64), rows),
        rows=rows,
        texts=[text or "" for text in table["text"].to_pylist()],
        statuses={model: [statuses[row] for row in taken[model]] for model in judgments},
    )


def _spread(values: Floats, rows: Ints) -> Floats:
    """The value of each row, NaN where there is none."""
    return np.append(values, np.nan)[rows]


def mean_scores(judged: JudgmentGrid, bootstrap: Bootstrap) -> dict[str, Json]:
    """Of each model: its mean score over all turns and over the first, second, … of each question, and what is missing.

    `absent` counts turns that other models have and this one has not.
    """
    numbers = np.unique(judged.turns)
    views = [judged.scores, *(np.where((judged.turns == turn)[:, None], judged.scores, np.nan) for turn in numbers)]
    ends = [bootstrap.mean(view) for view in views]
    found = {}
    for column, model in enumerate(judged.models):
        whole, *each = [_mean(view[:, column], end[column]) for view, end in zip(views, ends, strict=True)]
        statuses = judged.statuses[model]
        missing = {status: statuses.count(status) for status in ("failed", "unanswered")}
        found[model] = {
            **whole,
            **missing,
            "absent": len(judged.turns) - len(statuses),
            "turns": {str(turn): part for turn, part in zip(numbers, each, strict=True)},
        }
    return found


def _mean(scores: Floats, ends: Floats) -> Json:
    """The mean of the scores that are there, with its interval."""
    known = scores[np.isfinite(scores)]
    return {"mean": float(known.mean()) if len(known) else np.nan, "ci95": list(ends), "scored": len(known)}


def pairs_of(models: Iterable[str]) -> list[Pair]:
    """Every pair of models, in their order."""
    return list(combinations(models, 2))


def by_score(judged: JudgmentGrid, pairs: Sequence[Pair]) -> Floats:
    """Per turn and pair: 1 when the first of both has the higher score, 0 for a tie, -1; NaN when one has none."""
    ones, others = columns_of(judged, pairs)
    found: Floats = np.sign(judged.scores[:, ones] - judged.scores[:, others])
    return found


def extra_chars(judged: JudgmentGrid, pairs: Sequence[Pair]) -> Floats:
    """Per turn and pair: by how many characters the reply of the first of both is longer."""
    ones, others = columns_of(judged, pairs)
    return judged.chars[:, ones] - judged.chars[:, others]


def columns_of(judged: JudgmentGrid, pairs: Sequence[Pair]) -> Ints:
    """The columns of the first and of the second models of pairs: two rows."""
    return np.array([[judged.column(model) for model in pair] for pair in pairs], dtype=np.int64).reshape(-1, 2).T


def preference_rates(outcomes: Floats, bootstrap: Bootstrap) -> list[Json]:
    """Of each column of outcomes (1, 0, -1; NaN: not compared): how often one is preferred, with ties shown.

    `rate` and `rate_other` are shares of all compared turns, ties among them: the paper's PrefRt. `p` is the exact
    sign test's (wins against losses, turns taken as independent), `q` the same after Benjamini and Hochberg over the
    columns.
    """
    wins, ties, losses = [(outcomes == value).sum(axis=0) for value in (1, 0, -1)]
    compared = wins + ties + losses
    ends, other_ends = [bootstrap.mean(np.where(np.isnan(outcomes), np.nan, outcomes == value)) for value in (1, -1)]
    p = sign_test(wins, losses)
    q = adjusted(p)
    return [
        {
            "turns": int(compared[column]),
            "wins": int(wins[column]),
            "ties": int(ties[column]),
            "losses": int(losses[column]),
            "rate": _share(wins[column], compared[column]),
            "ci95": list(ends[column]),
            "rate_other": _share(losses[column], compared[column]),
            "ci95_other": list(other_ends[column]),
            "rate_without_ties": _share(wins[column], wins[column] + losses[column]),
            "p": float(p[column]),
            "q": float(q[column]),
        }
        for column in range(outcomes.shape[1])
    ]


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else np.nan


def sign_test(ones: Ints, others: Ints) -> Floats:
    """Two-sided exact p of so many against so many, if both are as likely: scipy.stats.binomtest for whole arrays.

    Of pairs in which only one or only the other has something, it is McNemar's exact test. 1 when there are none.
    """
    p: Floats = np.minimum(1.0, 2 * binom.cdf(np.minimum(ones, others), ones + others, 0.5))
    return p


def adjusted(p: Floats) -> Floats:
    """p after Benjamini and Hochberg (1995): calling all with q <= 0.05 different is wrong for 5 % of them."""
    q: Floats = false_discovery_control(p) if len(p) else p
    return q


def flips(judged: JudgmentGrid, dgm: str, tuned: str, rival: str) -> Json:
    """On how many turns a DGM turns the ranking round that its fine-tune loses (sec. 3.3; Tab. 4, FlipCt).

    `flips`: the rival scores above the fine-tune and the DGM above the rival. `ties_broken`: the rival scores as the
    fine-tune does, and the DGM above both; "simply breaking a tie", which is no flip. Of turns that all three have.
    """
    top, own, other = (judged.scores[:, judged.column(model)] for model in (dgm, tuned, rival))
    known = np.isfinite(top) & np.isfinite(own) & np.isfinite(other)
    behind, level, above = known & (other > own), known & (other == own), top > other
    return {
        "turns": int(known.sum()),
        "behind": int(behind.sum()),
        "flips": int((behind & above).sum()),
        "level": int(level.sum()),
        "ties_broken": int((level & above).sum()),
    }


def fine_tunes(runs: Mapping[str, Json]) -> list[Pair]:
    """Every DGM with each run that learned from it alone, of the runs of metrics/recipes.json."""
    only = {key: list(run["sources"].items()) for key, run in runs.items() if len(run["sources"]) == 1}
    return sorted((name, key) for key, ((name, source),) in only.items() if source["kind"] == "dgm")
