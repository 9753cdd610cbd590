"""Read all of params.yaml and the catalogue, and name what is wrong before anything runs.

In:  params.yaml, dgms/
Out: data/checked/<stage>.json: the digest of a stage's code and what it reads of params.yaml, on which it depends;
     data/checked/templates.json: the digest of each catalogue entry's chat template, for its own `resolve`;
     data/checked/training_seeds.json: the seed of each trained model, for its own `train`;
     data/checked/families.json: the family of each model; data/checked/alpaca_eval.json: the digest of that folder;
     models/none/: what `judge` and `pairwise` depend on where nobody judges
     Files of metrics/ that belong to no id of params.yaml are removed: stages depend on their folders.
     metrics/seeds.json, which dvc.yaml reads before `check` runs, is written again when params.yaml has other seeds.
"""

import ast
import hashlib
import re
from pathlib import Path

from stages.lib.console.errors import UserError
from stages.lib.core.code import Code, stage_names
from stages.lib.core.files import sha256_folder, write_json
from stages.lib.core.leftovers import remove_leftovers
from stages.lib.core.names import FORGOTTEN, NO_JUDGE
from stages.lib.core.sections import ID, PARAMS, parse, read_yaml
from stages.lib.core.seeds import SEEDS, list_trainings, seed_models, write_seeds
from stages.lib.core.types import Json
from stages.lib.evaluation.evalchemy.tasks import check_tasks
from stages.lib.judging.judge_prompts import check_prompts
from stages.lib.models.catalogue import CATALOGUE, MODELS, read_entry, read_template
from stages.lib.records.pairings import TIE
from stages.lib.settings.reading import run, tracked_values
from stages.lib.settings.sections import ENTRIES, LISTS, SECTIONS
from stages.lib.training.axolotl import check_keys, find_python
from stages.lib.validation.checks import require_reasons

STAGES = Path("stages")
MOST_SEED = 2**32 - 1  # that numpy takes
CHECKED = Path("data/checked")


def check_params(params: Json, where: str) -> None:
    """Raise UserError for the first thing in a whole params file that no stage could work with."""
    known = {"profile", *SECTIONS, *ENTRIES, *LISTS}
    for key in params:
        if key not in known:
            raise UserError(f"{where}: {key}: no such section; known: {', '.join(sorted(known))}")
    for key in sorted(known - set(params)):
        raise UserError(f"{where}: the section `{key}` is missing")
    for name, model in SECTIONS.items():
        parse(model, params[name], f"{where}: {name}")
    for name, model in ENTRIES.items():
        for key, entry in (params[name] or {}).items():
            check_id(key, f"{where}: {name}")
            parse(model, entry, f"{where}: {name}.{key}")
    check_lists(params, where)
    check_runs(params, where)
    check_judge(params, where)
    check_tasks(params["evaluate"]["evalchemy"])
    require_reasons(params["validate"]["report_only"], f"{where}: validate.report_only")
    check_source(params["prompts"]["source"], f"{where}: prompts.source")
    for key, entry in (params["auxiliary"] or {}).items():
        check_source(entry["source"], f"{where}: auxiliary.{key}.source")


def check_id(name: object, where: str) -> None:
    """Raise UserError unless a name can be a DVC key and a folder."""
    if name == TIE:
        raise UserError(f"{where}: {name!r} is a judge's choice between equal replies and cannot be an id")
    if name == NO_JUDGE:
        raise UserError(f"{where}: {name!r} is what judge.model says where nobody judges, and cannot be an id")
    if name in FORGOTTEN:
        raise UserError(f"{where}: {name!r} cannot be an id: DVC's cache takes no notice of keys of that name")
    if not isinstance(name, str) or not re.match(ID, name):
        raise UserError(f"{where}: {name!r} is not an id: use lower-case letters, digits, - and _ (as '0-9' in quotes)")


