"""A model's scores with their standard errors, and arithmetic on those of different rows (paper, sec. 3.1).

Scores of the same rows are compared by `evaluations`, in pairs. What is added up here counts as independent.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import fsum, sqrt

import numpy as np

from stages.lib.core.types import Json
from stages.lib.evaluation.results import SCALES, Z95, main_metric
from stages.lib.statistics.intervals import SHARE, Bounds, score_interval

TOLERANCE = 1e-9  # scores that differ by no more are equal: their last digits depend on the order of a sum


@dataclass(frozen=True)
class Score:
    """A value and its standard error, None if it is not known, in the unit of the benchmark."""

    value: float
    stderr: float | None = None
    ends: tuple[float, float] | None = None  # of its interval; without them it is that of the normal distribution
    clusters: float = 0  # rows or groups of rows that the standard error is from
    scale: float = 1.0  # of its unit: divided by it, a score is a share

    @property
    def ci95(self) -> list[float] | None:
        """The 95 % interval; None if the standard error is not known."""
        if self.ends is not None:
            return list(self.ends)
        return None if self.stderr is None else [self.value - Z95 * self.stderr, self.value + Z95 * self.stderr]

    @property
    def sign(self) -> int:
        """-1, 0 or 1."""
        return 0 if abs(self.value) <= TOLERANCE else 1 if self.value > 0 else -1

    @property
    def is_clear(self) -> bool:
        """Whether the interval is known and excludes 0."""
        return self.ci95 is not None and self.sign != 0 and not self.ci95[0] <= 0 <= self.ci95[1]


@dataclass(frozen=True)
class ModelScores:
    """The scores of one model's results.json: the main metrics of its benchmarks, and its averages."""

    benchmarks: dict[str, Score]
    missing: dict[str, str]  # benchmarks without a score, and the reason
    averages: dict[str, Score]

    @property
    def all(self) -> dict[str, Score]:
        """Averages and benchmarks by name."""
        return self.averages | self.benchmarks


def bounded_score(
    value: float,
    stderr: float | None,
    clusters: float,
    bounds: Bounds,
    df: float | None = None,
    scale: float = 1.0,
) -> Score:
    """Build a score with the interval that lies between `bounds`; see `score_interval`."""
    if stderr is None:
        return Score(value, scale=scale)
    degrees = None if df is None else np.array([df])
    low, high = score_interval(np.array([value]), np.array([stderr]), np.array([clusters]), bounds, degrees)[0]
    return Score(value, stderr, None if np.isnan(low) else (float(low), float(high)), clusters, scale)


def combine(terms: Iterable[tuple[float, Score]]) -> Score:
    """Add independent scores times their factors; the error is unknown when that of one of them is."""
    pairs = list(terms)
    errors = [factor * score.stderr for factor, score in pairs if score.stderr is not None]
    stderr = sqrt(fsum(error**2 for error in errors)) if len(errors) == len(pairs) else None
    return Score(fsum(factor * score.value for factor, score in pairs), stderr)


def scale(score: Score, factor: float) -> Score:
    """Multiply a score, its error and its interval."""
    ends = None if score.ends is None else (score.ends[0] * factor, score.ends[1] * factor)
    return Score(score.value * factor, None if score.stderr is None else score.stderr * factor, ends, score.clusters)


def average_shares(shares: list[Score]) -> Score:
    """Return the mean of shares of different rows."""
    mean = combine([(1 / len(shares), share) for share in shares])
    return bounded_score(mean.value, mean.stderr, fsum(share.clusters for share in shares), SHARE)


def read_scores(results: Json) -> ModelScores:
    """Read the scores of a model's results.json."""
    metrics = {task: main_metric(entry) for task, entry in results["tasks"].items()}
    benchmarks = {task: score for task, metric in metrics.items() if (score := to_score(metric))}
    averages = {name: average for name, average in results["averages"].items() if average["value"] is not None}
    return ModelScores(
        benchmarks=benchmarks,
        missing={task: results["tasks"][task]["reason"] for task in metrics if task not in benchmarks},
        averages={name: to_average(average, metrics) for name, average in averages.items()},
    )


def to_score(metric: Json) -> Score | None:
    """Convert a metric of results.json, in its own unit; None for an empty one, which was not measured."""
    if not metric:
        return None
    bounds = (min(0.0, metric["value"]), max(float(SCALES[metric["unit"]]), metric["value"]))
    clusters = float(metric.get("clusters") or metric["n"])  # the results of older code have none
    return bounded_score(metric["value"], metric["stderr"], clusters, bounds, scale=SCALES[metric["unit"]])


def to_share(metric: Json) -> Score | None:
    """Convert a metric of results.json to a share: section 3.1 divides MTBench by ten; AlpacaEval is a percentage."""
    score = to_score(metric)
    return scale(score, 1 / SCALES[metric["unit"]]) if score else None


def to_average(average: Json, metrics: dict[str, Json]) -> Score:
    """Convert an average of results.json; its error is that of its columns' main metrics, as shares."""
    shares = [share for column in average["columns"] if (share := to_share(metrics[column]))]
    mean = average_shares(shares) if shares else Score(average["value"])
    return Score(average["value"], mean.stderr, mean.ends, mean.clusters)


def to_cell(score: Score | None) -> Json:
    """Convert a score to what tables.json holds of it: its value and its interval, null where there is none."""
    return {"value": score.value if score else None, "ci95": score.ci95 if score else None}


def list_measures(scores: Iterable[ModelScores]) -> list[str]:
    """List the names of all averages, then of all benchmarks."""
    models = list(scores)
    return sorted({name for model in models for name in model.averages}) + list_benchmarks(models)


def list_benchmarks(scores: Iterable[ModelScores]) -> list[str]:
    """List the names of all benchmarks, failed ones too."""
    return sorted({name for model in scores for name in (*model.benchmarks, *model.missing)})
