"""What lm-eval's `simple_evaluate` returned for one task, as a TaskResult and as samples."""

import hashlib
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from math import fsum
from numbers import Real
from typing import Any

from stages.lib.core.types import Json
from stages.lib.evaluation.results import Status, TaskResult, measure
from stages.lib.records.chats import Message

HARNESS = "lm_eval"
NOT_FOUND = ("", "[invalid]")  # what lm-eval's filters return of a reply without an answer


def failure(reason: str, primary: str) -> TaskResult:
    """Make the result of a task that failed."""
    return TaskResult(
        status="failed", reason=reason, primary=primary, harness=HARNESS, harness_version=version(HARNESS)
    )


def metric_labels(metrics: Iterable[str], filters: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Name each pair of a metric and a filter: by the metric, or `metric,filter` where a task has several filters."""
    pairs = [(metric, filter_name) for metric in metrics for filter_name in filters]
    has_several = len({filter_name for _, filter_name in pairs}) > 1
    return {f"{metric},{name}" if has_several else metric: (metric, name) for metric, name in pairs}


def as_numbers(score: Any) -> list[float]:
    """Return a row's score as numbers; none when the metric needs more than numbers (as F1 does)."""
    values = score if isinstance(score, list) else [score]
    return [float(value) for value in values] if all(isinstance(value, Real) for value in values) else []


def read_metrics(output: Json, task: str) -> dict[str, Json]:
    """Read every metric of a task, or of a group of tasks over all their rows."""
    rows = [row for part in output["samples"].values() for row in part]
    labels = metric_labels(
        sorted({name for row in rows for name in row["metrics"]}), sorted({row["filter"] for row in rows})
    )
    metrics = {}
    for label, (metric, filter_name) in labels.items():
        scores = [as_numbers(row[metric]) for row in rows if row["filter"] == filter_name and metric in row["metrics"]]
        value = output["results"].get(task, {}).get(f"{metric},{filter_name}")
        if isinstance(value, Real) or any(scores):
            metrics[label] = measure(scores, float(value) if isinstance(value, Real) else None)
    return metrics


def read_result(output: Json, task: str, primary: str, coverage: Json) -> TaskResult:
    """Read the result of a task, or of a group of tasks over all their rows; `primary` names its main metric."""
    rows = [row for part in output["samples"].values() for row in part]
    hashes = "\n".join(row["doc_hash"] + row["target_hash"] for row in rows)
    metric, _, filter_name = primary.partition(",")
    scores = [as_numbers(row.get(metric)) for row in rows if row["filter"] == (filter_name or row["filter"])]
    # A score that is not a number (as F1's) is not missing: the harness computes the metric over all rows.
    status, reason = completeness(sum(map(bool, scores)), len(scores)) if any(scores) else ("ok", None)
    return TaskResult(
        status=status,
        reason=reason,
        metrics=read_metrics(output, task),
        primary=primary,
        task_version=value_of_task(output["versions"], task),
        num_fewshot=value_of_task(output["n-shot"], task),
        data_sha256=hashlib.sha256(hashes.encode()).hexdigest(),
        coverage=coverage,
        harness=HARNESS,
        harness_version=version(HARNESS),
    )


def completeness(scored: int, rows: int) -> tuple[Status, str | None]:
    """Return a task's status, and the reason, by how many of its rows have a score in the main metric."""
    if scored == rows and rows:
        return "ok", None
    return "partial" if scored else "failed", f"{rows - scored} of {rows} samples have no score"


def value_of_task(values: dict[str, Any], task: str) -> str | float | None:
    """Return the value that lm-eval gives for a task; for a group without its own, the different ones of its tasks."""
    own = values.get(task, "N/A")
    given: list[str | float] = [own] if own != "N/A" else sorted({str(value) for value in values.values()} - {"N/A"})
    return given[0] if len(given) == 1 else ", ".join(map(str, given)) or None


def read_samples(output: Json, parts: Json, primary: str, chats: Mapping[str, list[Message]]) -> list[Json]:
    """Read rows of SAMPLE; `parts` are lm-eval's tasks by name, `chats` those that were asked, by their prompts."""
    metric, _, filter_name = primary.partition(",")
    return [
        {
            "task": name,
            "id": row["doc_id"],
            "prompt": str(row["arguments"][0][0]),
            "response": read_response(parts[name], row, metric),
            "score": fsum(scores) / len(scores) if (scores := as_numbers(row.get(metric))) else None,
            "num_scores": len(scores),
            "messages": chats.get(str(row["arguments"][0][0])),
            "target": read_target(parts[name], row),
            "answer": read_answer(parts[name], row),
        }
        for name, rows in output["samples"].items()
        for row in rows
        if row["filter"] == (filter_name or row["filter"])
    ]


def read_response(task: Any, row: Json, metric: str) -> str:
    """Return the model's text, or of several choices the one that it finds most likely, as the metric counts it."""
    if task.OUTPUT_TYPE != "multiple_choice":
        return str(row["resps"][0][0])
    choices = task.doc_to_choice(row["doc"])
    sizes = {"acc_norm": map(len, choices), "acc_bytes": (len(choice.encode()) for choice in choices)}
    pairs = zip(row["filtered_resps"], sizes.get(metric, (1 for _ in choices)), strict=False)
    likelihoods = [reply[0] / size for reply, size in pairs]
    return str(choices[likelihoods.index(max(likelihoods))])


def read_target(task: Any, row: Json) -> str | None:
    """Return the right answer to a row, of several each on a line; None where the task names none, as IFEval's."""
    if isinstance(task.config.doc_to_target, int):
        return None
    targets = row["target"] if isinstance(row["target"], list) else [row["target"]]
    if task.OUTPUT_TYPE == "multiple_choice":
        choices = task.doc_to_choice(row["doc"])
        targets = [choices[target] if target in range(len(choices)) else target for target in targets]
    return "\n".join(str(target) for target in targets if target is not None) or None


def read_answer(task: Any, row: Json) -> str | None:
    """Return what a filter found in a reply, empty where it found nothing; None where the reply itself was scored."""
    found = row["filtered_resps"][0]
    if task.OUTPUT_TYPE == "multiple_choice" or not isinstance(found, str) or found == row["resps"][0][0]:
        return None
    return "" if found in NOT_FOUND else found
