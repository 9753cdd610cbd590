"""What a harness returned, as numbers: one schema whatever the harness (paper, sec. 3.1)."""

import hashlib
from collections.abc import Iterable
from math import fsum, isclose, isfinite, sqrt
from numbers import Real
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Z95 = 1.96  # 95 % of a normal distribution lies within so many standard deviations


def measure(scores: list[list[float]], value: float | None = None) -> Json:
    """A metric with its standard error and 95 % interval, by the normal approximation (sec. 3.1).

    `scores` holds a list per row: one value, or several that belong together (instructions of one prompt),
    which the standard error takes as a cluster. `value` is the harness's; when it is not the mean of the
    scores, they say nothing about its error.
    """
    flat = [score for row in scores for score in row]
    mean = fsum(flat) / len(flat) if flat else None
    value = mean if value is None else float(value)
    if value is None or not isfinite(value):
        raise ValueError(f"the score is not a finite number: {value}")
    if mean is None or len(scores) < 2 or not isclose(value, mean, abs_tol=1e-9):
        return {"value": value, "n": len(flat) or len(scores), "stderr": None, "ci95": None}
    residuals = [fsum(score - mean for score in row) for row in scores]
    variance = fsum(residual**2 for residual in residuals) * len(scores) / (len(scores) - 1)
    stderr = sqrt(variance) / len(flat)
    return {"value": value, "n": len(flat), "stderr": stderr, "ci95": [value - Z95 * stderr, value + Z95 * stderr]}


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


def describe(result: Json, task: str, primary: str) -> Json:
    """What results.json says of a task that ran."""
    rows = [row for part in result["samples"].values() for row in part]
    hashes = "\n".join(row["doc_hash"] + row["target_hash"] for row in rows)
    metrics = read_metrics(result, task)
    if primary not in metrics:
        raise ValueError(f"lm-eval gave no {primary!r}, only: {', '.join(metrics)}")
    return {
        "status": "ok",
        "reason": None,
        "metrics": metrics,
        "primary": primary,
        "task_version": result["versions"].get(task),
        "data_sha256": hashlib.sha256(hashes.encode()).hexdigest(),
    }


def describe_failure(error: BaseException, primary: str) -> Json:
    """What results.json says of a task that raised: the first cause, in one line, alike in every folder."""
    while error.__cause__:
        error = error.__cause__
    text = " ".join(str(error).split()).replace(f"{Path.cwd()}/", "")
    reason = f"{type(error).__name__}: {text}"[:300]
    empty: Json = {"metrics": {}, "primary": primary, "task_version": None, "data_sha256": None}
    return {"status": "failed", "reason": reason, **empty}


def main_metric(entry: Json) -> float | None:
    """The value of a task's main metric; None when it is missing."""
    value: float | None = entry["metrics"].get(entry["primary"], {}).get("value")
    return value


def average(tasks: dict[str, Json]) -> Json:
    """The mean of the tasks' main metrics; null when one is missing."""
    values = [main_metric(entry) for entry in tasks.values()]
    known = [value for value in values if value is not None]
    return {"columns": list(tasks), "value": fsum(known) / len(known) if len(known) == len(values) else None}


def summarize(results: Json) -> Json:
    """The numbers that git keeps."""
    values = {task: main_metric(entry) for task, entry in results["tasks"].items()}
    values["average"] = results["average"]["value"]
    return {name: None if value is None else round(value, 4) for name, value in values.items()}
