"""What one run of Evalchemy left behind, as a TaskResult and samples.

Evalchemy's own numbers are means over the verdicts that it could read: a missing one is left out (MTBench) or drawn at
random (MixEval) silently. So the verdicts are read, counted against the questions, and measured here.
"""

import json
from math import fsum
from pathlib import Path

from stages.lib.core.types import Json
from stages.lib.evaluation.evalchemy.installation import COMMIT
from stages.lib.evaluation.evalchemy.task import Task, only_file
from stages.lib.evaluation.results import Status, TaskResult, measure, status_by_missing


def without_score(status: Status, reason: str, primary: str) -> TaskResult:
    """Make the result of a task that was not run to its end."""
    return TaskResult(status=status, reason=reason, primary=primary, harness="evalchemy", harness_version=COMMIT)


def status_of(failed: int, verdicts: int) -> tuple[Status, str | None]:
    """Return a task's status, and the reason, by how many verdicts the judge failed to give."""
    status = status_by_missing(failed, verdicts)
    if status == "ok":
        return status, None
    reason = f"the judge gave no score for {failed} of {verdicts} answers ({failed / verdicts:.1%})"
    return status, f"{reason}; the numbers are over the others" if status == "partial" else reason


def read_run(clone: Path, out: Path, task: Task, primary: str, num_cut: int = 0) -> tuple[TaskResult, list[Json]]:
    """Read the result and the samples of one run. Raises ValueError for files that are not whole.

    Among the metrics, `failed_verdicts` is the share of the verdicts that have no score, and `cut_prompts` that of the
    prompts, `num_cut` of them, whose beginning did not fit the window.
    """
    results = json.loads(only_file(out, "**/results_*.json").read_text(encoding="utf-8"))["results"]
    if task.name not in results:
        raise ValueError(f"Evalchemy's results have no {task.name}, only: {', '.join(results) or 'nothing'}")
    verdicts = task.read(clone, results[task.name])
    is_failed = [[float(sample["score"] is None)] for sample in verdicts.samples]
    is_cut = [[float(number < num_cut)] for number in range(len(is_failed))]  # each sample has a prompt of its own
    status, reason = status_of(int(fsum(row[0] for row in is_failed)), len(is_failed))
    result = TaskResult(
        status=status,
        reason=reason,
        metrics={**verdicts.metrics, "failed_verdicts": measure(is_failed), "cut_prompts": measure(is_cut)},
        primary=primary,
        harness="evalchemy",
        harness_version=COMMIT,
        task_version=verdicts.task_version,
        data_sha256=verdicts.data_sha256,
    )
    return result, verdicts.samples
