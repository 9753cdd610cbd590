"""Linear contrasts of models on the same rows, such as one model less another, with paired and clustered errors.

The standard error is that of the contrast of each row: what two models share cancels. A run that was trained with
several seeds is the mean of its models; its error then has the spread between seeds too, with the degrees of freedom
of Satterthwaite (1946). Seeds differ by the noise of the rows too, so that the interval is wide where they differ by
nothing else (98 % in perf.significance); with two seeds that differ by much more it is a little short (94 %).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stages.lib.comparison.score_rows import ScoreRows, weighted_means
from stages.lib.comparison.scores import TOLERANCE
from stages.lib.core.types import Bools, Floats
from stages.lib.statistics.intervals import student_interval

Seeds = Mapping[str, Sequence[str]]  # the models of each run, by seed


@dataclass(frozen=True)
class Contrasts:
    """Contrasts as columns; fields are [column] unless a comment says otherwise."""

    values: Floats
    stderrs: Floats  # of rows and seeds
    df: Floats
    clusters: Floats  # of rows that have a score
    seed_shares: Floats  # the part of the variance that is the training seed's; NaN where there is but one seed
    ends: Floats  # [column, 2]: the interval
    sums: Floats  # [cluster, column]: of the weighted rows; their sum is the value


def run_means(rows: ScoreRows, units: Sequence[str], seeds: Seeds) -> Floats:
    """Return the scores of models and runs, [row, unit]: of a run with several seeds the mean."""
    return np.stack([_of_unit(rows, unit, seeds).mean(axis=1) for unit in units], axis=1)


def _of_unit(rows: ScoreRows, unit: str, seeds: Seeds) -> Floats:
    """Return the scores of the models of a run, or of one model, [row, model]."""
    return rows.scores[:, [rows.column(model) for model in seeds.get(unit, [unit])]]


def seed_variances(rows: ScoreRows, units: Sequence[str], seeds: Seeds) -> tuple[Floats, Floats]:
    """Return the variance of each unit's mean over its seeds, and its degrees of freedom; 0 and 0 for one seed."""
    spreads = [weighted_means(_of_unit(rows, unit, seeds), rows.weights, rows.strata) for unit in units]
    variances = [np.var(means, ddof=1) / len(means) if np.ptp(means) > TOLERANCE else 0.0 for means in spreads]
    return np.array(variances), np.array([len(means) - 1.0 for means in spreads])


def contrast(rows: ScoreRows, units: Sequence[str], factors: Floats, seeds: Seeds) -> Contrasts:
    """Compute contrasts of models or runs; `factors` are [unit, column].

    Rows on which a unit of a column has no score are left out of this column.
    """
    means = run_means(rows, units, seeds)
    used = factors != 0
    unknown = (~np.isfinite(means)).astype(float) @ used.astype(float) > 0
    values = np.where(unknown, np.nan, np.nan_to_num(means) @ factors)
    are_differences = np.isclose(factors.sum(axis=0), 0) & np.isclose(np.abs(factors).sum(axis=0), 2)
    sampled = _sample_errors(rows, values, are_differences)
    variances, df = seed_variances(rows, units, seeds)
    has_seeds = (used & (df[:, None] > 0)).any(axis=0)
    return _add_seeds(sampled, (factors**2) * variances[:, None], df, has_seeds)


@dataclass(frozen=True)
class _Sampled:
    values: Floats
    centres: Floats  # of the interval
    variances: Floats
    df: Floats
    clusters: Floats
    sums: Floats


def _sample_errors(rows: ScoreRows, values: Floats, are_differences: Bools) -> _Sampled:
    """Compute weighted means of [row, column] and their variances, by stratum.

    `are_differences` [column] are those of one model and another, or of means of models.
    """
    _, starts = np.unique(rows.clusters, return_index=True)
    scaled = np.isfinite(values) * rows.weights[:, None]
    weights = np.add.reduceat(scaled, starts)
    products = np.add.reduceat(np.nan_to_num(values) * scaled, starts)
    total, centre, variance, df, clusters = (np.zeros(values.shape[1]) for _ in range(5))
    sums = np.zeros_like(products)
    for stratum in np.unique(rows.strata):
        here = rows.strata[starts] == stratum
        share = rows.weights[rows.strata == stratum].sum()
        num = (weights[here] > 0).sum(axis=0).astype(np.float64)
        mass = weights[here].sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = products[here].sum(axis=0) / mass
            spans = np.where(are_differences & rows.is_binary(stratum), rows.bounds[1] - rows.bounds[0], 0.0)
            middle, squares = _stratum_error(weights[here], products[here], spans)
            sums[here] = products[here] * share / mass
        total += share * mean
        centre += share * middle
        variance += share**2 * squares
        clusters += num
        df += num - 1
    return _Sampled(total, centre, variance, df, clusters, sums)


def _stratum_error(weights: Floats, products: Floats, spans: Floats) -> tuple[Floats, Floats]:
    """Return the centre of the interval of a stratum's means and their variance, by clusters (CR1).

    `weights` and `products` (of weight and value) are [cluster, column]. Where `spans` [column] is not 0, two clusters
    more are counted, with the largest and the least difference that there can be (Bonett and Price 2012, J. Educ.
    Behav. Stat. 37): else models that are right on the same rows would differ by exactly nothing.
    """
    num = (weights > 0).sum(axis=0)
    mass = weights.sum(axis=0)
    extra = np.where(spans > 0, mass / num, 0.0)  # the weight of each of the two
    middle = products.sum(axis=0) / (mass + 2 * extra)
    squares = ((products - weights * middle) ** 2).sum(axis=0)
    squares += extra**2 * ((spans - middle) ** 2 + (spans + middle) ** 2)
    correction = np.where(spans > 0, 1.0, num / (num - 1))
    return middle, squares * correction / (mass + 2 * extra) ** 2


def _add_seeds(sampled: _Sampled, seeds: Floats, seed_df: Floats, has_seeds: Bools) -> Contrasts:
    """Add the variances of the seeds, [unit, column], to those of the rows."""
    of_seeds = seeds.sum(axis=0)
    variance = sampled.variances + of_seeds
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = sampled.variances**2 / sampled.df
        squares = squares + np.where(seed_df[:, None] > 0, seeds**2 / seed_df[:, None], 0.0).sum(axis=0)
        df = np.where(variance > 0, variance**2 / squares, sampled.df)
        shares = np.where(has_seeds, of_seeds / variance, np.nan)
    stderrs = np.sqrt(variance)
    return Contrasts(
        values=sampled.values,
        stderrs=stderrs,
        df=df,
        clusters=sampled.clusters,
        seed_shares=shares,
        ends=student_interval(sampled.centres, stderrs, df),
        sums=sampled.sums,
    )
