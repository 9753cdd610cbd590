"""lm-eval in a process of its own: a task that crashes fails alone, and what was found before it is kept.

The stage calls `evaluate`. It writes job.json into a folder and starts `python -m <this module> <folder>`,
which loads the model once and leaves there, each written whole:

<task>.json      the task's entry of results.json
<task>.parquet   its samples
current.json     the task that it is at, if it dies
facts.json       what is to know of the model as it was loaded
refusal.txt      why nothing was begun, in one line
"""

import hashlib
import json
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.core.files import read_json, write_json, write_text
from stages.lib.core.process import call, end_with_the_stage
from stages.lib.core.sections import parse
from stages.lib.core.text import escape_unprintable, strip_folders
from stages.lib.core.types import Json
from stages.lib.evaluation.results import describe, entry, labels, read_samples, reason_of
from stages.lib.evaluation.tasks import check_scorer, find_tasks, load_task
from stages.lib.models.catalogue import Model
from stages.lib.settings.sections import Evaluate

JOB, CURRENT, FACTS, REFUSAL, WORDS = "job.json", "current.json", "facts.json", "refusal.txt", "words.txt"
BAR = re.compile(r"\d+%\|")  # a line of tqdm's
SAMPLE = pa.schema([
    ("task", pa.string()),  # the task, or the task of a group
    ("id", pa.int64()),  # number of the row in the task
    ("turn", pa.int8()),  # from 1; null for tasks of one turn
    ("prompt", pa.string()),  # what the model was given
    ("response", pa.string()),  # the reply; for multiple choice the choice that the main metric counts
    ("score", pa.float64()),  # by the main metric
    ("judge_text", pa.string()),  # the judge reply; null without a judge
])
Run = Callable[[list[str]], str]  # runs tasks in a process of their own, and says how it ended


def evaluate(
    model: Model, settings: Evaluate, arguments: Json, variables: dict[str, str], work: Path
) -> tuple[dict[str, Json], Json]:
    """Every task's entry of results.json, and facts of the model; samples are left in the folder `work`.

    A task that raises is tried once more, alone in a new process; one in which the process dies is not.
    """
    job = {"model": model.model_dump(), "settings": settings.model_dump(), "arguments": arguments}
    run = partial(run_process, job, os.environ | variables, work)
    tasks = list(settings.tasks)
    entries = run_tasks(tasks, settings, work, run)
    for task in tasks:
        if entries[task]["status"] == "failed" and (work / f"{task}.json").exists():
            log_line(f"{model.id}: {task} failed ({entries[task]['reason']}); it is tried once more, alone")
            entries |= run_tasks([task], settings, work, run)
    facts = read_json(work / FACTS) if (work / FACTS).exists() else {}
    return entries, facts


def run_tasks(tasks: list[str], settings: Evaluate, work: Path, run: Run) -> dict[str, Json]:
    """The entries of tasks. When the process dies, the task that it was at has failed, and the others get a new one."""
    for name in (CURRENT, *(f"{task}.json" for task in tasks)):
        (work / name).unlink(missing_ok=True)
    entries: dict[str, Json] = {}
    while waiting := [task for task in tasks if task not in entries]:
        ended = run(waiting)
        entries |= {task: read_json(work / f"{task}.json") for task in waiting if (work / f"{task}.json").exists()}
        lost = [task for task in waiting if task not in entries]
        at = read_json(work / CURRENT) if (work / CURRENT).exists() else None
        for task in [at] if at in lost else lost:
            entries[task] = failure(f"the process that ran it {ended}", settings.tasks[task])
        if at in lost:
            log_line(f"{at} failed: {entries[at]['reason']}; the tasks after it get a new process")
    return {task: entries[task] for task in tasks}


def run_process(job: Json, variables: dict[str, str], work: Path, tasks: list[str]) -> str:
    """Run tasks in a process of their own and say how it ended; what it says is on the screen as it says it.

    Raises UserError for what the first one refused. When a later one refuses (the weights or a server are gone), what
    was found before is kept.
    """
    write_json(work / JOB, {**job, "tasks": tasks})
    (work / REFUSAL).unlink(missing_ok=True)
    words = work / WORDS
    words.write_bytes(b"")
    with words.open("rb") as log:
        code = call(
            [sys.executable, "-m", "stages.lib.evaluation.lm_eval_runner", str(work)],
            variables,
            words,
            partial(relay, log),
        )
    if (work / REFUSAL).exists():
        refused = (work / REFUSAL).read_text(encoding="utf-8")
        if not (work / FACTS).exists():  # no model has been loaded yet
            raise UserError(refused)
        return f"did not begin: {refused}"
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return f"{how}; its last line: {last_line(words.read_text(encoding='utf-8', errors='replace'))}"


def relay(log: BinaryIO) -> None:
    """Say what was said since the last time."""
    sys.stderr.flush()
    sys.stderr.buffer.write(log.read())
    sys.stderr.buffer.flush()


def last_line(text: str) -> str:
    """The last line that is no progress bar."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not BAR.search(line)]
    return escape_unprintable(strip_folders(lines[-1]), 200) if lines else "none"


def failure(reason: str, primary: str) -> Json:
    """The entry of a task that failed."""
    return entry("failed", reason, {}, primary, **harness())


def harness() -> dict[str, str]:
    """The harness's name and version."""
    return {"harness": "lm_eval", "harness_version": version("lm_eval")}


