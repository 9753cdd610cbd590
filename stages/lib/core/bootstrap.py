"""Intervals over questions: the turns of one question are drawn together, since they are not independent."""

import numpy as np

from stages.lib.core.types import Floats, Ints

LEVEL = (0.025, 0.975)  # of a 95 % interval


class Bootstrap:
    """The same draws of whole questions for every statistic: percentile intervals (Efron 1979), 95 %.

    Equal to scipy.stats.bootstrap(method="percentile") over the questions with the same generator, and fast for
    hundreds of statistics at a time: each draw is a row of weights, so that all of them are one product of matrices.
    """

    def __init__(self, questions: Ints, resamples: int, seed: int) -> None:
        """`questions` names the question of each turn; turns of one question stand together."""
        names, self._starts = np.unique(questions, return_index=True)
        drawn = np.random.default_rng(seed).integers(0, max(len(names), 1), (resamples, len(names)))
        places = drawn + np.arange(resamples)[:, None] * len(names)
        counts = np.bincount(places.ravel(), minlength=resamples * len(names))
        self._weights: Floats = counts.reshape(resamples, len(names)).astype(np.float64)

    def means(self, values: Floats) -> Floats:
        """The mean of each column of [turn, column] over its turns that are not NaN, in every draw: [resample, column].

        NaN in a draw of none of a column's questions.
        """
        sums, counts = self._by_question(values)
        with np.errstate(invalid="ignore"):
            means: Floats = (self._weights @ sums) / (self._weights @ counts)
        return means

    def mean(self, values: Floats) -> Floats:
        """Low and high end, [column, 2], of the mean of each column of [turn, column] over its turns that are not NaN.

        NaN for a column with fewer than two questions, about which a draw says nothing.
        """
        ends: Floats = np.full((values.shape[1], 2), np.nan)
        if not len(self._starts) or not values.shape[1]:
            return ends
        enough = (self._by_question(values)[1] > 0).sum(axis=0) > 1
        if enough.any():  # a draw of none of a column's questions does not count
            ends[enough] = np.nanquantile(self.means(values[:, enough]), LEVEL, axis=0).T
        return ends

    def _by_question(self, values: Floats) -> tuple[Floats, Floats]:
        """The sums, and the numbers of turns that are not NaN, [question, column]."""
        known = np.isfinite(values)
        sums: Floats = np.add.reduceat(np.where(known, values, 0.0), self._starts, axis=0)
        counts: Floats = np.add.reduceat(known.astype(np.float64), self._starts, axis=0)
        return sums, counts
