"""Proportional frequency: how alike two models write, feature by feature (paper, sec. 3.2, Tab. 3)."""

import warnings
from math import isfinite

import numpy as np

from stages.lib.core.numbers import round_significant
from stages.lib.core.types import Floats, Json
from stages.lib.statistics.bootstrap import LEVEL, Bootstrap
from stages.lib.style.markup import FEATURES, TABLE_3

NUM_PAPER_FEATURES = len(TABLE_3)  # the first features: the paper's mean is over these


def proportional_frequency(one: Floats, other: Floats) -> Floats:
    """Return one / other for each feature (sec. 3.2): 1 if both have as much, NaN for 0/0, infinite for x/0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios: Floats = np.asarray(one, dtype=np.float64) / np.asarray(other, dtype=np.float64)
    return ratios


def summarize_ratios(ratios: Floats) -> dict[str, Floats]:
    """Return the mean (the paper's MPF), the median and the typical factor of [..., feature], over Tab. 3's columns.

    Mean and median are over finite ratios. The factor is exp(median |ln ratio|): the middle feature differs by it, up
    or down, so that it is the same for one / other and other / one; x/0 and 0/x are infinitely far, 0/0 is left out.
    """
    shared = ratios[..., :NUM_PAPER_FEATURES]
    finite = np.where(np.isfinite(shared), shared, np.nan)
    with np.errstate(divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # without any ratio, the mean is NaN too
        return {
            "mean": np.nanmean(finite, axis=-1),
            "median": np.nanmedian(finite, axis=-1),
            "factor": np.exp(np.nanmedian(np.abs(np.log(shared)), axis=-1)),
        }


def describe_ratios(one: Floats, other: Floats) -> Json:
    """Describe the ratios one / other of each feature: their summaries, and which are not defined and why."""
    ratios = proportional_frequency(one, other)
    return {
        "ratios": {name: round_significant(ratio) for name, ratio in zip(FEATURES, ratios, strict=True)},
        "neither": [name for name, ratio in zip(FEATURES, ratios, strict=True) if np.isnan(ratio)],  # 0/0
        "only_first": [name for name, ratio in zip(FEATURES, ratios, strict=True) if np.isinf(ratio)],  # x/0
        **{name: round_significant(float(value)) for name, value in summarize_ratios(ratios).items()},
    }


def compare_ratios(tuned: Floats, dgm: Floats, bootstrap: Bootstrap) -> Json:
    """Describe the ratios tuned / dgm on the turns that both answered, [turn, feature], with 95 % intervals."""
    shared = keep_shared_turns(tuned, dgm)
    described = describe_ratios(*(np.nanmean(values, axis=0) for values in shared))
    draws = summarize_ratios(proportional_frequency(*(bootstrap.resampled_means(values) for values in shared)))
    return described | {name: add_interval(described[name], values) for name, values in draws.items()}


def keep_shared_turns(*models: Floats) -> list[Floats]:
    """Return the values of several models, [turn, feature], with NaN for the turns that one of them did not answer."""
    is_shared = np.all([np.isfinite(values[:, 0]) for values in models], axis=0)
    return [np.where(is_shared[:, None], values, np.nan) for values in models]


def add_interval(value: float | None, draws: Floats) -> Json:
    """Return a number and its 95 % percentile interval; none where a draw in forty or more has no value."""
    known = draws[np.isfinite(draws)]
    is_enough = value is not None and isfinite(value) and len(known) > LEVEL[1] * len(draws)
    ends = [round_significant(float(end)) for end in np.quantile(known, LEVEL)] if is_enough else None
    return {"value": None if value is None else round_significant(value), "ci95": ends}
