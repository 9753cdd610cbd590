"""The process that runs lm-eval: `python -m <this module> <work folder>` runs the job of the folder (see protocol.py).

It loads the model once. Each task's result and samples are written whole as soon as the task ends, so that what a crash
costs is the current task.
"""

import hashlib
import logging
import sys
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.core.files import read_json, write_json, write_text
from stages.lib.core.process import exit_with_parent
from stages.lib.core.sections import parse
from stages.lib.core.types import Json
from stages.lib.evaluation.lm_eval_prompts import ChatPrompts
from stages.lib.evaluation.lm_eval_results import failure, metric_labels, read_result, read_samples
from stages.lib.evaluation.lm_eval_tasks import check_scorer, find_tasks, leave_out_rows, load_task
from stages.lib.evaluation.protocol import CURRENT, FACTS, JOB, REFUSAL, result_path, samples_path
from stages.lib.evaluation.reply_texts import read_as_generation
from stages.lib.evaluation.results import reason_of
from stages.lib.evaluation.samples import write_samples
from stages.lib.models.catalogue import Model
from stages.lib.models.chat_template import Template, load_tokenizer
from stages.lib.settings.evaluate import Evaluate

SEEDS = ("random_seed", "numpy_random_seed", "torch_random_seed", "fewshot_random_seed")


def open_tasks(settings: Evaluate, tasks: list[str], work: Path) -> tuple[Any, dict[str, Json]]:
    """Return lm-eval's manager and the tasks with their rows and coverage; write a failure for each without rows."""
    manager, num_parts = find_tasks(settings, work)
    opened = {}
    for task in tasks:
        write_json(work / CURRENT, task)
        try:
            loaded = load_task(manager, task, settings.seed)
            loaded["coverage"] = prepare_rows(loaded, num_parts.get(task, 0), settings)
        except Exception as error:
            write_json(result_path(work, task), failure(reason_of(error), settings.tasks[task]).to_json())
        else:
            check_metric(loaded, task, settings.tasks[task])
            opened[task] = loaded
    (work / CURRENT).unlink(missing_ok=True)
    return manager, opened


def prepare_rows(loaded: Json, of_parts: int, settings: Evaluate) -> Json:
    """Leave out the rows that the settings name, check that the others can be scored, and return the coverage."""
    parts, left_out = loaded["tasks"].values(), Counter[str]()
    for part in parts:
        left_out.update(leave_out_rows(part, settings.leave_out))
        check_scorer(part, settings.limit)
    sizes = [len(part.eval_docs) for part in parts]
    return {
        "rows": sum(min(size, settings.limit or size) for size in sizes),
        "of_rows": sum(sizes) + left_out.total(),
        **({"parts": len(sizes), "of_parts": max(of_parts, len(sizes))} if len(sizes) > 1 or of_parts > 1 else {}),
        **({"left_out": dict(left_out)} if left_out else {}),
    }


def check_metric(loaded: Json, task: str, metric: str) -> None:
    """Raise UserError, naming the known ones, unless every part of a task has the metric."""
    for part in loaded["tasks"].values():
        filters = [each["name"] for each in part.config.filter_list or [{"name": "none"}]]
        known = metric_labels(part.aggregation(), filters)
        if metric not in known:
            raise UserError(f"evaluate.tasks.{task}: no metric {metric!r}; it has: {', '.join(known)}")


def open_template(model: Model) -> Template:
    """Load a model's chat template; raise UserError when there is none, or it cannot be loaded or hold a chat."""
    try:
        template = Template(load_tokenizer(model), model)
    except OSError as error:
        raise UserError(f"{model.location} cannot be loaded: {reason_of(error)}") from None
    if not template.text:
        raise UserError(f"{model.id} has no chat template: set `evaluate.apply_chat_template: false` or give it one")
    template.check()
    return template


def open_model(model: Model, settings: Evaluate, arguments: Json) -> Any:
    """Load a model as lm-eval runs it; raise UserError when it cannot be loaded."""
    from lm_eval.api.registry import get_model

    try:
        return get_model("hf" if settings.device == "cpu" else "vllm")(**arguments)
    except OSError as error:
        raise UserError(f"{model.location} cannot be loaded: {reason_of(error)}") from None


def facts_of(template: Template | None) -> Json:
    """Return what results.json says of the loaded model: the sha256 of the chat template, null if none is applied."""
    return {"chat_template_sha256": hashlib.sha256(str(template.text).encode()).hexdigest() if template else None}


def run_task(lm: Any, loaded: Json, task: str, settings: Evaluate, ends: Json, **options: Any) -> Json:
    """Let lm-eval run one task and return its output; `ends` are the arguments that end its generation.

    Every task starts from the same seed, so that no result depends on the tasks before it.
    """
    from lm_eval import simple_evaluate

    output: Json = simple_evaluate(
        lm,
        tasks=[loaded["groups"][task]] if task in loaded["groups"] else list(loaded["tasks"].values()),
        limit=settings.limit or None,
        bootstrap_iters=0,
        log_samples=True,
        apply_chat_template=settings.apply_chat_template,
        fewshot_as_multiturn=settings.fewshot_as_multiturn,
        gen_kwargs=ends | ({"max_gen_toks": settings.max_tokens} if settings.max_tokens else {}),
        **dict.fromkeys(SEEDS, settings.seed),
        **options,
    )
    return output


def run_all_tasks(model: Model, settings: Evaluate, arguments: Json, tasks: list[str], work: Path) -> None:
    """Run tasks one after the other and leave each one's result and samples in the work folder."""
    manager, opened = open_tasks(settings, tasks, work)
    if not opened:
        return
    template = open_template(model) if settings.apply_chat_template else None
    lm = open_model(model, settings, arguments)
    ends = read_as_generation(lm, model, template)
    prompts = ChatPrompts(template) if template else None
    if prompts:
        prompts.attach(lm)
    write_json(work / FACTS, facts_of(template))
    logging.getLogger("lm_eval.evaluator").setLevel(logging.ERROR)  # it warns of every explicit setting
    options = {"task_manager": manager, "system_instruction": model.system_prompt or None}
    for number, (task, loaded) in enumerate(opened.items(), start=1):
        log_line(f"{model.id}: {task} ({number} of {len(opened)})")
        write_json(work / CURRENT, task)
        primary = settings.tasks[task]
        if prompts:
            prompts.clear()
        try:
            output = run_task(lm, loaded, task, settings, ends, **options)
            result = read_result(output, task, primary, loaded["coverage"])
            counts, chats = (prompts.counts, prompts.chats) if prompts else ({}, {})
            result = replace(result, prompts=dict(sorted(counts.items())))
            write_samples(samples_path(work, task), read_samples(output, loaded["tasks"], primary, chats))
        except Exception as error:  # a task that raises fails alone
            result = failure(reason_of(error), primary)
        write_json(result_path(work, task), result.to_json())


def main(work: Path) -> None:
    """Run the job of a work folder; exit with 2 and leave the reason when it is refused."""
    threading.Thread(target=exit_with_parent, daemon=True).start()
    job = read_json(work / JOB)
    model, settings = parse(Model, job["model"], "model"), parse(Evaluate, job["settings"], "evaluate")
    try:
        run_all_tasks(model, settings, job["arguments"], job["tasks"], work)
    except UserError as error:
        write_text(work / REFUSAL, str(error))
        sys.exit(2)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
