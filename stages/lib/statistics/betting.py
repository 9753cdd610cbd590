"""Intervals and tests of a mean that hold at every number of rows, so that one may look at each row and stop.

Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (JRSS B 86, 2024; arXiv:2010.09686):
the hedged capital process (their Hedged, sec. 4) with predictable plug-in empirical-Bernstein bets (PrPl-EB), and the
same for rows drawn without replacement (sec. 5). Whoever bets that the mean is larger than m, never more than is held,
gains nothing on average if it is m: by Ville's inequality the chance that 1 ever becomes 1 / alpha is at most alpha.
The means that have not been bet against with such success are the interval.

Written as (time from 1, values x in [0, 1], a hat for what is known before the bet):

    mean      mu_t = (1/2 + x_1 + … + x_t) / (t + 1)
    variance  s_t = (1/4 + (x_1 - mu_1)^2 + … + (x_t - mu_t)^2) / (t + 1)
    bet       b_t = sqrt(2 log(2 / alpha) / (s_(t-1) t log(t + 1)))
    capital   up_t(m) = product of 1 + min(b_i, c / m_i) (x_i - m_i)
              down_t(m) = product of 1 - min(b_i, c / (1 - m_i)) (x_i - m_i)
    m_i       m, or without replacement from N rows (N m - x_1 - … - x_(i-1)) / (N - i + 1): the mean of what is left

Half of the money goes on either side: m is excluded as soon as up or down reaches 2 / alpha. Every factor of `up` falls
as m grows (1 + b (x - m), and where the bet is cut 1 - c + c x / m), and every factor of `down` rises: so what is
excluded below is all below one mean, which bisection finds exactly, where a grid of means is as coarse as its steps.
"""

import numpy as np

from stages.lib.core.types import Floats

CUT = 0.5  # c: the largest share of what is held that a bet can lose
HALVINGS = 30  # of [0, 1], until an end of an interval is known to 1e-9
ROUNDING = 1e-12  # by which a sum of values may be off


def choose_bets(values: Floats, alpha: float) -> Floats:
    """Return each bet b_t on [..., time], which earlier values alone decide."""
    times = np.arange(1, values.shape[-1] + 1)
    means = (0.5 + np.cumsum(values, axis=-1)) / (times + 1)
    variances = (0.25 + np.cumsum((values - means) ** 2, axis=-1)) / (times + 1)
    known = np.concatenate([np.full((*values.shape[:-1], 1), 0.25), variances], axis=-1)[..., :-1]
    bets: Floats = np.sqrt(2 * np.log(2 / alpha) / (known * times * np.log(times + 1)))
    return bets


def log_capitals(
    values: Floats, means: Floats | float, alpha: float, total: int | None = None
) -> tuple[Floats, Floats]:
    """Return the logarithms of `up` and `down` against means [...] after every value of [..., time].

    `alpha` only decides how much is bet: a capital counts for any level. `total` is N; None: with replacement. A mean
    that the values make impossible without replacement is excluded with certainty: its capital is infinite.
    """
    supposed = np.broadcast_to(np.asarray(means, float)[..., None], values.shape)
    too_low = too_high = np.zeros(values.shape, bool)
    if total is not None:
        left = total - np.arange(values.shape[-1])
        supposed = (total * supposed - (np.cumsum(values, axis=-1) - values)) / left
        to_come = supposed * left - values  # the sum of the values after this one, if the mean is right
        too_low = np.logical_or.accumulate(to_come < -ROUNDING * total, axis=-1)
        too_high = np.logical_or.accumulate(to_come > left - 1 + ROUNDING * total, axis=-1)
    bets = choose_bets(values, alpha)
    with np.errstate(divide="ignore"):
        up = np.where(supposed > 0, np.minimum(bets, CUT / supposed), bets)
        down = np.where(supposed < 1, np.minimum(bets, CUT / (1 - supposed)), bets)
    log_up = np.cumsum(np.log1p(up * (values - supposed)), axis=-1)
    log_down = np.cumsum(np.log1p(-down * (values - supposed)), axis=-1)
    return np.where(too_low, np.inf, log_up), np.where(too_high, np.inf, log_down)


def most_gained(values: Floats, means: Floats | float, alpha: float, total: int | None = None) -> tuple[Floats, Floats]:
    """Return the logarithms of the most that `up` and `down` ever were, [...]: 0 where nothing was won."""
    log_up, log_down = (each.max(axis=-1, initial=0.0) for each in log_capitals(values, means, alpha, total))
    return log_up, log_down


def anytime_p(values: Floats, mean: float, alpha: float, total: int | None = None) -> Floats:
    """Return the two-sided p of a mean by [..., time]: 1 / the most that was held, with half of it on either side.

    The chance that it is ever at or below a level is at most that level, however one decides to stop.
    """
    most = np.maximum(*most_gained(values, mean, alpha, total))
    p: Floats = np.minimum(1.0, 2 * np.exp(-most))
    return p


def anytime_interval(values: Floats, level: float, alpha: float | None = None, total: int | None = None) -> Floats:
    """Return the interval of the mean, [..., 2], that is wrong at any time with a chance of at most `level`.

    It is the intersection of the intervals at all times so far. The bets are those for `alpha`, by default `level`.
    """
    limit, bet = np.log(2 / level), level if alpha is None else alpha
    shape = values.shape[:-1]

    def find_end(side: int) -> Floats:
        """Halve [0, 1] between means that are excluded on this side and means that are not."""
        inner, outer = np.full(shape, 1.0 - side), np.full(shape, float(side))  # outer: excluded, or the scale's end
        for _ in range(HALVINGS):
            middle = (inner + outer) / 2
            is_excluded = most_gained(values, middle, bet, total)[side] >= limit
            inner, outer = np.where(is_excluded, inner, middle), np.where(is_excluded, middle, outer)
        return outer

    return np.stack([find_end(0), find_end(1)], axis=-1)
