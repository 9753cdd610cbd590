"""One compared model on every benchmark of the profile, by lm-eval (paper, sec. 3.1).

In:  models/<model>/model.json and its weights; the benchmarks of evaluate.tasks_folder, else lm-eval's own
Out: data/evaluations/<model>/: results.json (one schema, whatever the harness), samples/<task>.parquet (prompt,
     response and score of each row), summary.json (the main metrics)
"""

import logging
import os
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from stages.lib.model import Model, load_model
from stages.lib.params import Runtime, Section, UserError, load
from stages.lib.results import Json, average, describe, entry, labels, main_metric, read_samples, reason_of, summarize
from stages.lib.shards import new_folder, write_json
from stages.lib.shell import run, say
from stages.lib.tasks import are_local, data_environment, find_tasks

CPU_BATCH = 32  # rows per step
TINY_BYTES = 100e6  # weights for which a second thread costs more than it brings
SAMPLE = pa.schema([
    ("task", pa.string()),  # the benchmark, or the part of it
    ("id", pa.int64()),
    ("prompt", pa.string()),
    ("response", pa.string()),  # for multiple choice: the choice that the main metric takes as the model's
    ("score", pa.float64()),  # in the main metric
])


class Evaluate(Section):
    """The section `evaluate`."""

    device: Literal["cpu", "gpu"]
    tasks_folder: str
    tasks: dict[Annotated[str, Field(pattern=r"^\w[\w.-]*$")], str] = Field(min_length=1)
    limit: int = Field(ge=0)
    apply_chat_template: bool
    fewshot_as_multiturn: bool
    max_tokens: int = Field(ge=0)  # 0: each task's own
    seed: int = Field(ge=0)


def model_args(model: Model, settings: Evaluate, runtime: Runtime) -> Json:
    """lm-eval's arguments for a model: transformers in float32 on a CPU, vLLM in the model's own dtype on GPUs."""
    if model.kind in {"import", "server"}:
        raise UserError(f"{model.id} has no weights here: leave it out of `compare`")
    if settings.device == "cpu" and model.quantization != "none":
        raise UserError(f"{model.id} is quantized ({model.quantization}), which needs `evaluate.device: gpu`")
    hub = model.kind == "hub"
    shared = {
        "pretrained": model.location if hub else str(Path(model.location).resolve()),  # or it is looked up on the hub
        "revision": model.commit if hub else None,
        "trust_remote_code": model.trust_remote_code,
    }
    if settings.device == "cpu":
        own = {"device": "cpu", "dtype": "float32", "batch_size": CPU_BATCH, "max_length": model.context_window}
        return {**shared, **own, "use_safetensors": True}
    return {
        **shared,
        "batch_size": "auto",
        "dtype": model.dtype,
        "gpu_memory_utilization": runtime.gpu_memory_utilization,
        "load_format": "safetensors",
        "max_model_len": model.context_window,
        "quantization": None if model.quantization == "none" else model.quantization,
        "seed": settings.seed,
        "tensor_parallel_size": model.tensor_parallel,
        "tokenizer_revision": shared["revision"],
    }


def environment(model: Model, settings: Evaluate, cache: str) -> dict[str, str]:
    """What the libraries read when they are first imported."""
    offline = model.kind == "local" and are_local(settings.tasks_folder, settings.tasks)
    weights = sum(file.stat().st_size for file in Path(model.location).glob("*.safetensors"))
    return {
        **data_environment(cache, offline=offline),
        "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin on a shared CPU take three times as long
        "TRANSFORMERS_VERBOSITY": "error",
        "VLLM_NO_USAGE_STATS": "1",
        **({"OMP_NUM_THREADS": "1"} if 0 < weights < TINY_BYTES else {}),
    }


def open_task(manager: Any, task: str, metric: str) -> Any:  # noqa: ANN401  (lm-eval's)
    """A task, or a group of them, with its data, or the error that loading it ended in."""
    try:
        loaded = manager.load([task])
    except Exception as error:
        return error
    for part in loaded["tasks"].values():
        ways = [way["name"] for way in part.config.filter_list or [{"name": "none"}]]
        known = labels(part.aggregation(), ways)
        if metric not in known:
            raise UserError(f"evaluate.tasks.{task}: no metric {metric!r}; it has: {', '.join(known)}")
    return loaded


