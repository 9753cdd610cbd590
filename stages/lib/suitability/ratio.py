"""The Rank-Surprisal Ratio of each DGM's replies under a base model, and the order that it predicts."""

from collections.abc import Iterable, Mapping, Sequence
from math import inf

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
    bootstrap = Bootstrap(np.arange(len(prompts)), resamples, seed)
    columns = {dgm: draw_columns(to_array(rows, prompts), bootstrap) for dgm, rows in scores.items()}
    places = find_places({dgm: each["ratio"] for dgm, each in columns.items()})
    return {dgm: describe_dgm(columns[dgm] | {"place": places[dgm]}, rows.values()) for dgm, rows in scores.items()}


def sort_by_place(dgms: Mapping[str, Json]) -> dict[str, Json]:
    """Sort described DGMs by the place that the ratio gives them, those without one last."""
    return dict(sorted(dgms.items(), key=lambda item: (item[1]["place"]["value"] or inf, item[0])))


def draw_columns(values: Floats, bootstrap: Bootstrap) -> dict[str, Floats]:
    """Return the ratio and the means of [prompt, column of COLUMNS], by column: the value, then that of each draw."""
    means = np.vstack([average(values), bootstrap.resampled_means(values)])
    columns = dict(zip(COLUMNS, means.T, strict=True))
    return {"ratio": rank_surprisal_ratio(columns["rank"], columns["surprisal"]), **columns}


def describe_dgm(columns: Mapping[str, Floats], rows: Iterable[Row]) -> Json:
    """Describe a DGM: `columns` hold each number's value, then its draws; `rows` are its rows of SCORE."""
    statuses = [row["status"] for row in rows]
    left_out = {status: statuses.count(status) for status in sorted({*statuses} - {"ok"})}
    beyond = left_out.get("beyond_window", 0)
    return {
        "ratio": cell(columns["ratio"]),  # object: Rank-Surprisal Ratio, with its interval; lower predicts better
        "place": cell(columns["place"]),  # object: of the ratio among those of all DGMs, from 1
        "rank": cell(columns["rank"]),  # object: mean of the conversations' ranks
        "surprisal": cell(columns["surprisal"]),  # object: mean of their surprisals
        "tokens": cell(columns["tokens"]),  # object: mean of their reply tokens
        "conversations": statuses.count("ok"),  # integer: that are scored
        "left_out": left_out,  # object: those that are not, by the reason in their `status`
        "beyond_window": {  # object: share that training would drop as too long, with its interval
            "value": round_significant(beyond / len(statuses)) if statuses else None,
            "ci95": round_significant(share_interval(beyond, len(statuses))),
        },
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
    """Return the place of each DGM, 1 for the lowest ratio: by the values and in every draw. NaN where it has none."""
    if not ratios:
        return {}
    ranked = rankdata(np.array(list(ratios.values())), axis=0, nan_policy="omit")
    return dict(zip(ratios, ranked, strict=True))


def cell(values: Floats) -> Json:
    """Return the first of the values with the 95 % percentile interval of the others; None for what is not known."""
    value, draws = values[0], values[1:][np.isfinite(values[1:])]
    if not np.isfinite(value):
        return {"value": None, "ci95": None}
    ends = [round_significant(float(end)) for end in np.quantile(draws, LEVEL)] if len(draws) > 1 else None
    return {"value": round_significant(float(value)), "ci95": ends}
