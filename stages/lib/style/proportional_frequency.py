"""How alike two models write: the paper's proportional frequency (sec. 3.2, Tab. 3), and what a fine-tune inherits."""

import warnings
from math import isfinite

import numpy as np

from stages.lib.core.bootstrap import LEVEL, Bootstrap
from stages.lib.core.numbers import round_significant
from stages.lib.core.types import Floats, Json
from stages.lib.style.markup import FEATURES, TABLE_3

SHARED = len(TABLE_3)  # the first features: the paper's mean is over these


def proportional_frequency(one: Floats, other: Floats) -> Floats:
    """one / other for each feature (sec. 3.2): NaN for 0/0, infinite for x/0; 1 where both have as much."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios: Floats = np.asarray(one, dtype=np.float64) / np.asarray(other, dtype=np.float64)
    return ratios


def summaries(ratios: Floats) -> dict[str, Floats]:
    """The mean (the paper's MPF), the median and the typical factor of [..., feature], over the columns of Tab. 3.

    Mean and median are of what is finite. The factor is exp(median |ln ratio|): by so much the middle feature differs,
    up or down, so that it is the same for one / other and other / one; x/0 and 0/x are infinitely far, 0/0 is nothing.
    """
    shared = ratios[..., :SHARED]
    finite = np.where(np.isfinite(shared), shared, np.nan)
    with np.errstate(divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where nothing is defined, neither is the mean
        return {
            "mean": np.nanmean(finite, axis=-1),
            "median": np.nanmedian(finite, axis=-1),
            "factor": np.exp(np.nanmedian(np.abs(np.log(shared)), axis=-1)),
        }


def frequencies(one: Floats, other: Floats) -> Json:
    """Proportional frequency one / other of each feature, its summaries, and which ones are not defined and why."""
    ratios = proportional_frequency(one, other)
    return {
        "ratios": {name: round_significant(ratio) for name, ratio in zip(FEATURES, ratios, strict=True)},
        "neither": [name for name, ratio in zip(FEATURES, ratios, strict=True) if np.isnan(ratio)],  # 0/0
        "only_first": [name for name, ratio in zip(FEATURES, ratios, strict=True) if np.isinf(ratio)],  # x/0
        **{name: round_significant(float(value)) for name, value in summaries(ratios).items()},
    }


def shared_answers(*models: Floats) -> list[Floats]:
    """The answers of [turn, feature] to the turns that all the models answered; NaN elsewhere."""
    answered = np.all([np.isfinite(values[:, 0]) for values in models], axis=0)
    return [np.where(answered[:, None], values, np.nan) for values in models]


def inherited(tuned: Floats, dgm: Floats, base: Floats) -> dict[str, Floats]:
    """How much of the way from the base's style to the DGM's a fine-tune went, of profiles [..., feature].

    `inheritance` is the projection of (tuned - base) on (dgm - base): 0 is the base's style, 1 the DGM's, above 1 more
    than the DGM's, below 0 the other way. `direction` is the cosine between the two: 1 when nothing else changed.
    NaN when base and DGM, or for the direction base and fine-tune, have the same profile.
    """
    moved, way = tuned - base, dgm - base
    along, square = (moved * way).sum(axis=-1), (way * way).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "inheritance": np.where(square > 0, along / square, np.nan),
            "direction": along / np.sqrt(square * (moved * moved).sum(axis=-1)),
            "distance": np.sqrt(square / max(way.shape[-1], 1)),
        }


def profiles(*models: Floats) -> list[Floats]:
    """The answers of several models as profiles: ln(1 + feature), in standard deviations over the answers of them all.

    The logarithm keeps one answer with fifty items from deciding; what no answer differs in is left out.
    """
    logged = [np.log1p(values) for values in models]
    together = np.concatenate(logged)
    together = together[np.isfinite(together[:, 0])]
    spread: Floats = together.std(axis=0)
    varies = spread > 0
    return [values[:, varies] / spread[varies] for values in logged]


def compare_inheritance(tuned: Floats, dgm: Floats, base: Floats, bootstrap: Bootstrap) -> Json:
    """`inherited` of the answers [turn, feature] to the turns that all three answered, with 95 % intervals."""
    chosen = profiles(*shared_answers(tuned, dgm, base))
    points = inherited(*(np.nanmean(values, axis=0) for values in chosen))
    draws = inherited(*(bootstrap.means(values) for values in chosen))
    return {name: with_interval(float(points[name]), draws[name]) for name in points}


def compare_frequencies(tuned: Floats, dgm: Floats, bootstrap: Bootstrap) -> Json:
    """`frequencies` of the answers [turn, feature] to the turns that both answered, the summaries with intervals."""
    chosen = shared_answers(tuned, dgm)
    found = frequencies(*(np.nanmean(values, axis=0) for values in chosen))
    draws = summaries(proportional_frequency(*(bootstrap.means(values) for values in chosen)))
    return found | {name: with_interval(found[name], values) for name, values in draws.items()}


def with_interval(value: float | None, draws: Floats) -> Json:
    """A number and its 95 % percentile interval; no interval where a draw in forty or more has no value."""
    known = draws[np.isfinite(draws)]
    enough = value is not None and isfinite(value) and len(known) > LEVEL[1] * len(draws)
    ends = [round_significant(float(end)) for end in np.quantile(known, LEVEL)] if enough else None
    return {"value": None if value is None else round_significant(value), "ci95": ends}