def open_model(model: Model, settings: Evaluate, arguments: Json) -> Any:  # noqa: ANN401  (lm-eval's)
    """The model as lm-eval runs it."""
    from lm_eval.api.registry import get_model
    from transformers import AutoTokenizer

    try:
        source = {key: arguments[key] for key in ("revision", "trust_remote_code")}
        tokenizer = AutoTokenizer.from_pretrained(arguments["pretrained"], **source)
        if settings.apply_chat_template and not tokenizer.chat_template:
            raise UserError(
                f"{model.id} has no chat template: set `evaluate.apply_chat_template: false` or give it one"
            )
        return get_model("hf" if settings.device == "cpu" else "vllm")(**arguments)
    except OSError as error:
        raise UserError(f"{model.location} cannot be loaded: {reason_of(error)}") from None


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


def evaluate(model: Model, settings: Evaluate, arguments: Json) -> tuple[dict[str, Json], dict[str, list[Json]]]:
    """Every task's entry of results.json, and its samples. A task that raises fails alone, with its reason."""
    manager = find_tasks(settings.tasks_folder, settings.tasks)
    opened = {task: open_task(manager, task, metric) for task, metric in settings.tasks.items()}
    lm = open_model(model, settings, arguments)
    logging.getLogger("lm_eval.evaluator").setLevel(logging.ERROR)  # it warns of every explicit setting
    options = {"task_manager": manager, "system_instruction": model.system_prompt or None}
    harness = {"harness": "lm_eval", "harness_version": version("lm_eval")}
    entries, samples = {}, {}
    for number, (task, primary) in enumerate(settings.tasks.items(), start=1):
        say(f"{model.id}: {task} ({number} of {len(opened)})")
        try:
            if isinstance(opened[task], Exception):
                raise opened[task]
            result = run_task(lm, opened[task], task, settings, **options)
            entries[task] = describe(result, task, primary, harness)
            samples[task] = read_samples(result, opened[task]["tasks"], primary)
        except Exception as error:
            entries[task] = entry("failed", reason_of(error), {}, primary, **harness)
    return entries, samples


def report(model: str, tasks: dict[str, Json]) -> None:
    """Say in one line per task how it went; raise UserError when none could be run."""
    for task, found in tasks.items():
        metric = main_metric(found)
        score = f"{found['primary']} {metric['value']:.4f}, n = {metric['n']}" if metric else ""
        why = f"{found['status']}: {found['reason']}" if found["reason"] else ""
        say(f"{model}: {task} {'; '.join(filter(None, (score, why)))}")
    if not any(map(main_metric, tasks.values())):
        raise UserError(f"no task could be run on {model}; the reasons are above")


def main(model: str) -> None:
    """Evaluate one compared model."""
    settings, resolved = load("evaluate", Evaluate), load_model(model)
    if not settings.apply_chat_template:  # there is no place for a system prompt then
        resolved = resolved.model_copy(update={"system_prompt": ""})
    arguments = model_args(resolved, settings, load("runtime", Runtime))
    with TemporaryDirectory(prefix="rewild-evaluate-") as cache:
        os.environ.update(environment(resolved, settings, cache))
        tasks, samples = evaluate(resolved, settings, arguments)
    averages = {"average": average(tasks, list(tasks))}
    ran_with = {key: arguments[key] for key in ("dtype", "batch_size")}
    results = {
        "schema": 2,
        "model": model,
        "commit": resolved.commit,
        "settings": {**settings.model_dump(exclude={"tasks"}), **ran_with, "system_prompt": resolved.system_prompt},
        "tasks": tasks,
        "averages": averages,
    }
    with new_folder(Path("data/evaluations") / model) as folder:
        write_json(folder / "results.json", results)
        write_json(folder / "summary.json", summarize(tasks, averages))
        (folder / "samples").mkdir()
        for task, rows in samples.items():
            table = pa.Table.from_pylist(rows, schema=SAMPLE)
            pq.write_table(table, folder / "samples" / f"{task}.parquet", compression="zstd")
    report(model, tasks)


if __name__ == "__main__":
    run(main)
