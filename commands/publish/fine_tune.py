"""A fine-tune as a model: weights, tokenizer, recipe, mask report, loss, scores, and what it was trained on."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from commands.publish.cards.model_card import build_card, build_license
from commands.publish.dataset import existing, folder_bytes
from commands.publish.folder import is_made, new_publication
from commands.publish.options import Options
from commands.publish.provenance import has_changes, hide_folders, read_commit, read_lineage
from commands.publish.sources import DATA, describe_model, read_model
from stages.lib.console.errors import UserError
from stages.lib.console.faults import suggest
from stages.lib.console.needs import check_disk
from stages.lib.console.shell import log_line
from stages.lib.core.artifacts import DIGESTS, require_compared, require_folder
from stages.lib.core.files import read_json, write_json, write_text
from stages.lib.core.names import AVERAGE
from stages.lib.core.sections import parse
from stages.lib.core.seeds import list_trainings
from stages.lib.core.types import Json
from stages.lib.models.catalogue import MODELS, NOT_WEIGHTS, Entry, Model, read_entry
from stages.lib.models.chat_template import Template, load_tokenizer
from stages.lib.settings.sections import Train
from stages.lib.training.axolotl_config import render_config, write_config
from stages.lib.training.protocol import CONFIG, MASK

TRAINING = "training"  # the folder with what is not needed to run the model
SCORES = "scores.json"
SECTIONS = ("profile", "train", "mix", "evaluate")  # of params.yaml, that decide a fine-tune and its scores
WORK = Path("training")  # the folder that the published recipe names


@dataclass(frozen=True)
class FineTune:
    """A run and what is known of it."""

    run: str
    seed: int
    model: Model
    base: Model
    base_entry: Entry
    recipe: Json  # its entry in metrics/recipes.json
    mix: Json  # counts of its mix
    training: Json  # the training in numbers
    digests: Json  # sha256 of the mix and the model
    scores: Mapping[str, Json]  # results.json of the run and of its base, where they were evaluated
    seeds: Mapping[int, float]  # the average of the models of its other seeds, where they were evaluated
    judge: Json  # a judge's scores of its answers; empty without any
    licenses: Mapping[str, str]  # of the rows, by source
    closed: list[str]  # sources whose rows must not be shared


def read_fine_tune(params: Json, run: str) -> FineTune:
    """Read what is known of a run; raise UserError for one that params.yaml does not have, or without its outs."""
    runs = params["mix"]["runs"]
    if run not in runs:
        raise UserError(f"RUN={run}: it is not in mix.runs of params.yaml{suggest(run, runs)}")
    recipe = read_json(Path("metrics/recipes.json"))["runs"][run]
    digests = read_json(DIGESTS / "runs" / f"{run}.json")
    require_folder(MODELS / run, digests["model"], f"train@{run}")
    dgms = {name: read_entry(name) for name, source in recipe["sources"].items() if source["kind"] == "dgm"}
    compared = [model for model in (run, recipe["base"]) if model in params["compare"]]
    return FineTune(
        run=run,
        seed=list_trainings(params)[run].seed,
        model=read_model(run),
        base=read_model(recipe["base"]),
        base_entry=read_entry(recipe["base"]),
        recipe=recipe,
        mix=read_json(Path("metrics/mix") / f"{run}.json"),
        training=read_json(Path("metrics/train") / f"{run}.json"),
        digests=digests,
        scores={model: read_json(require_compared(model, "evaluations") / "results.json") for model in compared},
        seeds=read_seeds(params, run),
        judge=read_if_there(Path("metrics/judge") / f"{run}.json"),
        licenses={
            name: dgms[name].license if name in dgms else params["auxiliary"][name]["license"]
            for name in recipe["sources"]
        },
        closed=[name for name, entry in dgms.items() if not entry.redistribute],
    )


def read_seeds(params: Json, run: str) -> dict[int, float]:
    """Read the average of the models that were trained on the same mix with other seeds."""
    metrics = {
        training.seed: read_if_there(Path("metrics/evaluate") / f"{model}.json")
        for model, training in list_trainings(params).items()
        if training.run == run and model != run
    }
    averages = {seed: found["scores"].get(AVERAGE) for seed, found in metrics.items() if found}
    return {seed: average for seed, average in averages.items() if average is not None}


def read_if_there(path: Path) -> Json:
    """Read a JSON file; empty where there is none."""
    return read_json(path) if path.exists() else {}


def write_fine_tune(params: Json, options: Options) -> Json:
    """Write the folder of a fine-tune, unless it is there already; return its provenance."""
    tune = read_fine_tune(params, options.run)
    provenance = describe_origin(params, tune, options)
    if is_made(options.out, provenance):
        log_line(f"{options.out} is there already, made from the same commit, weights and options")
        return provenance
    check_disk("the model", folder_bytes(MODELS / tune.run), existing(options.out))
    with new_publication(options.out, provenance) as folder:
        copy_model(MODELS / tune.run, folder, with_mask=not tune.closed)
        if tune.closed:
            log_line(f"{MASK} is left out: it holds a row, and redistribute is false for {', '.join(tune.closed)}")
        write_config(folder / TRAINING / CONFIG, render_recipe(params, tune))
        write_json(folder / TRAINING / "sources.json", {"recipe": tune.recipe, "counts": tune.mix})
        if tune.run in tune.scores:
            write_json(folder / TRAINING / SCORES, tune.scores[tune.run])
        write_text(folder / "LICENSE.md", build_license(tune))
        write_text(folder / "README.md", build_card(provenance, tune, options))
    return provenance


def copy_model(source: Path, folder: Path, *, with_mask: bool) -> None:
    """Copy what a model needs to run, and what its training left behind into a folder of its own.

    model.json stays: it describes the model to this project, with a place on this machine.
    """
    (folder / TRAINING).mkdir()
    for file in sorted(path for path in source.iterdir() if path.is_file()):
        if file.name in NOT_WEIGHTS:
            if file.name != "model.json" and (with_mask or file.name != MASK):
                shutil.copyfile(file, folder / TRAINING / file.name)
        else:
            shutil.copyfile(file, folder / file.name)


def render_recipe(params: Json, tune: FineTune) -> Json:
    """Return Axolotl's configuration of a run, as it was trained, with paths that begin in the checkout."""
    mix = require_folder(DATA / "mixes" / tune.run, tune.digests["mix"], f"mix@{tune.run}")
    files = sorted(mix.glob("*.parquet"))
    num_rows = sum(pq.read_metadata(file).num_rows for file in files)
    settings = parse(Train, params["train"], "params.yaml: train").model_copy(update={"seed": tune.seed})
    # The tokenizer and the template that were trained are the fine-tune's own.
    template = Template(load_tokenizer(tune.model), tune.base)
    config = render_config(settings, template, files, num_rows, WORK)
    if tune.base.kind == "local":
        config["base_model"] = tune.base.location
    recipe: Json = hide_folders(config)
    return recipe


