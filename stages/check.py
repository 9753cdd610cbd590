"""Read all of params.yaml and the catalogue, and name what is wrong before anything runs.

In:  params.yaml, dgms/
Out: data/checked/<stage>.json: the section and the code of each stage, on which it depends;
     data/checked/templates.json: the digest of each catalogue entry's chat template, on which only its own resolve does
"""

import hashlib
import re
from pathlib import Path
from typing import Any

from stages import (
    answers,
    auxiliary,
    fetch,
    gate,
    pairwise,
    preference,
    prompts,
    recipes,
    report,
    similarity,
    styling,
    throughput,
    train,
    validate,
)
from stages.lib.console.errors import UserError
from stages.lib.console.shell import run
from stages.lib.core.code import Code
from stages.lib.core.files import sha256_folder, write_json
from stages.lib.core.sections import ID, PARAMS, Section, parse, read_yaml
from stages.lib.engines.request import Generate
from stages.lib.evaluation.evalchemy import check_tasks
from stages.lib.evaluation.tasks import Evaluate
from stages.lib.judging.judge import Judge, check_prompts
from stages.lib.models.catalogue import CATALOGUE, read_entry, read_template
from stages.lib.records.pairings import TIE
from stages.lib.settings.sections import Runtime
from stages.lib.similarity.wordnet import wordnet_sha256
from stages.lib.training.axolotl import check_keys, find_python

SECTIONS: dict[str, type[Section]] = {
    "prompts": prompts.Prompts,
    "generate": Generate,
    "validate": validate.Validate,
    "gate": gate.Gate,
    "mix": recipes.Mix,
    "train": train.Train,
    "answers": answers.Answers,
    "evaluate": Evaluate,
    "judge": Judge,
    "pairwise": pairwise.Pairwise,
    "preference": preference.Preference,
    "styling": styling.Styling,
    "similarity": similarity.Similarity,
    "throughput": throughput.Throughput,
    "report": report.Report,
    "runtime": Runtime,
}
ENTRIES: dict[str, type[Section]] = {"hub": fetch.Hub, "auxiliary": auxiliary.Auxiliary}
LISTS = ("dgms", "bases", "compare")
USES = {  # what a stage reads of params.yaml besides its own section
    "agreement": ["compare", "mix.runs"],
    "benchmarks": ["evaluate.tasks", "evaluate.local", "mix.contamination"],
    "headlines": ["dgms", "compare", "mix.runs"],
    "judge": ["answers.questions"],
    "pairwise": ["judge", "answers.questions", "compare"],
    "preference": ["compare"],
    "recipes": ["dgms", "auxiliary", "mix"],
    "report": ["profile", "dgms", "compare"],
    "styling": ["compare"],
    "validate": ["generate"],
}


def check_params(params: dict[str, Any], where: str) -> None:
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
    check_source(params["prompts"]["source"], f"{where}: prompts.source")
    for key, entry in (params["auxiliary"] or {}).items():
        check_source(entry["source"], f"{where}: auxiliary.{key}.source")


def check_id(name: object, where: str) -> None:
    """Raise UserError unless a name can be a DVC key and a folder."""
    if name == TIE:
        raise UserError(f"{where}: {name!r} is what a judge says of two equal replies, and so no id")
    if not isinstance(name, str) or not re.match(ID, name):
        raise UserError(f"{where}: {name!r} is not an id: use lower-case letters, digits, - and _ (as '0-9' in quotes)")


def check_lists(params: dict[str, Any], where: str) -> None:
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


def check_compared(params: dict[str, Any], where: str) -> None:
    """Raise UserError unless everything that is compared is a run, or a model with weights."""
    runs = params["mix"]["runs"]
    for value in params["compare"]:
        if value not in (*params["dgms"], *params["bases"], *runs):
            raise UserError(f"{where}: compare names {value!r}, which is no id of dgms, bases or mix.runs")
        if value not in runs and not has_weights(value):
            raise UserError(f"{where}: compare names {value!r}, which has no weights here to evaluate")


def check_runs(params: dict[str, Any], where: str) -> None:
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


def check_base(base: str, models: list[str], where: str) -> None:
    """Raise UserError unless a run's base is a model of the profile that has weights here."""
    if base not in models:
        raise UserError(f"{where}.base: {base!r} is no id of bases or dgms")
    if not has_weights(base):
        raise UserError(f"{where}.base: {base!r} has no weights to train: its file names no repository or path")


def check_judge(params: dict[str, Any], where: str) -> None:
    """Raise UserError unless the judge is a model that can be asked, with prompts, and pairs are of compared models."""
    judge, pairs = params["judge"]["model"], params["pairwise"]["pairs"]
    if judge not in (*params["dgms"], *params["bases"]):
        raise UserError(f"{where}: judge.model: {judge!r} is no id of bases or dgms: add it to bases")
    if read_entry(judge).import_:
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
    """Whether a model of the catalogue can be loaded, and is not only asked for replies, or for those that exist."""
    entry = read_entry(model)
    return not (entry.server or entry.import_)


def check_source(source: str, where: str) -> None:
    """Raise UserError for a path that DVC's experiments, which run in a copy of the repository, cannot see."""
    if source.startswith(".."):
        raise UserError(
            f"{where}: {source!r} lies outside the repository, where `dvc exp run --temp` and `--queue` "
            f"cannot see it: give an absolute path, or copy it here and `dvc add` it"
        )


def decided_by(params: dict[str, Any], stage: str, code: Code) -> dict[str, Any]:
    """What decides a stage besides its data: its section, complete and typed, and its code."""
    found: dict[str, Any] = {"code": code.digest(f"stages.{stage}")}
    if stage in SECTIONS and stage != "mix":  # a mix depends on its recipe; `recipes` reads the section `mix`
        found["params"] = parse(SECTIONS[stage], params[stage], stage).model_dump()
    for name in USES.get(stage, []):
        section, _, key = name.partition(".")
        value = params[section][key] if key else params[section]
        found[name] = sorted(value or {}) if name == "auxiliary" else value
    if stage == "evaluate" and (folder := params["evaluate"]["alpaca_eval_data"]):
        found["alpaca_eval_data"] = sha256_folder(Path(folder))
    if stage == "agreement":
        found["families"] = {model: read_entry(model).family for model in (*params["dgms"], *params["bases"])}
    return found


def template_digests() -> dict[str, str]:
    """The digest of every catalogue entry's chat template, empty where it has none of its own."""
    found = {}
    for path in sorted(CATALOGUE.glob("*.yaml")):
        check_id(path.stem, str(CATALOGUE))
        text = read_template(read_entry(path.stem), str(path))
        found[path.stem] = hashlib.sha256(text.encode()).hexdigest() if text else ""
    return found


def main() -> None:
    """Check the active params.yaml."""
    params = read_yaml(PARAMS)
    check_params(params, str(PARAMS))
    if find_python():  # else `train` checks them, where it runs
        check_keys(params["train"].get("axolotl", {}))
    if params["similarity"]["synonyms"]:  # else it would be missed after all has been generated
        wordnet_sha256()
    write_json(Path("data/checked/templates.json"), template_digests())
    code = Code()
    for path in sorted(Path("stages").glob("[!_]*.py")):
        if path.stem != "check":
            write_json(Path("data/checked") / f"{path.stem}.json", decided_by(params, path.stem, code))


if __name__ == "__main__":
    run(main)
