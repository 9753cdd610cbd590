"""The models that the runs of params.yaml make: one for each training seed, of which the first has the id of the run.

dvc.yaml cannot expand a list for each run, so metrics/seeds.json lists the models of all seeds but the first.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from stages.lib.core.files import write_json
from stages.lib.core.types import Json

SEEDS = Path("metrics/seeds.json")


class Training(NamedTuple):
    """What a model is trained from: the mix of a run, its base model, and a seed."""

    run: str
    base: str
    seed: int


def seed_models(run: str, seeds: Sequence[int]) -> list[str]:
    """List the ids of a run's models, that of its first seed first; without seeds there is one, of `train.seed`."""
    return [run, *(f"{run}-seed{seed}" for seed in seeds[1:])]


def list_trainings(params: Json) -> dict[str, Training]:
    """Return what every model of a whole params.yaml is trained from, by its id."""
    trainings = {}
    for run, entry in params["mix"]["runs"].items():
        named = entry.get("seeds", [])
        for model, seed in zip(seed_models(run, named), named or [params["train"]["seed"]], strict=True):
            trainings[model] = Training(run, entry["base"], seed)
    return trainings


def other_seeds(params: Json) -> dict[str, Training]:
    """Return what the models of all seeds but the first of each run are trained from, by their ids."""
    return {model: training for model, training in list_trainings(params).items() if model != training.run}


def write_seeds(params: Json) -> bool:
    """Write metrics/seeds.json; tell whether that changed it."""
    before = SEEDS.read_bytes() if SEEDS.exists() else b""
    write_json(SEEDS, {"seeds": {model: training._asdict() for model, training in other_seeds(params).items()}})
    return SEEDS.read_bytes() != before
