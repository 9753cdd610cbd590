"""Scores of made-up models whose true values are known: right or wrong, or from 1 to 10, alike on the same rows."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from stages.lib.comparison.contrasts import Contrasts, Seeds, contrast
from stages.lib.comparison.differences import compute_p_values
from stages.lib.comparison.score_rows import ScoreRows, average_rows, of_rows
from stages.lib.core.pairs import Pair
from stages.lib.core.types import Floats, Ints
from stages.lib.judging.preference import SCORES
from stages.lib.settings.sections import Differences
from stages.lib.statistics.intervals import SHARE

MARGINS = {
    "margin": 0.05,
    "margin_judge": 0.25,
    "margin_choices": 0.1,
    "margin_replies": 0.05,
    "margin_length": 0.1,
    "margin_markup": 0.5,
}
SETTINGS = Differences(**MARGINS, resamples=2000, seed=41)
WITHIN = 0.6  # the correlation of rows of one cluster
OWN = 0.5  # of what a run does not share with others, the part that its seeds share
BATCH = 100  # repetitions at a time
SPREAD = 2.0  # points of a judge, of the normal variable under a score


@dataclass(frozen=True)
class Design:
    """Models of a comparison, and a benchmark that all of them answer."""

    rows: int  # clusters, where they are larger than 1
    shares: tuple[float, ...]  # right, of each run; with `is_judged` the middle of its scores, in points
    agreement: float = 0.5  # how much of a row's difficulty is the same for all runs
    sizes: tuple[int, ...] = (1,)  # of clusters, in turn
    is_judged: bool = False
    seeds: int = 1
    seed_noise: float = 0.0  # standard deviations of a row

    @property
    def truths(self) -> Floats:
        """The true score of each run, over all rows and seeds that there could be."""
        spread = np.sqrt(1 + self.seed_noise**2)
        if self.is_judged:
            middles = np.array(self.shares)[:, None]
            steps = norm.cdf((np.arange(1, 10) + 0.5 - middles) / (SPREAD * spread))
            return np.asarray(10 - steps.sum(axis=1))
        return np.asarray(norm.cdf(norm.ppf(self.shares) / spread))

    @property
    def clusters(self) -> Ints:
        """The cluster of each row."""
        return np.repeat(np.arange(self.rows), np.resize(self.sizes, self.rows))

    def draw(self, random: np.random.Generator, num: int) -> Floats:
        """Draw the scores of `num` repetitions, [row, repetition, run, seed]."""
        runs, seeds, rows = len(self.shares), self.seeds, len(self.clusters)
        common = self._normal(random, (num, 1, 1))
        own = self._normal(random, (num, runs, 1))
        single = self._normal(random, (num, runs, seeds))
        rest = np.sqrt(OWN) * own + np.sqrt(1 - OWN) * single
        hardness = np.sqrt(self.agreement) * common + np.sqrt(1 - self.agreement) * rest
        hardness = hardness + self.seed_noise * random.standard_normal((1, num, runs, seeds))
        assert len(hardness) == rows, "one for each row"
        if self.is_judged:
            middles = np.array(self.shares)[:, None]
            judged: Floats = np.clip(np.floor(middles - SPREAD * hardness + 0.5), *SCORES)
            return judged
        return np.asarray(hardness < norm.ppf(self.shares)[:, None], np.float64)

    def _normal(self, random: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """Draw a standard normal variable of each row, alike in rows of one cluster."""
        clusters = self.clusters
        alone = random.standard_normal((len(clusters), *shape))
        if len(clusters) == self.rows:
            return alone
        together = random.standard_normal((self.rows, *shape))[clusters]
        normal: Floats = np.sqrt(WITHIN) * together + np.sqrt(1 - WITHIN) * alone
        return normal


@dataclass(frozen=True)
class Repeated:
    """The repetitions of a comparison: a column of contrasts each, and the p of each if it is of two runs."""

    values: Floats
    ends: Floats
    p: Floats
    kind: str  # of the test


def repeat(random: np.random.Generator, designs: list[Design], factors: tuple[float, ...], num: int) -> Repeated:
    """Contrast the runs of `designs` (several: their average) by `factors`, in `num` repetitions."""
    parts = [_repeat_batch(random, designs, factors) for _ in range(num // BATCH)]
    made = [contrasts for contrasts, _, _ in parts]
    return Repeated(
        np.concatenate([part.values for part in made]),
        np.concatenate([part.ends for part in made]),
        np.concatenate([p for _, p, _ in parts]),
        parts[0][2],
    )


def _repeat_batch(
    random: np.random.Generator, designs: list[Design], factors: tuple[float, ...]
) -> tuple[Contrasts, Floats, str]:
    benchmarks = [to_rows(design, design.draw(random, BATCH)) for design in designs]
    scales = [10.0 if design.is_judged else 1.0 for design in designs]
    rows = average_rows(list(zip(benchmarks, scales, strict=True))) if len(designs) > 1 else benchmarks[0]
    assert rows, "all have rows"
    runs, seeds = name_runs(designs[0], BATCH)
    made = contrast(rows, runs, np.kron(np.eye(BATCH), np.array(factors)[:, None]), seeds)
    if len(factors) != 2:
        return made, np.ones(BATCH), ""
    pairs: list[Pair] = list(zip(runs[::2], runs[1::2], strict=True))
    p, kinds = compute_p_values(rows, pairs, made, seeds, SETTINGS)
    return made, p, kinds[0]


def name_runs(design: Design, num: int) -> tuple[list[str], Seeds]:
    """Name the runs of `num` repetitions in turn, and the models of each."""
    runs = [f"{repetition}.{run}" for repetition in range(num) for run in range(len(design.shares))]
    return runs, {run: [f"{run}.{seed}" for seed in range(design.seeds)] for run in runs}


def to_rows(design: Design, scores: Floats) -> ScoreRows:
    """Convert the scores of [row, repetition, run, seed] to rows with a column for each model."""
    _, seeds = name_runs(design, scores.shape[1])
    models = tuple(model for run in seeds.values() for model in run)
    weights, strata = of_rows(np.ones(len(scores)))
    bounds = SCORES if design.is_judged else SHARE
    return ScoreRows(models, scores.reshape(len(scores), -1), weights, design.clusters, strata, bounds)
