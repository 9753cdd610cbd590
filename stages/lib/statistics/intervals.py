"""The 95 % intervals that people see: within the scale of a score, and of a difference of rows that are paired.

Rows that belong together (the turns of a question, the instructions of a prompt) are a cluster: they are not
independent of one another.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import beta, t

from stages.lib.core.types import Floats, Ints

LEVEL = 0.975  # both tails of a 95 % interval
SHARE = (0.0, 1.0)
TOLERANCE = 1e-12  # of a variance that is none but for the last digits of a sum

Bounds = tuple[float, float]  # the least and the most that a score can be


@dataclass(frozen=True)
class Estimates:
    """Means of columns of rows. All are [column]; NaN where a column has too few rows."""

    values: Floats
    stderrs: Floats  # by clusters
    clusters: Floats  # that have a value


def clustered_means(values: Floats, clusters: Ints) -> Estimates:
    """Average each column of [row, column] over its rows that are not NaN; rows of equal `clusters` are adjacent.

    The standard error is that of results.json (CR1): the residuals are summed by cluster. NaN for one cluster alone.
    """
    _, starts = np.unique(clusters, return_index=True)
    known = np.isfinite(values)
    counts = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(known, values, 0.0).sum(axis=0) / counts
        residuals = np.where(known, values - means, 0.0)
        sums = np.add.reduceat(residuals, np.sort(starts)) if len(values) else residuals
        present = np.add.reduceat(known, np.sort(starts)) > 0 if len(values) else known
        num = present.sum(axis=0).astype(np.float64)
        stderrs = np.where(num > 1, np.sqrt((sums**2).sum(axis=0) * num / (num - 1)) / counts, np.nan)
    return Estimates(means, stderrs, num)


def score_interval(
    values: Floats, stderrs: Floats, clusters: Floats, bounds: Bounds = SHARE, df: Floats | None = None
) -> Floats:
    """Return the interval of means of scores that lie between `bounds`, [column, 2]; NaN without a standard error.

    It is Clopper and Pearson's, with the number of rows that a simple sample would need for the same standard error
    (Korn and Graubard 1998, Survey Methodology 24): for a share of independent rows it is Clopper and Pearson's own.
    Where all rows are equal, the standard error says nothing, and the number of clusters is taken. `df` are the degrees
    of freedom of the standard errors, by default clusters - 1: where they are fewer than those of the simple sample,
    the number of its rows is reduced by the squared ratio of Student's quantiles.
    """
    low, high = bounds
    shares = np.clip((np.asarray(values, float) - low) / (high - low), 0.0, 1.0)
    variances = (np.asarray(stderrs, float) / (high - low)) ** 2
    rows = np.asarray(clusters, float)
    with np.errstate(invalid="ignore", divide="ignore"):
        effective = shares * (1 - shares) / variances + 1
        simple = t.ppf(LEVEL, np.maximum(effective, rows) - 1)
        narrowing = np.minimum(1.0, simple / t.ppf(LEVEL, rows - 1 if df is None else df))
        effective = np.where(variances > TOLERANCE, effective * narrowing**2, rows)
    effective = np.where(np.isnan(variances), np.nan, effective)
    return exact_interval(shares * effective, effective) * (high - low) + low


def exact_interval(counts: Floats, totals: Floats) -> Floats:
    """Return Clopper and Pearson's interval of the shares `counts` / `totals`, [column, 2]; NaN for a share of nothing.

    It is scipy.stats.binomtest(…).proportion_ci(method="exact") for whole arrays, of numbers that need not be whole.
    """
    k, n = np.asarray(counts, float), np.asarray(totals, float)
    tiny = 1e-9 * np.maximum(n, 1)
    with np.errstate(invalid="ignore"):
        lows = np.where(k > tiny, beta.ppf(1 - LEVEL, k, n - k + 1), 0.0)
        highs = np.where(n - k > tiny, beta.ppf(LEVEL, k + 1, n - k), 1.0)
    ends: Floats = np.where((n > 0)[..., None], np.stack([lows, highs], axis=-1), np.nan)
    return ends


def share_interval(count: int, total: int) -> list[float] | None:
    """Return Clopper and Pearson's interval of a share of independent rows; None for a share of nothing."""
    return [float(end) for end in exact_interval(np.array(count), np.array(total))] if total else None


def student_interval(values: Floats, stderrs: Floats, df: Floats) -> Floats:
    """Return Student's interval of values with these standard errors and degrees of freedom, [column, 2]."""
    half_widths = t.ppf(LEVEL, df) * stderrs
    return np.stack([values - half_widths, values + half_widths], axis=-1)
