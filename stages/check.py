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
from collections.abc import Mapping
from pathlib import Path

from stages.lib.checking.models import read_catalogue
from stages.lib.checking.params import check_all, read_params
from stages.lib.console.errors import UserError
from stages.lib.core.code import Code, stage_names
from stages.lib.core.files import sha256_folder, write_json
from stages.lib.core.leftovers import remove_leftovers
from stages.lib.core.names import NO_JUDGE
from stages.lib.core.sections import PARAMS
from stages.lib.core.seeds import SEEDS, list_trainings, write_seeds
from stages.lib.core.types import Json
from stages.lib.models.catalogue import CATALOGUE, MODELS, Entry, read_template
from stages.lib.settings.reading import run, tracked_values

STAGES = Path("stages")
CHECKED = Path("data/checked")


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


def template_digests(entries: Mapping[str, Entry]) -> dict[str, str]:
    """Return the sha256 of the chat template of every catalogue entry, empty for an entry without one."""
    texts = {model: read_template(entry, str(CATALOGUE / f"{model}.yaml")) for model, entry in entries.items()}
    return {model: hashlib.sha256(text.encode()).hexdigest() if text else "" for model, text in texts.items()}


def keep_seeds(params: Json) -> None:
    """Write metrics/seeds.json; raise UserError when DVC has read another list of seeds in it."""
    if write_seeds(params):
        raise UserError(f"{SEEDS} listed other seeds than {PARAMS} and is written again: run the same command again")


READS = ()


def main() -> None:
    """Check the active params.yaml."""
    params = read_params()
    catalogue = read_catalogue()
    check_all(params, str(PARAMS), catalogue, may_lack_recorded=True)
    entries, _ = catalogue
    if params["similarity"]["synonyms"]:  # else it would be missed after all has been generated
        from stages.lib.similarity.wordnet import wordnet_sha256  # nltk takes two seconds to import

        wordnet_sha256()
    keep_seeds(params)
    remove_leftovers(params)
    write_json(CHECKED / "templates.json", template_digests(entries))
    write_json(CHECKED / "training_seeds.json", {model: made.seed for model, made in list_trainings(params).items()})
    models = (*params["dgms"], *params["bases"])
    write_json(CHECKED / "families.json", {model: entries[model].family for model in models})
    write_json(MODELS / NO_JUDGE / "model.json", {"id": NO_JUDGE})
    folder = params["evaluate"]["alpaca_eval_data"]
    write_json(CHECKED / "alpaca_eval.json", {"sha256": sha256_folder(Path(folder)) if folder else ""})
    code = Code()
    for stage in stage_names():
        if stage != "check":
            write_json(CHECKED / f"{stage}.json", decided_by(params, stage, code))


if __name__ == "__main__":
    run(main)