def check_lists(params: Json, where: str) -> None:
    """Raise UserError unless dgms, bases and compare name models that exist, each once."""
    for name in LISTS:
        values = params[name]
        if not isinstance(values, list) or len(set(map(str, values))) != len(values):
            raise UserError(f"{where}: {name} must be a list of different ids, got {values!r}")
        for value in values:
            check_id(value, f"{where}: {name}")
    for name in ("dgms", "bases"):
        for value in params[name]:
            if not (CATALOGUE / f"{value}.yaml").exists():
                raise UserError(f"{where}: {name} names {value!r}, but there is no {CATALOGUE}/{value}.yaml")
            read_entry(value)
    both = set(params["dgms"]) & set(params["bases"])
    if both:
        raise UserError(f"{where}: {sorted(both)[0]!r} is in dgms and in bases; one of them is enough")
    check_compared(params, where)


def check_compared(params: Json, where: str) -> None:
    """Raise UserError unless everything that is compared is a run, or a model with weights."""
    runs = params["mix"]["runs"]
    for value in params["compare"]:
        if value not in (*params["dgms"], *params["bases"], *runs):
            raise UserError(f"{where}: compare names {value!r}, which is not in dgms, bases or mix.runs")
        if value not in runs and not has_weights(value):
            raise UserError(f"{where}: compare names {value!r}, which has no weights here to evaluate")


def check_runs(params: Json, where: str) -> None:
    """Raise UserError unless every run is made of DGMs, auxiliary sets and a base that the profile has."""
    models = [*params["dgms"], *params["bases"]]
    for name, entry in params["mix"]["runs"].items():
        here = f"{where}: mix.runs.{name}"
        check_id(name, here)
        if name in models:
            raise UserError(f"{here}: a run cannot have the id of a model")
        check_base(entry["base"], models, here)
        for kind, known in (("dgms", params["dgms"]), ("auxiliary", params["auxiliary"] or {})):
            for source in entry.get(kind, {}):
                if source not in known:
                    raise UserError(f"{here}.{kind}: {source!r} is not in {kind}, which has: {', '.join(known)}")
        if (reference := entry.get("reference", "")) and reference not in params["dgms"]:
            raise UserError(f"{here}.reference: {reference!r} is not in dgms, which has: {', '.join(params['dgms'])}")
        check_seeds(name, entry.get("seeds", []), params, f"{here}.seeds")


def check_seeds(name: str, seeds: list[int], params: Json, where: str) -> None:
    """Raise UserError unless the seeds of a run differ, their models have ids of their own, and the run is compared."""
    if large := [seed for seed in seeds if seed > MOST_SEED]:
        raise UserError(f"{where}: {large[0]} is too large: a seed is at most {MOST_SEED}")
    if repeated := [seed for number, seed in enumerate(seeds) if seed in seeds[:number]]:
        raise UserError(f"{where}: {repeated[0]} stands there twice: leave one out")
    taken = {*params["dgms"], *params["bases"], *params["mix"]["runs"]}
    for model in seed_models(name, seeds)[1:]:
        if model in taken:
            raise UserError(f"{where}: {model!r} is already a run or a model: rename that, or leave out the seed")
    if len(seeds) > 1 and name not in params["compare"]:
        raise UserError(f"{where}: the seeds of a run are compared by evaluation: add {name!r} to compare, or name one")


def check_base(base: str, models: list[str], where: str) -> None:
    """Raise UserError unless a run's base is a model of the profile that has weights here."""
    if base not in models:
        raise UserError(f"{where}.base: {base!r} is not in bases or dgms")
    if not has_weights(base):
        raise UserError(f"{where}.base: {base!r} has no weights to train: its file names no repository or path")


