"""Running lm-eval in a process of its own: a task that crashes fails alone, and earlier results are kept.

The stage calls `evaluate`. It writes the job into a work folder and starts lm_eval_child there, which loads the model
once and leaves a result and samples for each task (see protocol.py).
"""

import os
import re
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from stages.lib.console.child_output import ChildOutput
from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.core.files import read_json, write_json
from stages.lib.core.process import call
from stages.lib.core.text import escape_unprintable, strip_folders
from stages.lib.core.types import Json
from stages.lib.evaluation.finished import FinishedTasks
from stages.lib.evaluation.lm_eval_results import failure
from stages.lib.evaluation.protocol import CURRENT, FACTS, JOB, LOG, REFUSAL, result_path
from stages.lib.models.catalogue import Model
from stages.lib.settings.evaluate import Evaluate

CHILD = "stages.lib.evaluation.lm_eval_child"
PROGRESS_BAR = re.compile(r"\d+%\|")  # in a line of tqdm
RunProcess = Callable[[list[str]], str]  # runs tasks in a process of their own and says how it ended


def evaluate(
    model: Model, settings: Evaluate, arguments: Json, variables: dict[str, str], finished: FinishedTasks
) -> tuple[dict[str, Json], Json]:
    """Run every task that is not finished; return the entries of results.json and facts of the model.

    Samples are left in the work folder.

    `arguments` are lm-eval's for the model, `variables` change the environment of the process. A task that raises is
    run once more, alone in a new process; one in which the process dies is not. Raises UserError when the model cannot
    be loaded or a task's main metric is unknown.
    """
    job = {"model": model.model_dump(), "settings": settings.model_dump(), "arguments": arguments}
    work = finished.work
    run = partial(run_process, job, os.environ | variables, finished)
    entries, facts = finished.restore()
    entries = {task: entries[task] for task in settings.tasks if task in entries}
    if waiting := [task for task in settings.tasks if task not in entries]:
        entries |= run_tasks(waiting, settings, work, run)
    for task in waiting:
        if entries[task]["status"] == "failed" and result_path(work, task).exists():
            log_line(f"{model.id}: {task} failed ({entries[task]['reason']}); it is tried once more, alone")
            entries |= run_tasks([task], settings, work, run)
    facts = read_json(work / FACTS) if (work / FACTS).exists() else facts
    return {task: entries[task] for task in settings.tasks}, facts


def run_tasks(tasks: list[str], settings: Evaluate, work: Path, run: RunProcess) -> dict[str, Json]:
    """Return the entries of tasks; when the process dies, its current task fails and a new one runs the others."""
    for path in (work / CURRENT, *(result_path(work, task) for task in tasks)):
        path.unlink(missing_ok=True)
    entries: dict[str, Json] = {}
    while waiting := [task for task in tasks if task not in entries]:
        ending = run(waiting)
        written = [task for task in waiting if result_path(work, task).exists()]
        entries |= {task: read_json(result_path(work, task)) for task in written}
        lost = [task for task in waiting if task not in entries]
        current = read_json(work / CURRENT) if (work / CURRENT).exists() else None
        for task in [current] if current in lost else lost:
            entries[task] = failure(f"the process that ran it {ending}", settings.tasks[task]).to_json()
        if current in lost:
            log_line(f"{current} failed: {entries[current]['reason']}; the tasks after it get a new process")
    return {task: entries[task] for task in tasks}


def run_process(job: Json, variables: dict[str, str], finished: FinishedTasks, tasks: list[str]) -> str:
    """Run tasks in a process of their own, show its output, keep what finishes, and return how it ended.

    Raises UserError with the reason when the first process refuses. When a later one refuses (the weights or a server
    are gone), the results so far are kept.
    """
    work = finished.work
    write_json(work / JOB, {**job, "tasks": tasks})
    (work / REFUSAL).unlink(missing_ok=True)
    log_path = work / LOG
    log_path.write_bytes(b"")
    with log_path.open("rb") as log, closing(ChildOutput(log, job["model"]["id"])) as output:

        def on_poll() -> None:
            output.update()
            finished.keep()

        code = call([sys.executable, "-m", CHILD, str(work)], variables, log_path, on_poll)
    if (work / REFUSAL).exists():
        refusal = (work / REFUSAL).read_text(encoding="utf-8")
        if not (work / FACTS).exists():  # no model has been loaded yet
            raise UserError(refusal)
        return f"did not begin: {refusal}"
    ending = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return f"{ending}; its last line: {last_line(log_path.read_text(encoding='utf-8', errors='replace'))}"


def last_line(output: str) -> str:
    """Return the last line that is not a progress bar, made safe to show."""
    lines = [line.strip() for line in output.splitlines() if line.strip() and not PROGRESS_BAR.search(line)]
    return escape_unprintable(strip_folders(lines[-1]), 200) if lines else "none"
