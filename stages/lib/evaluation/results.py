"""What a harness returned, as numbers: one schema whatever the harness (paper, sec. 3.1)."""

import hashlib
from collections.abc import Iterable
from math import fsum, isclose, isfinite, sqrt
from numbers import Real
from pathlib import Path
from typing import Any, Literal, get_args

from stages.lib.console.errors import UserError
from stages.lib.core.text import strip_folders
from stages.lib.core.types import Json

Status = Literal["ok", "partial", "failed", "skipped"]
Unit = Literal["fraction", "percent", "score_1_10"]
SCALES: dict[Unit, int] = {
    "fraction": 1,
    "percent": 100,
    "score_1_10": 10,
}  # what is divided by it is a share (sec. 3.1)
SCORED: tuple[Status, ...] = ("ok", "partial")  # these have a main metric
PARTIAL_ABOVE, FAILED_ABOVE = 0.01, 0.05  # shares of verdicts that a judge did not give
Z95 = 1.96  # 95 % of a normal distribution lies within so many standard deviations


def entry(
    status: Status,
    reason: str | None,
    metrics: dict[str, Json],
    primary: str,
    *,
    harness: str,
    harness_version: str | None,
    task_version: str | float | None = None,
    num_fewshot: str | float | None = None,
    data_sha256: str | None = None,
) -> Json:
    """What results.json says of one task, whatever the harness.

    `metrics` are what `measure` gives, by name; `primary` names the main one; `reason` is one line that says why not
    `ok`. Raises ValueError for an entry that says nothing: scored without the main metric, or not `ok` and no reason.
    """
    if status not in get_args(Status) or (status == "ok") != (reason is None):
        raise ValueError(f"an entry that is {status!r} cannot have the reason {reason!r}")
    if status in SCORED and primary not in metrics:
        raise ValueError(f"{harness} gave no {primary!r}, only: {', '.join(metrics) or 'nothing'}")
    return {
        "status": status,
        "reason": reason,
        "metrics": metrics,
        "primary": primary,
        "task_version": task_version,
        "num_fewshot": num_fewshot,
        "data_sha256": data_sha256,
        "harness": harness,
        "harness_version": harness_version,
    }


def completeness(scored: int, rows: int) -> tuple[Status, str | None]:
    """The status of a task, and the reason, by how many of its rows have a score in the main metric."""
    if scored == rows and rows:
        return "ok", None
    return "partial" if scored else "failed", f"{rows - scored} of {rows} samples have no score"


def status_by_missing(missing: int, asked: int) -> Status:
    """The status of what a judge was asked for, by how many verdicts are missing."""
    share = missing / asked
    return "failed" if share > FAILED_ABOVE else "partial" if share > PARTIAL_ABOVE else "ok"


def measure(
    scores: list[list[float]], value: float | None = None, *, unit: Unit = "fraction", stderr: float | None = None
) -> Json:
    """A metric with its standard error and 95 % interval, by the normal approximation (sec. 3.1).

    `scores` holds a list per row: one value, or several that belong together (instructions of one prompt),
    which the standard error takes as a cluster. `value` is the harness's; when it is not the mean of the
    scores, they say nothing about its error, which then is `stderr`, the harness's, or not known. All are in `unit`.
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
    return {"value": value, "n": len(flat) or len(scores), "stderr": stderr, "ci95": ci95, "unit": unit}


def clustered_stderr(scores: list[list[float]], mean: float) -> float:
    """The standard error of the mean of all values, where each row is a cluster: CR1, on the summed residuals of rows.

    With one value per row it is the usual one, sd / sqrt(n).
    """
    residuals = [fsum(score - mean for score in row) for row in scores]
    variance = fsum(residual**2 for residual in residuals) * len(scores) / (len(scores) - 1)
    return sqrt(variance) / sum(map(len, scores))


def as_numbers(score: Any) -> list[float]:  # noqa: ANN401  (a metric's own)
    """A row's score as numbers; none when the metric needs more than numbers (as F1 does)."""
    values = score if isinstance(score, list) else [score]
    return [float(value) for value in values] if all(isinstance(value, Real) for value in values) else []


def labels(metrics: Iterable[str], filters: Iterable[str]) -> dict[str, tuple[str, str]]:
    """How metrics are called: by name, or by `name,filter` where a task reads its answers in several ways."""
    pairs = [(metric, way) for metric in metrics for way in filters]
    several = len({way for _, way in pairs}) > 1
    return {f"{metric},{way}" if several else metric: (metric, way) for metric, way in pairs}


