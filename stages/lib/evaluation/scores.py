"""A model's scores with their errors, and what is reckoned with them (paper, sec. 3.1).

Intervals are 95 % by the normal approximation. Two scores are taken as independent, although models answer the same
questions: where they err alike, the interval of their difference is wider than it need be.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import fsum, sqrt

from stages.lib.core.types import Json
from stages.lib.evaluation.results import SCALES, Z95, main_metric

TIE = 1e-9  # scores that differ by no more are equal: their last digits are the order of a sum


@dataclass(frozen=True)
class Score:
    """A value and its standard error, None where it is not known, in the unit of the benchmark."""

    value: float
    stderr: float | None = None

    @property
    def ci95(self) -> list[float] | None:
        """The 95 % interval."""
        return None if self.stderr is None else [self.value - Z95 * self.stderr, self.value + Z95 * self.stderr]

    @property
    def sign(self) -> int:
        """-1, 0 or 1."""
        return 0 if abs(self.value) <= TIE else 1 if self.value > 0 else -1

    @property
    def is_clear(self) -> bool:
        """Whether the interval is known and excludes 0."""
        return self.stderr is not None and self.sign != 0 and abs(self.value) > Z95 * self.stderr


@dataclass(frozen=True)
class Scores:
    """What one model's results.json holds: the main metrics of its benchmarks, those missing, and its averages."""

    benchmarks: dict[str, Score]
    missing: dict[str, str]  # benchmark: reason
    averages: dict[str, Score]

    @property
    def all(self) -> dict[str, Score]:
        """Averages and benchmarks."""
        return self.averages | self.benchmarks


def combine(terms: Iterable[tuple[float, Score]]) -> Score:
    """The sum of independent scores times their factors; its error is not known when that of one is not."""
    pairs = list(terms)
    errors = [factor * score.stderr for factor, score in pairs if score.stderr is not None]
    stderr = sqrt(fsum(error**2 for error in errors)) if len(errors) == len(pairs) else None
    return Score(fsum(factor * score.value for factor, score in pairs), stderr)


def difference(one: Score, other: Score) -> Score:
    """One less the other."""
    return combine([(1, one), (-1, other)])


def mean(scores: list[Score]) -> Score:
    """The mean of scores."""
    return combine([(1 / len(scores), score) for score in scores])


def read_scores(results: Json) -> Scores:
    """The scores of a model's results.json."""
    metrics = {task: main_metric(entry) for task, entry in results["tasks"].items()}
    benchmarks = {task: score for task, metric in metrics.items() if (score := read_score(metric))}
    averages = {name: average for name, average in results["averages"].items() if average["value"] is not None}
    return Scores(
        benchmarks=benchmarks,
        missing={task: results["tasks"][task]["reason"] for task in metrics if task not in benchmarks},
        averages={name: read_average(average, metrics) for name, average in averages.items()},
    )


def read_score(metric: Json) -> Score | None:
    """A metric of results.json in its own unit; None when it was not measured."""
    return Score(metric["value"], metric["stderr"]) if metric else None


def as_share(metric: Json) -> Score | None:
    """A metric as a share: section 3.1 divides MTBench by ten; AlpacaEval is a percentage."""
    return combine([(1 / SCALES[metric["unit"]], Score(metric["value"], metric["stderr"]))]) if metric else None


def read_average(average: Json, metrics: dict[str, Json]) -> Score:
    """A named average; its error is that of its columns' main metrics, as shares."""
    shares = [score for column in average["columns"] if (score := as_share(metrics[column]))]
    return Score(average["value"], mean(shares).stderr if shares else None)


def shown(score: Score | None) -> Json:
    """A score as the tables have it."""
    return {"value": score.value if score else None, "ci95": score.ci95 if score else None}
