"""The Rank-Surprisal Ratio of each DGM's replies under a base model, and the order that it predicts."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy.stats import rankdata

from stages.lib.core.numbers import round_significant
from stages.lib.core.types import Floats, Json, Row
from stages.lib.statistics.bootstrap import LEVEL, Bootstrap
from stages.lib.statistics.intervals import share_interval

COLUMNS = ("rank", "surprisal", "tokens")


def describe_suitability(scores: Mapping[str, Mapping[str, Row]], resamples: int, seed: int) -> dict[str, Json]:
    """Describe the scores of each DGM, rows of SCORE by prompt, with 95 % intervals over the prompts.

    All DGMs are drawn together, so that a prompt that is hard for all of them moves none in the order.
    """
    prompts = sorted({prompt for rows in scores.values() for prompt in rows})
    values = {dgm: to_array(rows, prompts) for dgm, rows in scores.items()}
    bootstrap = Bootstrap(np.arange(len(prompts)), resamples, seed)
    draws = {dgm: bootstrap.resampled_means(each) for dgm, each in values.items()}
    ratios = {dgm: rank_surprisal_ratio(each[:, 0], each[:, 1]) for dgm, each in draws.items()}
    places = find_places(ratios)
    means = {dgm: average(each) for dgm, each in values.items()}
    ranked = find_places({dgm: rank_surprisal_ratio(each[:1], each[1:2]) for dgm, each in means.items()})
    return {
        dgm: {
            "ratio": cell(rank_surprisal_ratio(means[dgm][:1], means[dgm][1:2])[0], ratios[dgm]),
            "place": cell(ranked[dgm][0], places[dgm]),
            **{name: cell(means[dgm][n], draws[dgm][:, n]) for n, name in enumerate(COLUMNS)},
            **count_rows(scores[dgm].values()),
        }
        for dgm in scores
    }


def rank_surprisal_ratio(ranks: Floats, surprisals: Floats) -> Floats:
    """Return mean rank / mean surprisal, element by element (arXiv 2601.14249, eq. 7): lower suits better.

    Of one conversation both are means over its tokens; of a set they are means over its conversations (App. A.8).
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios: Floats = np.asarray(ranks, float) / np.asarray(surprisals, float)
    return ratios


def to_array(rows: Mapping[str, Row], prompts: Sequence[str]) -> Floats:
    """Return the scores on these prompts, [prompt, column of COLUMNS]; NaN: none."""
    nothing = dict.fromkeys(COLUMNS)
    return np.array([[rows.get(prompt, nothing)[name] for name in COLUMNS] for prompt in prompts], float).reshape(
        len(prompts), len(COLUMNS)
    )


def average(values: Floats) -> Floats:
    """Average each column over what is not NaN; NaN where nothing is."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        means: Floats = np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0)
    return means


def find_places(ratios: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the place of each DGM in every draw, 1 for the lowest ratio; NaN where it has none."""
    if not ratios:
        return {}
    ranked = rankdata(np.array(list(ratios.values())), axis=0, nan_policy="omit")
    return dict(zip(ratios, ranked, strict=True))


def cell(value: float, draws: Floats) -> Json:
    """Return a value with its 95 % percentile interval; None for what is not known."""
    known = draws[np.isfinite(draws)]
    if not np.isfinite(value):
        return {"value": None, "ci95": None}
    ends = [round_significant(float(end)) for end in np.quantile(known, LEVEL)] if len(known) > 1 else None
    return {"value": round_significant(float(value)), "ci95": ends}


def count_rows(rows: Iterable[Row]) -> Json:
    """Count the conversations that were scored, those that were not by reason, and the share beyond the window."""
    statuses = [row["status"] for row in rows]
    left_out = {status: statuses.count(status) for status in sorted({*statuses} - {"ok"})}
    beyond = left_out.get("beyond_window", 0)
    return {
        "conversations": statuses.count("ok"),
        "left_out": left_out,
        "beyond_window": {
            "value": round_significant(beyond / len(statuses)) if statuses else None,
            "ci95": round_significant(share_interval(beyond, len(statuses))),
        },
    }
