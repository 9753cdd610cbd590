"""The schema of results.json: one for every harness, with a 95 % interval for every metric (paper, sec. 3.1)."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from math import fsum, isclose, isfinite, sqrt
from pathlib import Path
from typing import Literal, get_args

from stages.lib.console.errors import UserError
from stages.lib.core.names import AVERAGE
from stages.lib.core.text import strip_folders
from stages.lib.core.types import Json
from stages.lib.settings.evaluate import Evaluate

Status = Literal["ok", "partial", "failed", "skipped"]
Unit = Literal["fraction", "percent", "score_1_10"]
# A score divided by the scale of its unit is a share (sec. 3.1).
SCALES: dict[Unit, int] = {"fraction": 1, "percent": 100, "score_1_10": 10}
SCORED: tuple[Status, ...] = ("ok", "partial")  # these have a main metric
PARTIAL_ABOVE, FAILED_ABOVE = 0.01, 0.05  # shares of verdicts that a judge did not give
Z95 = 1.96  # 95 % of a normal distribution lies within this many standard deviations


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """What results.json holds of one task, whatever the harness.

    Raises ValueError for a status without what it needs: one that is scored needs its main metric, one that is not `ok`
    needs a reason.
    """

    status: Status  # ok, partial, failed or skipped
    reason: str | None = None  # one line that says why the status is not `ok`
    metrics: dict[str, Json] = field(default_factory=dict)  # every metric by its name
    primary: str  # the name of the main metric
    harness: str  # lm_eval or evalchemy
    harness_version: str | None  # its version, or its commit
    task_version: str | float | None = None  # as the harness numbers it
    num_fewshot: str | float | None = None  # examples in the prompt
    data_sha256: str | None = None  # of the rows that were asked
    prompts: dict[str, int] = field(default_factory=dict)  # rendered with the chat template, and changed by it
    # of how many rows (`rows`, `of_rows`) and parts of a group (`parts`, `of_parts`) the scores are, and the rows that
    # were left out by name (`left_out`)
    coverage: Json = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.status not in get_args(Status) or (self.status == "ok") != (self.reason is None):
            raise ValueError(f"a result whose status is {self.status!r} cannot have the reason {self.reason!r}")
        if self.status in SCORED and self.primary not in self.metrics:
            known = ", ".join(self.metrics) or "nothing"
            raise ValueError(f"{self.harness} gave no {self.primary!r}, only: {known}")

    def to_json(self) -> Json:
        """Return the entry of results.json."""
        return asdict(self)


def status_by_missing(missing: int, requested: int) -> Status:
    """Return the status of a task by how many of the verdicts requested from a judge are missing."""
    share = missing / requested
    return "failed" if share > FAILED_ABOVE else "partial" if share > PARTIAL_ABOVE else "ok"


def measure(
    scores: list[list[float]], value: float | None = None, *, unit: Unit = "fraction", stderr: float | None = None
) -> Json:
    """Compute a metric with its standard error and 95 % interval, by the normal approximation (sec. 3.1).

    `scores` holds a list per row: one value, or several that belong together (instructions of one prompt),
    which the standard error takes as a cluster. `value` is the harness's. When it is not the mean of the scores, its
    standard error is `stderr`, the harness's, or not known. All are in `unit`.
    Raises ValueError when the value is not a finite number.
    """
    scored = [row for row in scores if row]
    flat = [score for row in scored for score in row]
    mean = fsum(flat) / len(flat) if flat else None
    value = mean if value is None else float(value)
    if value is None or not isfinite(value):
        raise ValueError(f"the score is not a finite number: {value}")
    if stderr is None and mean is not None and len(scored) > 1 and isclose(value, mean, abs_tol=1e-9):
        stderr = clustered_stderr(scored, mean)
    ci95 = None if stderr is None else [value - Z95 * stderr, value + Z95 * stderr]
    sizes = {
        "n": len(flat) or len(scores),  # integer: of how many scores it is
        "clusters": len(scored) or len(scores),  # integer: the rows that they are from
    }
    return {
        "value": value,  # number: the score, in its unit
        **sizes,
        "stderr": stderr,  # number or null: its standard error; null where it is not known
        "ci95": ci95,  # list or null: its 95 % interval, [low, high]
        "unit": unit,  # string: fraction, percent or score_1_10
    }


def clustered_stderr(scores: list[list[float]], mean: float) -> float:
    """Compute the standard error of the mean of all values, where each row is a cluster.

    It is CR1, on the summed residuals of the rows. With one value per row it is the usual one, sd / sqrt(n).
    """
    residuals = [fsum(score - mean for score in row) for row in scores]
    variance = fsum(residual**2 for residual in residuals) * len(scores) / (len(scores) - 1)
    return sqrt(variance) / sum(map(len, scores))


def reason_of(error: BaseException) -> str:
    """Return an exception's first cause in one line, without the folders of this machine."""
    while error.__cause__:
        error = error.__cause__
    text = strip_folders(" ".join(str(error).split()).replace(f"{Path.cwd()}/", ""))
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"[:300]


