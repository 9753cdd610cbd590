"""A model's scores with their standard errors, and arithmetic on them (paper, sec. 3.1).

Intervals are 95 % by the normal approximation. Two scores are taken as independent, although models answer the same
questions: where they err alike, the interval of their difference is wider than it need be.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import fsum, sqrt

from stages.lib.core.types import Json
from stages.lib.evaluation.results import SCALES, Z95, main_metric

TOLERANCE = 1e-9  # scores that differ by no more are equal: their last digits depend on the order of a sum


@dataclass(frozen=True)
class Score:
    """A value and its standard error, None if it is not known, in the unit of the benchmark."""

    value: float
    stderr: float | None = None

    @property
    def ci95(self) -> list[float] | None:
        """The 95 % interval; None if the standard error is not known."""
        return None if self.stderr is None else [self.value - Z95 * self.stderr, self.value + Z95 * self.stderr]

    @property
    def sign(self) -> int:
        """-1, 0 or 1."""
        return 0 if abs(self.value) <= TOLERANCE else 1 if self.value > 0 else -1

    @property
    def is_clear(self) -> bool:
        """Whether the interval is known and excludes 0."""
        return self.stderr is not None and self.sign != 0 and abs(self.value) > Z95 * self.stderr


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


def combine(terms: Iterable[tuple[float, Score]]) -> Score:
    """Add independent scores times their factors; the error is unknown when that of one of them is."""
    pairs = list(terms)
    errors = [factor * score.stderr for factor, score in pairs if score.stderr is not None]
    stderr = sqrt(fsum(error**2 for error in errors)) if len(errors) == len(pairs) else None
    return Score(fsum(factor * score.value for factor, score in pairs), stderr)


def subtract(one: Score, other: Score) -> Score:
    """Return `one` less `other`."""
    return combine([(1, one), (-1, other)])


def average_scores(scores: list[Score]) -> Score:
    """Return the mean of scores."""
    return combine([(1 / len(scores), score) for score in scores])


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
    return Score(metric["value"], metric["stderr"]) if metric else None


def to_share(metric: Json) -> Score | None:
    """Convert a metric of results.json to a share: section 3.1 divides MTBench by ten; AlpacaEval is a percentage."""
    return combine([(1 / SCALES[metric["unit"]], Score(metric["value"], metric["stderr"]))]) if metric else None


def to_average(average: Json, metrics: dict[str, Json]) -> Score:
    """Convert an average of results.json; its error is that of its columns' main metrics, as shares."""
    shares = [share for column in average["columns"] if (share := to_share(metrics[column]))]
    return Score(average["value"], average_scores(shares).stderr if shares else None)


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