def check_judge(params: Json, where: str) -> None:
    """Raise UserError unless the judge is a model that can be asked, with prompts, and pairs are of compared models."""
    judge, pairs = params["judge"]["model"], params["pairwise"]["pairs"]
    if judge not in (NO_JUDGE, *params["dgms"], *params["bases"]):
        raise UserError(f"{where}: judge.model: {judge!r} is not in bases or dgms: add it to bases, or say {NO_JUDGE}")
    if judge != NO_JUDGE and read_entry(judge).import_:
        raise UserError(f"{where}: judge.model: {judge!r} is an import, which cannot be asked")
    check_prompts(Path(params["judge"]["prompts"]))
    met = set()
    for pair in map(frozenset, pairs if isinstance(pairs, list) else []):
        if len(pair) != 2 or not pair <= set(params["compare"]):
            raise UserError(f"{where}: pairwise.pairs: {sorted(pair)} must be two models of compare")
        if pair in met:
            raise UserError(f"{where}: pairwise.pairs names {sorted(pair)} twice; each is judged in both orders anyway")
        met.add(pair)


def has_weights(model: str) -> bool:
    """Tell whether a model of the catalogue has weights to load: not a server and not an import."""
    entry = read_entry(model)
    return not (entry.server or entry.import_)


def check_source(source: str, where: str) -> None:
    """Raise UserError for a path that DVC's experiments, which run in a copy of the repository, cannot see."""
    if source.startswith(".."):
        raise UserError(
            f"{where}: {source!r} lies outside the repository, where `dvc exp run --temp` and `--queue` "
            f"cannot see it: give an absolute path, or copy it here and `dvc add` it"
        )


def declared_reads(stage: str) -> tuple[str, ...]:
    """Return the READS of a stage's file: what it reads of params.yaml."""
    body = ast.parse((STAGES / f"{stage}.py").read_text(encoding="utf-8")).body
    for node in body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "READS":
            reads: tuple[str, ...] = ast.literal_eval(node.value)
            return reads
    raise UserError(f"{STAGES}/{stage}.py does not declare what it reads of {PARAMS}: give it `READS = (...)`")


def decided_by(params: Json, stage: str, code: Code) -> Json:
    """Return what decides a stage besides its data: its code, and what it reads of params."""
    return {"code": code.digest(f"stages.{stage}"), "params": tracked_values(params, declared_reads(stage))}


def template_digests() -> dict[str, str]:
    """Return the sha256 of the chat template of every catalogue entry, empty for an entry without one."""
    digests = {}
    for path in sorted(CATALOGUE.glob("*.yaml")):
        check_id(path.stem, str(CATALOGUE))
        text = read_template(read_entry(path.stem), str(path))
        digests[path.stem] = hashlib.sha256(text.encode()).hexdigest() if text else ""
    return digests


def keep_seeds(params: Json) -> None:
    """Write metrics/seeds.json; raise UserError when DVC has read another list of seeds in it."""
    if write_seeds(params):
        raise UserError(f"{SEEDS} listed other seeds than {PARAMS} and is written again: run the same command again")


READS = ()


def main() -> None:
    """Check the active params.yaml."""
    params = read_yaml(PARAMS)
    check_params(params, str(PARAMS))
    if find_python():  # else `train` checks them, where it runs
        check_keys(params["train"].get("axolotl", {}))
    if params["similarity"]["synonyms"]:  # else it would be missed after all has been generated
        from stages.lib.similarity.wordnet import wordnet_sha256  # nltk takes two seconds to import

        wordnet_sha256()
    keep_seeds(params)
    remove_leftovers(params)
    write_json(CHECKED / "templates.json", template_digests())
    write_json(CHECKED / "training_seeds.json", {model: made.seed for model, made in list_trainings(params).items()})
    models = (*params["dgms"], *params["bases"])
    write_json(CHECKED / "families.json", {model: read_entry(model).family for model in models})
    write_json(MODELS / NO_JUDGE / "model.json", {"id": NO_JUDGE})
    folder = params["evaluate"]["alpaca_eval_data"]
    write_json(CHECKED / "alpaca_eval.json", {"sha256": sha256_folder(Path(folder)) if folder else ""})
    code = Code()
    for stage in stage_names():
        if stage != "check":
            write_json(CHECKED / f"{stage}.json", decided_by(params, stage, code))


if __name__ == "__main__":
    run(main)
