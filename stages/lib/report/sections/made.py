"""How it was made: where each model is from, on what data, what ran it and on which machine."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from stages.lib.core.files import SUMMARY
from stages.lib.core.types import Json
from stages.lib.report.files import Files
from stages.lib.report.inputs import Inputs
from stages.lib.report.section import Content, Section

VERSIONS = ("axolotl", "torch", "transformers")  # in the summary of a training


def build(inputs: Inputs) -> Content:
    """Read what is recorded of every model."""
    files, runs = inputs.files, inputs.runs
    models = read_models(dict.fromkeys([*inputs.dgms, *inputs.compare, *runs]), files)
    trainings = files.read_json_of(runs, files.metrics / "train")
    digests = files.read_json_of(runs, files.metrics / "digests/runs")
    data = {dgm: inputs.recipes["dgms"][dgm]["responses"] for dgm in inputs.dgms}
    data |= {run: digests[run]["mix"] for run in runs}
    results = inputs.evaluations
    throughput = {} if inputs.is_analysis else files.read_json(files.data / "throughput" / SUMMARY)
    costs, machines = throughput.get("costs", {}), throughput.get("machines", {})
    rows = [
        {
            "id": key,
            "source": name_source(models.get(key, {}), trainings.get(key)),
            "commit": models.get(key, {}).get("commit") or results.get(key, {}).get("commit"),
            "data": data.get(key),
            "tools": list_tools(costs.get(key, {}), trainings.get(key, {}), results.get(key, {})),
            "hardware": ", ".join(machines.get(key, [])),
        }
        for key in dict.fromkeys([*inputs.dgms, *runs, *inputs.compare])
    ]
    return Content(values={"models": rows})


def read_models(ids: Iterable[str], files: Files) -> dict[str, Json]:
    """Read the model.json of every model that has one."""
    paths = {key: files.models / key / "model.json" for key in ids}
    return {key: files.read_json(path) for key, path in paths.items() if path.exists()}


def name_source(model: Mapping[str, str], training: Json | None) -> str:
    """Return the base of a fine-tune, the repository of a hub model, or the name of a folder: no path of a machine."""
    if training is not None:
        return f"fine-tune of {training.get('base', 'its base')}"
    location = model.get("location", "")
    return location if model.get("kind") == "hub" else Path(location).name


def list_tools(cost: Json, training: Json, result: Json) -> list[str]:
    """Return what generated, trained and evaluated a model, with versions."""
    versions = [f"{name} {version}" for name, version in training.items() if name in VERSIONS]
    tasks = result.get("tasks", {}).values()
    harnesses = {f"{task['harness']} {task['harness_version']}" for task in tasks if task["harness_version"]}
    return [*cost.get("engines", []), *versions, *sorted(harnesses)]


SECTION = Section(
    name="made",
    title="How it was made",
    question="How was it made?",
    sources={"models": "weights", "recipes.json": "responses and mixes"},
    build=build,
)