def write_samples(path: Path, rows: list[Json]) -> None:
    """Write a task's samples, whole."""
    draft = path.with_name(path.name + ".tmp")
    pq.write_table(pa.Table.from_pylist(rows, schema=SAMPLE), draft, compression="zstd")
    draft.rename(path)


# In the other process.


def open_tasks(settings: Evaluate, tasks: list[str], work: Path) -> tuple[Any, dict[str, Json]]:
    """lm-eval's manager, and the tasks with their rows; those that cannot be opened leave the entry of a failure."""
    manager = find_tasks(settings, work)
    opened = {}
    for task in tasks:
        write_json(work / CURRENT, task)
        try:
            loaded = load_task(manager, task, settings.seed)
            for part in loaded["tasks"].values():
                check_scorer(part)
        except Exception as error:
            write_json(work / f"{task}.json", failure(reason_of(error), settings.tasks[task]))
        else:
            check_metric(loaded, task, settings.tasks[task])
            opened[task] = loaded
    (work / CURRENT).unlink(missing_ok=True)
    return manager, opened


def check_metric(loaded: Json, task: str, metric: str) -> None:
    """Raise UserError, naming those that there are, unless every part of a task has its main metric."""
    for part in loaded["tasks"].values():
        ways = [way["name"] for way in part.config.filter_list or [{"name": "none"}]]
        known = labels(part.aggregation(), ways)
        if metric not in known:
            raise UserError(f"evaluate.tasks.{task}: no metric {metric!r}; it has: {', '.join(known)}")


def open_model(model: Model, settings: Evaluate, arguments: Json) -> Any:  # noqa: ANN401  (lm-eval's)
    """The model as lm-eval runs it, with the chat template of the catalogue where that has one."""
    from lm_eval.api.registry import get_model
    from transformers import AutoTokenizer

    try:
        source = {key: arguments[key] for key in ("revision", "trust_remote_code")}
        tokenizer = AutoTokenizer.from_pretrained(arguments["pretrained"], **source)
        if settings.apply_chat_template and not (model.chat_template or tokenizer.chat_template):
            raise UserError(
                f"{model.id} has no chat template: set `evaluate.apply_chat_template: false` or give it one"
            )
        lm = get_model("hf" if settings.device == "cpu" else "vllm")(**arguments)
    except OSError as error:
        raise UserError(f"{model.location} cannot be loaded: {reason_of(error)}") from None
    if model.chat_template:
        lm.tokenizer.chat_template = model.chat_template
        lm.hf_chat_template = model.chat_template  # where the backend of vLLM keeps it
    return lm


def facts_of(lm: Any, settings: Evaluate) -> Json:  # noqa: ANN401  (lm-eval's)
    """What results.json says of the model as it was loaded: the sha256 of the chat template, if one was applied."""
    found = getattr(lm, "hf_chat_template", None) or lm.tokenizer.chat_template
    template = found if settings.apply_chat_template else None
    text = template if isinstance(template, str) else json.dumps(template, sort_keys=True)
    return {"chat_template_sha256": hashlib.sha256(text.encode()).hexdigest() if template else None}


def run_task(lm: Any, loaded: Json, task: str, settings: Evaluate, **options: Any) -> Json:  # noqa: ANN401
    """Let lm-eval run one task, each seeded alike, so that no result depends on the tasks before it."""
    from lm_eval import simple_evaluate

    seeds = dict.fromkeys(
        ("random_seed", "numpy_random_seed", "torch_random_seed", "fewshot_random_seed"), settings.seed
    )
    result: Json = simple_evaluate(
        lm,
        tasks=[loaded["groups"][task]] if task in loaded["groups"] else list(loaded["tasks"].values()),
        limit=settings.limit or None,
        bootstrap_iters=0,
        log_samples=True,
        apply_chat_template=settings.apply_chat_template,
        fewshot_as_multiturn=settings.fewshot_as_multiturn,
        gen_kwargs={"max_gen_toks": settings.max_tokens} if settings.max_tokens else None,
        **seeds,
        **options,
    )
    return result


def work_off(model: Model, settings: Evaluate, arguments: Json, tasks: list[str], work: Path) -> None:
    """Leave each task's entry and samples in the folder."""
    manager, opened = open_tasks(settings, tasks, work)
    if not opened:
        return
    lm = open_model(model, settings, arguments)
    write_json(work / FACTS, facts_of(lm, settings))
    logging.getLogger("lm_eval.evaluator").setLevel(logging.ERROR)  # it warns of every explicit setting
    options = {"task_manager": manager, "system_instruction": model.system_prompt or None}
    for number, (task, loaded) in enumerate(opened.items(), start=1):
        log_line(f"{model.id}: {task} ({number} of {len(opened)})")
        write_json(work / CURRENT, task)
        try:
            result = run_task(lm, loaded, task, settings, **options)
            found = describe(result, task, settings.tasks[task], harness())
            write_samples(work / f"{task}.parquet", read_samples(result, loaded["tasks"], settings.tasks[task]))
        except Exception as error:
            found = failure(reason_of(error), settings.tasks[task])
        write_json(work / f"{task}.json", found)


def main(work: Path) -> None:
    """Do the job of a folder."""
    threading.Thread(target=end_with_the_stage, daemon=True).start()
    job = read_json(work / JOB)
    model, settings = parse(Model, job["model"], "model"), parse(Evaluate, job["settings"], "evaluate")
    try:
        work_off(model, settings, job["arguments"], job["tasks"], work)
    except UserError as error:
        write_text(work / REFUSAL, str(error))
        sys.exit(2)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
