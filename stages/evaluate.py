"""One compared model on every benchmark of the profile, by lm-eval and Evalchemy (paper, sec. 3.1).

In:  models/<model>/model.json and its weights; the benchmarks of evaluate.tasks_folder, else lm-eval's own
Out: data/evaluations/<model>/: results.json (one schema, whatever the harness), samples/<task>.parquet (prompt,
     response and score of each row), summary.json (the main metrics and averages)
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.core.files import new_folder, write_json
from stages.lib.core.types import Json
from stages.lib.evaluation.evalchemy import evaluate as run_evalchemy
from stages.lib.evaluation.lm_eval_runner import evaluate, write_samples
from stages.lib.evaluation.results import average, entry, main_metric, reason_of, summarize
from stages.lib.evaluation.tasks import are_local, average_columns, data_environment
from stages.lib.models.catalogue import Model, load_model
from stages.lib.settings.reading import load, run
from stages.lib.settings.sections import Evaluate, Runtime

OUT = Path("data/evaluations")
CPU_BATCH = 32  # rows per step
TINY_BYTES = 100e6  # weights for which a second thread costs more than it brings


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
    offline = model.kind == "local" and are_local(settings)
    weights = sum(file.stat().st_size for file in Path(model.location).glob("*.safetensors"))
    return {
        **data_environment(cache, offline=offline),
        "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin on a shared CPU take three times as long
        "TRANSFORMERS_VERBOSITY": "error",
        "VLLM_NO_USAGE_STATS": "1",
        **({"OMP_NUM_THREADS": "1"} if 0 < weights < TINY_BYTES else {}),
        **({"CUDA_VISIBLE_DEVICES": ""} if settings.device == "cpu" else {}),
    }


def evaluate_by_evalchemy(model: Model, settings: Evaluate, work: Path) -> dict[str, Json]:
    """The entries of Evalchemy's tasks; their samples are left in the folder. What it raises costs its tasks alone."""
    if not settings.evalchemy:
        return {}
    work.mkdir()
    try:
        tasks, samples = run_evalchemy(model, settings, work)
    except Exception as error:
        reason = reason_of(error)
        return {
            task: entry("failed", reason, {}, primary, harness="evalchemy", harness_version=None)
            for task, primary in settings.evalchemy.items()
        }
    for task, rows in samples.items():
        write_samples(work.parent / f"{task}.parquet", rows)
    return {task: tasks[task] for task in settings.evalchemy}


def settings_of(model: Model, settings: Evaluate, arguments: Json, facts: Json) -> Json:
    """What results.json says of how the model was run."""
    asked = settings.model_dump(exclude={"tasks", "evalchemy", "averages", "tasks_folder", "alpaca_eval_data"})
    ran_with = {key: arguments[key] for key in ("dtype", "batch_size")}
    return {**asked, **ran_with, **facts, "system_prompt": model.system_prompt}


def report(model: str, tasks: dict[str, Json], averages: dict[str, Json]) -> None:
    """Say in one line per task and average how it went; raise UserError when none could be run."""
    for task, found in tasks.items():
        metric = main_metric(found)
        score = f"{found['primary']} {metric['value']:.4f}, n = {metric['n']}" if metric else ""
        why = f"{found['status']}: {found['reason']}" if found["reason"] else ""
        log_line(f"{model}: {task} {'; '.join(filter(None, (score, why)))}")
    for name, found in averages.items():
        value = f"needs {', '.join(found['missing'])}" if found["missing"] else f"{found['value']:.4f}"
        log_line(f"{model}: {name} of {len(found['columns'])} tasks {value}")
    if not any(map(main_metric, tasks.values())):
        raise UserError(f"no task could be run on {model}; the reasons are above")


READS = ("evaluate", "runtime")


def main(model: str) -> None:
    """Evaluate one compared model."""
    settings, resolved = load(Evaluate), load_model(model)
    if not settings.apply_chat_template:  # there is no place for a system prompt then
        resolved = resolved.model_copy(update={"system_prompt": ""})
    arguments = model_args(resolved, settings, load(Runtime))
    with TemporaryDirectory(prefix="rewild-evaluate-") as name:
        work = Path(name)
        tasks, facts = evaluate(resolved, settings, arguments, environment(resolved, settings, f"{work}/cache"), work)
        tasks |= evaluate_by_evalchemy(resolved, settings, work / "evalchemy")
        averages = {name: average(tasks, columns) for name, columns in average_columns(settings).items()}
        results = {
            "schema": 2,
            "model": model,
            "commit": resolved.commit,
            "settings": settings_of(resolved, settings, arguments, facts),
            "tasks": tasks,
            "averages": averages,
        }
        with new_folder(OUT / model) as folder:
            write_json(folder / "results.json", results)
            write_json(folder / "summary.json", summarize(tasks, averages))
            (folder / "samples").mkdir()
            for file in sorted(work.glob("*.parquet")):
                shutil.copyfile(file, folder / "samples" / file.name)
    report(model, tasks, averages)


if __name__ == "__main__":
    run(main)
