"""Tests of whether a difference of paired rows is more than chance, and the correction for many tests at once."""

import numpy as np
from scipy.stats import binom, false_discovery_control, norm, permutation_test

from stages.lib.core.types import Floats, Ints

MOST_NUMBERS = 2**24  # that a permutation test holds at once: 128 MiB
POWER = 0.8
ALPHA = 0.05


def mcnemar_test(ones: Ints, others: Ints) -> Floats:
    """Return the two-sided exact p of McNemar (1947): of rows on which only one or only the other is right.

    It is the sign test of `ones` against `others`, scipy.stats.binomtest for whole arrays; 1 where both are 0.
    """
    p: Floats = np.minimum(1.0, 2 * binom.cdf(np.minimum(ones, others), ones + others, 0.5))
    return p


def sign_flip_test(differences: Floats, resamples: int, seed: int) -> Floats:
    """Return the two-sided p of each column of [cluster, column], whose sign could as well be the other one.

    It is scipy.stats.permutation_test: the signs of whole clusters are flipped at random, `resamples` times, or in all
    ways where there are no more. 1 for a column without a difference; NaN differences are left out.
    """
    known = np.nan_to_num(differences)
    p: Floats = np.ones(known.shape[1])
    for columns in _split(np.flatnonzero(known.any(axis=0)), max(1, MOST_NUMBERS // (16 * max(1, len(known))))):
        batch = max(1, MOST_NUMBERS // (len(known) * len(columns)))
        tested = permutation_test(
            (known[:, columns],),
            lambda rows, axis: rows.sum(axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=resamples,
            batch=batch,
            axis=0,
            rng=np.random.default_rng(seed),
        )
        p[columns] = np.minimum(1.0, tested.pvalue)
    return p


def _split(columns: Ints, size: int) -> list[Ints]:
    return [columns[start : start + size] for start in range(0, len(columns), size)]


def adjust_p_values(p: Floats) -> Floats:
    """Return p after Benjamini and Hochberg (1995): of those that are called different at q <= 0.05, 5 % are not."""
    q: Floats = false_discovery_control(p) if len(p) else p
    return q


def rows_to_detect(difference: float, deviation: float) -> float:
    """Return how many rows show a difference with a power of 80 % in a two-sided test at 5 %, by the normal.

    `deviation` is the standard deviation of the differences of rows, in the unit of `difference`, which is not 0. It is
    statsmodels.stats.power.normal_sample_size_one_tail, with half of the 5 % in each tail.
    """
    z = norm.ppf(1 - ALPHA / 2) + norm.ppf(POWER)
    return float((z * deviation / difference) ** 2)
