"""Whose replies a judge prefers (paper, sec. 3.3 and Tab. 4), from its score of each reply."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import binom, false_discovery_control

from stages.lib.core.bootstrap import Bootstrap
from stages.lib.core.types import Floats, Ints, Json
from stages.lib.judging.judgment_grid import JudgmentGrid, Pair


def mean_scores(grid: JudgmentGrid, bootstrap: Bootstrap) -> dict[str, Json]:
    """Average each model's scores over all turns and over the first, second, … turn of each question.

    `failed` and `unanswered` count rows without a score, `absent` the turns of other models that this one has not.
    """
    numbers = np.unique(grid.turns)
    views = [grid.scores, *(np.where((grid.turns == turn)[:, None], grid.scores, np.nan) for turn in numbers)]
    intervals = [bootstrap.mean_interval(view) for view in views]
    means = {}
    for column, model in enumerate(grid.models):
        overall, *by_turn = [_mean(view[:, column], ends[column]) for view, ends in zip(views, intervals, strict=True)]
        statuses = grid.statuses[model]
        missing = {status: statuses.count(status) for status in ("failed", "unanswered")}
        means[model] = {
            **overall,
            **missing,
            "absent": len(grid.turns) - len(statuses),
            "turns": {str(turn): mean for turn, mean in zip(numbers, by_turn, strict=True)},
        }
    return means


def _mean(scores: Floats, ends: Floats) -> Json:
    """Describe the mean of the scores that are not NaN; `ends` is its interval."""
    known = scores[np.isfinite(scores)]
    return {"mean": float(known.mean()) if len(known) else np.nan, "ci95": list(ends), "scored": len(known)}


def compare_scores(grid: JudgmentGrid, pairs: Sequence[Pair]) -> Floats:
    """Return the outcome of each turn and pair, [turn, pair].

    1: the first model of the pair has the higher score, 0: a tie, -1: the second has; NaN: one of them has no score.
    """
    ones, others = grid.columns(pairs)
    outcomes: Floats = np.sign(grid.scores[:, ones] - grid.scores[:, others])
    return outcomes


def extra_chars(grid: JudgmentGrid, pairs: Sequence[Pair]) -> Floats:
    """Return by how many characters the first model's reply is longer, [turn, pair]; NaN: one of them has no row."""
    ones, others = grid.columns(pairs)
    return grid.chars[:, ones] - grid.chars[:, others]


def preference_rates(outcomes: Floats, bootstrap: Bootstrap) -> list[Json]:
    """Describe each column of outcomes (1, 0, -1; NaN: not compared): how often one is preferred, with ties counted.

    `rate` and `rate_other` are shares of all compared turns, ties among them: the paper's PrefRt. `p` is the exact
    sign test's (wins against losses, turns taken as independent), `q` the same after Benjamini and Hochberg over the
    columns.
    """
    wins, ties, losses = [(outcomes == value).sum(axis=0) for value in (1, 0, -1)]
    shares = [bootstrap.mean_interval(np.where(np.isnan(outcomes), np.nan, outcomes == value)) for value in (1, -1)]
    p = sign_test(wins, losses)
    q = adjust_p_values(p)
    return [
        {
            **_count_outcomes(int(wins[column]), int(ties[column]), int(losses[column])),
            "ci95": list(shares[0][column]),
            "ci95_other": list(shares[1][column]),
            "p": float(p[column]),
            "q": float(q[column]),
        }
        for column in range(outcomes.shape[1])
    ]


def _count_outcomes(wins: int, ties: int, losses: int) -> Json:
    """Return the counts of one pair and their shares; NaN for a share of nothing."""
    turns = wins + ties + losses
    return {
        "turns": turns,
        "wins": wins,
        "ties": ties,
        "losses": losses,
        "rate": _share(wins, turns),
        "rate_other": _share(losses, turns),
        "rate_without_ties": _share(wins, wins + losses),
    }


def _share(part: int, total: int) -> float:
    return part / total if total else np.nan


def sign_test(ones: Ints, others: Ints) -> Floats:
    """Return the two-sided exact p of `ones` against `others` if both are as likely; 1 where both are 0.

    It is scipy.stats.binomtest for whole arrays. Of pairs in which only one or only the other has something, it is
    McNemar's exact test.
    """
    p: Floats = np.minimum(1.0, 2 * binom.cdf(np.minimum(ones, others), ones + others, 0.5))
    return p


def adjust_p_values(p: Floats) -> Floats:
    """Return p after Benjamini and Hochberg (1995): of those that are called different at q <= 0.05, 5 % are not."""
    q: Floats = false_discovery_control(p) if len(p) else p
    return q


def count_flips(grid: JudgmentGrid, dgm: str, tuned: str, rival: str) -> Json:
    """Count the turns on which a DGM reverses the ranking that its fine-tune loses (sec. 3.3; Tab. 4, FlipCt).

    `flips`: the rival scores above the fine-tune and the DGM above the rival. `ties_broken`: the rival scores as the
    fine-tune does, and the DGM above both; "simply breaking a tie", which is not a flip. Only turns that all three
    have a score of are counted.
    """
    dgm_scores, tuned_scores, rival_scores = (grid.scores[:, grid.column(model)] for model in (dgm, tuned, rival))
    known = np.isfinite(dgm_scores) & np.isfinite(tuned_scores) & np.isfinite(rival_scores)
    behind = known & (rival_scores > tuned_scores)
    level = known & (rival_scores == tuned_scores)
    above = dgm_scores > rival_scores
    return {
        "turns": int(known.sum()),
        "behind": int(behind.sum()),
        "flips": int((behind & above).sum()),
        "level": int(level.sum()),
        "ties_broken": int((level & above).sum()),
    }


def find_fine_tunes(runs: Mapping[str, Json]) -> list[Pair]:
    """Return every DGM with each run that was trained on it alone; `runs` are those of metrics/recipes.json."""
    single = {key: list(run["sources"].items()) for key, run in runs.items() if len(run["sources"]) == 1}
    return sorted((name, key) for key, ((name, source),) in single.items() if source["kind"] == "dgm")