def describe_origin(params: Json, tune: FineTune, options: Options) -> Json:
    """Return what a publication is made from and with which options; equal ones give equal bytes."""
    sources = tune.recipe["sources"]
    dgms = [name for name, source in sources.items() if source["kind"] == "dgm"]
    sets = [name for name in sources if name not in dgms]
    folders = [
        *(f"models/{tune.run}", f"data/mixes/{tune.run}"),
        *(f"data/{name}/{dgm}" for dgm in dgms for name in ("responses", "verdicts")),
        *(f"data/auxiliary/{name}" for name in sets),
        *([f"data/evaluations/{tune.run}"] if tune.run in tune.scores else []),
    ]
    return {
        "commit": read_commit(),
        "has_uncommitted_changes": has_changes(),
        "project": options.project,
        "repository": options.repository,
        "run": tune.run,
        "seed": tune.seed,
        "base": {
            "id": tune.base.id,
            "source": describe_model(tune.base),
            "commit": tune.base.commit,
            "license": tune.base_entry.license,
        },
        "datasets": list(options.datasets),
        "gated": options.gated,
        "notes": options.notes,
        "licenses": dict(tune.licenses),
        "sha256": tune.digests,
        "params": hide_folders({name: params[name] for name in SECTIONS}),
        "md5": read_lineage(folders),
    }