def read_metrics(result: Json, task: str) -> dict[str, Json]:
    """Every metric of a task, or of a group of tasks over all their rows."""
    rows = [row for part in result["samples"].values() for row in part]
    names = labels(sorted({name for row in rows for name in row["metrics"]}), sorted({row["filter"] for row in rows}))
    found = {}
    for label, (metric, way) in names.items():
        scores = [as_numbers(row[metric]) for row in rows if row["filter"] == way and metric in row["metrics"]]
        value = result["results"].get(task, {}).get(f"{metric},{way}")
        if isinstance(value, Real) or any(scores):
            found[label] = measure(scores, float(value) if isinstance(value, Real) else None)
    return found


def read_samples(result: Json, parts: Json, primary: str) -> list[Json]:
    """Rows of SAMPLE; `parts` are lm-eval's tasks by name."""
    metric, _, way = primary.partition(",")
    return [
        {
            "task": name,
            "id": row["doc_id"],
            "prompt": str(row["arguments"][0][0]),
            "response": read_response(parts[name], row, metric),
            "score": fsum(scores) / len(scores) if (scores := as_numbers(row.get(metric))) else None,
        }
        for name, rows in result["samples"].items()
        for row in rows
        if row["filter"] == (way or row["filter"])
    ]


def read_response(task: Any, row: Json, metric: str) -> str:  # noqa: ANN401  (lm-eval's)
    """What the model wrote, or of several choices the one that it found likeliest, as the metric counts it."""
    if task.OUTPUT_TYPE != "multiple_choice":
        return str(row["resps"][0][0])
    choices = task.doc_to_choice(row["doc"])
    sizes = {"acc_norm": map(len, choices), "acc_bytes": (len(choice.encode()) for choice in choices)}
    pairs = zip(row["filtered_resps"], sizes.get(metric, (1 for _ in choices)), strict=False)
    likelihoods = [reply[0] / size for reply, size in pairs]
    return str(choices[likelihoods.index(max(likelihoods))])


def describe(result: Json, task: str, primary: str, harness: dict[str, str]) -> Json:
    """The entry of a task that lm-eval ran; `harness` holds its name and version."""
    rows = [row for part in result["samples"].values() for row in part]
    hashes = "\n".join(row["doc_hash"] + row["target_hash"] for row in rows)
    metrics = read_metrics(result, task)
    metric, _, way = primary.partition(",")
    scores = [as_numbers(row.get(metric)) for row in rows if row["filter"] == (way or row["filter"])]
    # A score that is no number at all (as F1's) is not missing: the harness makes the metric of them together.
    status, reason = completeness(sum(map(bool, scores)), len(scores)) if any(scores) else ("ok", None)
    return entry(
        status,
        reason,
        metrics,
        primary,
        task_version=said_of(result["versions"], task),
        num_fewshot=said_of(result["n-shot"], task),
        data_sha256=hashlib.sha256(hashes.encode()).hexdigest(),
        **harness,
    )


def said_of(values: dict[str, Any], task: str) -> str | float | None:
    """What is said of a task; of a group of which nothing is said itself, what is said of its tasks."""
    own = values.get(task, "N/A")
    found: list[str | float] = [own] if own != "N/A" else sorted({str(value) for value in values.values()} - {"N/A"})
    return found[0] if len(found) == 1 else ", ".join(map(str, found)) or None


def reason_of(error: BaseException) -> str:
    """Why something raised: the first cause, in one line, alike in every folder."""
    while error.__cause__:
        error = error.__cause__
    text = strip_folders(" ".join(str(error).split()).replace(f"{Path.cwd()}/", ""))
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"[:300]


def main_metric(entry: Json) -> Json:
    """A task's main metric; empty when it has none."""
    found: Json = entry["metrics"].get(entry["primary"], {}) if entry["status"] in SCORED else {}
    return found


def average(tasks: dict[str, Json], columns: Iterable[str]) -> Json:
    """The mean of the columns' main metrics as shares; null, with what is missing, when one is (sec. 3.1)."""
    found = {column: main_metric(tasks[column]) for column in columns}
    missing = [column for column, metric in found.items() if not metric]
    shares = [metric["value"] / SCALES[metric["unit"]] for metric in found.values() if metric]
    value = fsum(shares) / len(shares) if shares and not missing else None
    return {"columns": list(found), "value": value, "missing": missing}


def summarize(tasks: dict[str, Json], averages: dict[str, Json]) -> dict[str, float | None]:
    """The numbers that git keeps: each task's main metric, in its own unit, and each average."""
    values = {name: main_metric(entry).get("value") for name, entry in tasks.items()}
    values |= {name: average["value"] for name, average in averages.items()}
    return {name: None if value is None else round(value, 4) for name, value in values.items()}
