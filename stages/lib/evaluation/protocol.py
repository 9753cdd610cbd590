"""The files and variables through which a stage and the evaluation processes that it starts exchange data.

Standard library only, so that the environment of Evalchemy can import it too.
"""

import json
from pathlib import Path
from typing import Any

# In the work folder of lm_eval_runner (the stage's side) and lm_eval_child (the process that runs lm-eval).
JOB = "job.json"  # written by the stage: the model, the section `evaluate`, lm-eval's arguments, the tasks to run
CURRENT = "current.json"  # the name of the task that the process is running, in case it dies
FACTS = "facts.json"  # facts of the loaded model; absent until it is loaded
REFUSAL = "refusal.txt"  # one line that says why no task was run
LOG = "log.txt"  # the output of the process

# Of a process of Evalchemy. Each event is one line of JSON: its kind under "event", and counts.
EVENTS_VARIABLE = "REWILD_EVENTS"  # names the file of events
JUDGE_MODEL_VARIABLE = "REWILD_JUDGE_MODEL"  # the judge's model as its server calls it
DATA_VARIABLE = "REWILD_EVALCHEMY_DATA"  # a folder of data that replaces the hub's; set for tasks that have one
REQUESTED = "requested"  # the judge was sent a request
ANSWERED = "answered"  # the judge answered or refused it; with counts of tokens
TRUNCATED = "truncated"  # the beginnings of prompts were cut off, with their number


def result_path(work: Path, task: str) -> Path:
    """Return the file that holds a task's entry of results.json."""
    return work / f"{task}.json"


def samples_path(work: Path, task: str) -> Path:
    """Return the file that holds a task's samples."""
    return work / f"{task}.parquet"


def write_event(path: Path, kind: str, **counts: int) -> None:
    """Append one event to a file of events."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"event": kind, **counts}) + "\n")


def read_events(path: Path) -> list[dict[str, Any]]:
    """Read the events so far; none when the file is absent, and without a last line that is still being written."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]
