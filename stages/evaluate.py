"""One compared model on every benchmark of the profile, by lm-eval and Evalchemy (paper, sec. 3.1).

In:  models/<model>/model.json and its weights; the benchmarks of evaluate.tasks_folder, else lm-eval's own;
     the tasks that an earlier run has finished, if it did not come to its end
Out: data/evaluations/<model>/: results.json (one schema, whatever the harness), samples/<task>.parquet (prompt,
     response and score of each row), summary.json (the main metrics and averages)
     data/costs/evaluate/<model>.json: the time it took since its last start
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from stages.lib.console.errors import UserError
from stages.lib.console.interrupts import with_kept
from stages.lib.console.needs import Needs, check_machine
from stages.lib.console.shell import log_line
from stages.lib.core.code import Code
from stages.lib.core.costs import name_hardware, timed_cost
from stages.lib.core.files import new_folder, write_json
from stages.lib.core.process import CHECKOUT
from stages.lib.core.store import store_folder
from stages.lib.core.types import Json
from stages.lib.evaluation.evalchemy.runner import evaluate as run_evalchemy
from stages.lib.evaluation.finished import FOLDER, FinishedTasks, task_digests
from stages.lib.evaluation.lm_eval_runner import evaluate as run_lm_eval
from stages.lib.evaluation.lm_eval_tasks import are_local, data_environment
from stages.lib.evaluation.protocol import result_path, samples_path
from stages.lib.evaluation.results import (
    TaskResult,
    average,
    average_columns,
    describe_conditions,
    main_metric,
    reason_of,
    summarize,
)
from stages.lib.evaluation.samples import write_samples
from stages.lib.models.catalogue import Model, load_model
from stages.lib.models.weights import gpu_needs, weight_bytes
from stages.lib.settings.evaluate import Evaluate
from stages.lib.settings.reading import load, run
from stages.lib.settings.runtime import Runtime

OUT = Path("data/evaluations")
CPU_BATCH = 32  # rows per step
TINY_BYTES = 100e6  # weights for which a second thread costs more than it brings


def check_model(model: Model, settings: Evaluate) -> None:
    """Raise UserError for a model that cannot be evaluated with these settings."""
    if model.kind in {"import", "server"}:
        raise UserError(f"{model.id} has no weights here: leave it out of `compare`")
    if settings.device == "cpu" and model.quantization != "none":
        raise UserError(f"{model.id} is quantized ({model.quantization}), which needs `evaluate.device: gpu`")


def machine_needs(model: Model, settings: Evaluate, runtime: Runtime) -> Needs:
    """Return what the evaluation of a model needs of the machine: `model_args` says how it is loaded."""
    if settings.device == "cpu":
        return Needs(model.id, memory=weight_bytes(model, "float32"))
    return gpu_needs(model, runtime.gpu_memory_utilization)


def model_args(model: Model, settings: Evaluate, runtime: Runtime) -> Json:
    """Return lm-eval's arguments for a model: transformers in float32 on a CPU, vLLM in the model's dtype on GPUs."""
    check_model(model, settings)
    is_on_hub = model.kind == "hub"
    source = {
        # A relative path would be looked up on the hub.
        "pretrained": model.location if is_on_hub else str(Path(model.location).resolve()),
        "revision": model.commit if is_on_hub else None,
        "trust_remote_code": model.trust_remote_code,
    }
    if settings.device == "cpu":
        own = {"device": "cpu", "dtype": "float32", "batch_size": CPU_BATCH, "max_length": model.context_window}
        return {**source, **own, "use_safetensors": True}
    return {
        **source,
        "batch_size": "auto",
        "dtype": model.dtype,
        "gpu_memory_utilization": runtime.gpu_memory_utilization,
        "load_format": "safetensors",
        **({"kv_cache_dtype": model.kv_cache_dtype} if model.kv_cache_dtype != "auto" else {}),
        "max_model_len": model.context_window,
        "quantization": None if model.quantization == "none" else model.quantization,
        "seed": settings.seed,
        "tensor_parallel_size": model.tensor_parallel,
        "tokenizer_revision": source["revision"],
    }


def environment(model: Model, settings: Evaluate, cache: str) -> dict[str, str]:
    """Return the variables that the libraries read when they are first imported."""
    is_offline = model.kind == "local" and are_local(settings)
    num_bytes = sum(file.stat().st_size for file in Path(model.location).glob("*.safetensors"))
    return {
        **data_environment(cache, offline=is_offline),
        "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin on a shared CPU take three times as long
        "TRANSFORMERS_VERBOSITY": "error",
        "VLLM_NO_USAGE_STATS": "1",
        **({"OMP_NUM_THREADS": "1"} if 0 < num_bytes < TINY_BYTES else {}),
        **({"CUDA_VISIBLE_DEVICES": ""} if settings.device == "cpu" else {}),
    }


def evaluate_by_evalchemy(
    model: Model, settings: Evaluate, runtime: Runtime, finished: FinishedTasks
) -> dict[str, Json]:
    """Run Evalchemy's tasks that are not finished, with their samples next to lm-eval's.

    An exception fails these tasks only.
    """
    kept, _ = finished.restore()
    waiting = {task: primary for task, primary in settings.evalchemy.items() if task not in kept}
    entries = {task: kept[task] for task in settings.evalchemy if task in kept}
    if waiting:
        entries |= run_evalchemy_tasks(model, settings.model_copy(update={"evalchemy": waiting}), runtime, finished)
    return {task: entries[task] for task in settings.evalchemy}


def run_evalchemy_tasks(model: Model, settings: Evaluate, runtime: Runtime, finished: FinishedTasks) -> dict[str, Json]:
    """Run Evalchemy's tasks of the settings; keep each as soon as it is finished."""

    def keep(task: str, entry: Json, samples: list[Json]) -> None:
        write_samples(samples_path(finished.work, task), samples)
        write_json(result_path(finished.work, task), entry)
        finished.keep()

    folder = finished.work / "evalchemy"
    folder.mkdir()
    try:
        entries, _ = run_evalchemy(model, settings, runtime, folder, on_result=keep)
    except Exception as error:
        reason = reason_of(error)
        return {
            task: TaskResult(
                status="failed", reason=reason, primary=primary, harness="evalchemy", harness_version=None
            ).to_json()
            for task, primary in settings.evalchemy.items()
        }
    return entries