def main_metric(entry: Json) -> Json:
    """Return the main metric of a task's entry in results.json; empty when the task has no score."""
    metric: Json = entry["metrics"].get(entry["primary"], {}) if entry["status"] in SCORED else {}
    return metric


def average(tasks: dict[str, Json], columns: Iterable[str]) -> Json:
    """Compute the mean of the columns' main metrics as shares (sec. 3.1).

    The value is null, and `missing` names the columns without a score, when there are any.
    """
    metrics = {column: main_metric(tasks[column]) for column in columns}
    missing = [column for column, metric in metrics.items() if not metric]
    shares = [metric["value"] / SCALES[metric["unit"]] for metric in metrics.values() if metric]
    value = fsum(shares) / len(shares) if shares and not missing else None
    return {
        "columns": list(metrics),  # list: the tasks that it is over
        "value": value,  # number or null: from 0 to 1; null where a task has no score
        "missing": missing,  # list: the tasks without a score
    }


def average_columns(settings: Evaluate) -> dict[str, list[str]]:
    """Return the columns of each average; of `average`, unless the settings name its own, all tasks."""
    return {AVERAGE: [*settings.tasks, *settings.evalchemy], **settings.averages}


def describe_conditions(settings: Evaluate, tasks: dict[str, Json]) -> list[str]:
    """Say in a few words each under which the scores stand: limits, and tasks of which only a part was run.

    Scores under other conditions are not comparable. Empty when every task ran whole, with its own limits.
    """
    return [
        *([f"limit {settings.limit}: at most the first {settings.limit} rows of each part"] if settings.limit else []),
        *([f"max_tokens {settings.max_tokens}: longer replies are cut"] if settings.max_tokens else []),
        *(line for name, entry in tasks.items() for line in describe_coverage(name, entry["coverage"])),
    ]


def describe_coverage(name: str, coverage: Json) -> Iterator[str]:
    """Say of how many parts and rows a task's scores are, if not of all, and which rows were left out."""
    counts = [
        f"{coverage[kind]} of {coverage[f'of_{kind}']} {kind}"
        for kind in ("parts", "rows")
        if kind in coverage and coverage[kind] < coverage[f"of_{kind}"]
    ]
    left_out = [f"without {count} that need {what}" for what, count in coverage.get("left_out", {}).items()]
    if counts or left_out:
        yield f"{name}: {', '.join([*counts, *left_out])}"


def summarize(tasks: dict[str, Json], averages: dict[str, Json], conditions: list[str]) -> Json:
    """Return the numbers that git keeps: scores (main metrics in their units, and averages), n of each, conditions."""
    metrics = {name: main_metric(entry) for name, entry in tasks.items()}
    values = {name: metric.get("value") for name, metric in metrics.items()}
    values |= {name: average["value"] for name, average in averages.items()}
    return {
        "scores": {name: None if value is None else round(value, 4) for name, value in values.items()},
        "n": {name: metric.get("n") for name, metric in metrics.items()},
        "conditions": conditions,
    }
