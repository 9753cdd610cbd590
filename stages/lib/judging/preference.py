"""Whose replies a judge prefers (paper, sec. 3.3 and Tab. 4), from its score of each reply."""

from collections.abc import Mapping, Sequence

import numpy as np

from stages.lib.core.pairs import Pair
from stages.lib.core.types import Floats, Ints, Json
from stages.lib.judging.judgment_grid import JudgmentGrid
from stages.lib.statistics.intervals import SHARE, Bounds, clustered_means, score_interval
from stages.lib.statistics.significance import adjust_p_values, sign_flip_test

SCORES: Bounds = (1.0, 10.0)  # of a judge
CHOICES: Bounds = (-1.0, 1.0)  # one or the other


def mean_scores(grid: JudgmentGrid) -> dict[str, Json]:
    """Average each model's scores over all turns and over the first, second, … turn of each question.

    `failed` and `unanswered` count rows without a score, `absent` the turns of other models that this one has not.
    """
    numbers = np.unique(grid.turns)
    views = [grid.scores, *(np.where((grid.turns == turn)[:, None], grid.scores, np.nan) for turn in numbers)]
    intervals = [mean_interval(view, grid.questions, SCORES) for view in views]
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


def mean_interval(values: Floats, questions: Ints, bounds: Bounds) -> Floats:
    """Return the interval of the mean of each column of [turn, column], [column, 2]: questions are clusters."""
    means = clustered_means(values, questions)
    return score_interval(means.values, means.stderrs, means.clusters, bounds)


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


def preference_rates(outcomes: Floats, questions: Ints, resamples: int, seed: int) -> list[Json]:
    """Describe each column of outcomes (1, 0, -1; NaN: not compared): how often one is preferred, with ties counted.

    `rate` and `rate_other` are shares of all compared turns, ties among them: the paper's PrefRt; `net` is their
    difference. `p` is that of a permutation test of `net` that flips whole questions, `q` the same after Benjamini and
    Hochberg over the columns.
    """
    wins, ties, losses = [(outcomes == value).sum(axis=0) for value in (1, 0, -1)]
    known = np.isfinite(outcomes)
    shares = [mean_interval(np.where(known, outcomes == value, np.nan), questions, SHARE) for value in (1, -1)]
    net = clustered_means(outcomes, questions)
    ends = score_interval(net.values, net.stderrs, net.clusters, CHOICES)
    p = sign_flip_test(sum_by_question(outcomes, questions), resamples, seed)
    q = adjust_p_values(p)
    return [
        {
            **_count_outcomes(int(wins[column]), int(ties[column]), int(losses[column])),
            "ci95": list(shares[0][column]),
            "ci95_other": list(shares[1][column]),
            "net": float(net.values[column]),
            "net_ci95": list(ends[column]),
            "net_deviation": float(net.stderrs[column] * np.sqrt(net.clusters[column])),
            "questions": int(net.clusters[column]),
            "p": float(p[column]),
            "q": float(q[column]),
        }
        for column in range(outcomes.shape[1])
    ]


def sum_by_question(values: Floats, questions: Ints) -> Floats:
    """Sum the turns of each question, [question, column]; NaN counts nothing. Turns of one question are adjacent."""
    _, starts = np.unique(questions, return_index=True)
    sums: Floats = np.add.reduceat(np.nan_to_num(values), np.sort(starts)) if len(values) else values
    return sums


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