def described_settings(model: Model, settings: Evaluate, arguments: Json, facts: Json) -> Json:
    """Return the settings of the run, for results.json."""
    section = settings.model_dump(exclude={"tasks", "evalchemy", "averages", "tasks_folder", "alpaca_eval_data"})
    loaded_with = {key: arguments[key] for key in ("dtype", "batch_size")}
    return {**section, **loaded_with, **facts, "system_prompt": model.system_prompt}


def log_results(model: str, tasks: dict[str, Json], averages: dict[str, Json], conditions: list[str]) -> None:
    """Print one line per task and average, and the conditions; raise UserError when no task has a score."""
    for name, entry in tasks.items():
        metric = main_metric(entry)
        score = f"{entry['primary']} {metric['value']:.4f}, n = {metric['n']}" if metric else ""
        problem = f"{entry['status']}: {entry['reason']}" if entry["reason"] else ""
        log_line(f"{model}: {name} {'; '.join(filter(None, (score, problem)))}")
    for name, mean in averages.items():
        value = f"needs {', '.join(mean['missing'])}" if mean["missing"] else f"{mean['value']:.4f}"
        log_line(f"{model}: {name} of {len(mean['columns'])} tasks {value}")
    if conditions:
        log_line(f"{model}: conditions of these scores: {'; '.join(conditions)}")
    if not any(map(main_metric, tasks.values())):
        raise UserError(f"no task could be run on {model}; the reasons are above")


def evaluate(model: Model, settings: Evaluate, runtime: Runtime, finished: FinishedTasks) -> Json:
    """Run every task that is not finished and return results.json; the samples of all are left in the work folder."""
    if not settings.apply_chat_template:  # there is no place for a system prompt then
        model = model.model_copy(update={"system_prompt": ""})
    arguments = model_args(model, settings, runtime)
    check_machine(machine_needs(model, settings, runtime))
    variables = environment(model, settings, f"{finished.work}/cache")
    if number := finished.count():
        log_line(f"{model.id}: {number} of {len(finished.digests)} tasks are finished from an earlier run")
    tasks, facts = run_lm_eval(model, settings, arguments, variables, finished)
    tasks |= evaluate_by_evalchemy(model, settings, runtime, finished)
    return {
        "schema": 2,  # integer: of this file
        "model": model.id,  # string: its id
        "commit": model.commit,  # string: of its repository, or the sha256 of its weights
        "settings": described_settings(model, settings, arguments, facts),  # object: how it was loaded and asked
        "tasks": tasks,  # object: every task by its name
        # object: every average by its name
        "averages": {name: average(tasks, columns) for name, columns in average_columns(settings).items()},
        "conditions": describe_conditions(settings, tasks),  # list: under which the scores stand, in words
    }


READS = ("evaluate", "runtime")


def write_evaluation(key: str, results: Json, work: Path) -> None:
    """Write data/evaluations/<model>/ from results.json and the samples in the folder `work`."""
    with new_folder(OUT / key) as folder:
        write_json(folder / "results.json", results)
        write_json(folder / "summary.json", summarize(results["tasks"], results["averages"], results["conditions"]))
        (folder / "samples").mkdir()
        for file in sorted(work.glob("*.parquet")):
            shutil.copyfile(file, folder / "samples" / file.name)


def main(key: str) -> None:
    """Evaluate one compared model."""
    settings, runtime, model = load(Evaluate), load(Runtime), load_model(key)
    hardware = name_hardware(model.tensor_parallel if settings.device == "gpu" else 0)
    digests = task_digests(model, settings, Code(CHECKOUT).digest("stages.evaluate"))
    with timed_cost("evaluate", key, hardware), TemporaryDirectory(prefix="rewild-evaluate-") as name:
        finished = FinishedTasks(key, Path(name), store_folder() / FOLDER, digests)
        try:
            results = evaluate(model, settings, runtime, finished)
        except KeyboardInterrupt as error:
            finished.keep()
            kept = f"{finished.count()} of {len(digests)} tasks of {key} are finished and kept; run it again to go on"
            raise with_kept(error, kept) from None
        write_evaluation(key, results, Path(name))
    finished.clear()
    log_results(key, results["tasks"], results["averages"], results["conditions"])


if __name__ == "__main__":
    run(main)
