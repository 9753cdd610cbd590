"""Tests of whether a difference of paired rows is more than chance, and the correction for many tests at once."""

from collections.abc import Iterator
from math import inf, log

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import binom, false_discovery_control, norm

from stages.lib.core.types import Floats, Ints

MOST_NUMBERS = 2**22  # signs that are held at once: 32 MiB
TOLERANCE = 1e-12  # of a sum, whose last digits depend on the order of its parts
POWER = 0.8
MOST_ROWS = log(1e9)  # more rows than this do not decide
ALPHA = 0.05


def mcnemar_test(ones: Ints, others: Ints) -> Floats:
    """Return the two-sided exact p of McNemar (1947): of rows on which only one or only the other is right.

    It is the sign test of `ones` against `others`, scipy.stats.binomtest for whole arrays; 1 where both are 0.
    """
    p: Floats = np.minimum(1.0, 2 * binom.cdf(np.minimum(ones, others), ones + others, 0.5))
    return p


def sign_flip_test(differences: Floats, resamples: int, seed: int) -> Floats:
    """Return the two-sided p of each column of [cluster, column], whose sign could as well be the other one.

    The signs of whole clusters are flipped in all ways (Fisher 1935), or where these are more than `resamples` in so
    many random ones, so that p is at least 1 / (resamples + 1) (Phipson and Smyth 2010). It is
    scipy.stats.permutation_test(permutation_type="samples") with the same flips for all columns: one product of
    matrices for thousands of pairs. 1 for a column without a difference; NaN differences are left out.
    """
    known = np.nan_to_num(differences)
    least = np.abs(known.sum(axis=0)) - TOLERANCE * np.abs(known).sum(axis=0)
    extreme: Floats = np.zeros(known.shape[1])
    for signs in _draw_signs(len(known), resamples, seed):
        extreme += (np.abs(signs @ known) >= least).sum(axis=0)
    ways = 2 ** len(known)
    return extreme / ways if ways <= resamples else (extreme + 1) / (resamples + 1)


def _draw_signs(num: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Yield rows of `num` signs: all that there are, or so many random ones."""
    if 2**num <= resamples:
        yield 1.0 - 2.0 * (np.arange(2**num)[:, None] >> np.arange(num) & 1)
        return
    random, size = np.random.default_rng(seed), max(1, MOST_NUMBERS // num)
    for start in range(0, resamples, size):
        yield 1.0 - 2.0 * random.integers(0, 2, (min(size, resamples - start), num)).astype(np.float64)


def adjust_p_values(p: Floats) -> Floats:
    """Return p after Benjamini and Hochberg (1995): of those with q <= 0.05, at most 5 % do not differ, on average."""
    q: Floats = false_discovery_control(p) if len(p) else p
    return q


def rows_to_decide(
    difference: float, deviation: float, margin: float, *, extra: float = 0.0, seed_stderr: float = 0.0
) -> float:
    """Return with how many rows the 95 % interval of a difference decides rightly in 80 % of cases, by the normal.

    It does so when it lies beyond 0 on the side of the difference, or between -margin and margin (two one-sided tests,
    Schuirmann 1987). Where the margin is far less than the difference, the number is that of
    statsmodels.stats.power.normal_sample_size_one_tail with half of the 5 % in each tail. `deviation` is the standard
    deviation of the differences of rows; `extra` the squares of the two rows that Bonett and Price add; `seed_stderr`
    the standard error that training seeds give the difference, which no row reduces: infinite where it is too large.
    """
    if not deviation and not extra and not seed_stderr:
        return 0.0
    z, apart = norm.ppf(1 - ALPHA / 2), abs(difference)

    def missing_power(log_rows: float) -> float:
        rows = np.exp(log_rows)
        spread = max(np.sqrt(deviation**2 / rows + seed_stderr**2), margin * TOLERANCE)  # of the estimate
        added = 2 if extra else 0
        half = z * np.sqrt((deviation**2 * rows + extra) / (rows + added) ** 2 + seed_stderr**2)
        inner = max(0.0, margin - half)  # an estimate nearer to 0 is equivalent
        equivalent = ndtr((inner - apart) / spread) - ndtr((-inner - apart) / spread)
        differs = ndtr((apart - half) / spread) if apart else 0.0
        return float(POWER - equivalent - differs)

    if missing_power(0.0) <= 0:
        return 1.0
    if missing_power(MOST_ROWS) > 0:
        return inf
    return float(np.exp(brentq(missing_power, 0.0, MOST_ROWS, xtol=1e-9)))
