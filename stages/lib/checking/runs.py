"""What is wrong with the runs of `mix` and what is compared: ids of models and sets, weights, seeds."""

import math
from collections.abc import Iterator

from stages.lib.checking.profile import Profile
from stages.lib.console.faults import Fault, nearest, suggest
from stages.lib.core.seeds import seed_models
from stages.lib.core.types import Json
from stages.lib.models.catalogue import CATALOGUE


def find_run_faults(profile: Profile) -> Iterator[Fault]:
    """Yield what is wrong with each run."""
    for name, entry in profile.params["mix"]["runs"].items():
        run = f"mix.runs.{name}"
        if name in profile.ids():
            yield profile.fault(run, "a run cannot have the id of a model: rename it")
        if not entry.get("dgms") and not entry.get("auxiliary"):
            yield profile.fault(run, "takes no rows: give it dgms or auxiliary")
        yield from find_base_faults(profile, entry["base"], run)
        yield from find_source_faults(profile, entry, run)
        yield from find_weight_faults(profile, entry.get("dgms") or {}, run)
        yield from find_seed_faults(profile, name, entry.get("seeds", []))


def find_base_faults(profile: Profile, base: str, run: str) -> Iterator[Fault]:
    """Yield why a run cannot be trained from a base model."""
    if base not in profile.ids():
        hint = suggest(base, profile.ids()) if base not in profile.models else ""
        yield profile.fault(run, f"{base!r} is not in bases or dgms{hint or ': add it to bases'}", "base")
    elif not has_weights(profile, base):
        yield profile.fault(
            run, f"{base!r} has no weights to train: its file names a server or an import, name another model", "base"
        )


def find_source_faults(profile: Profile, entry: Json, run: str) -> Iterator[Fault]:
    """Yield the sources of a run that the profile does not have."""
    dgms = profile.names("dgms")
    for kind in ("dgms", "auxiliary"):
        known = profile.names(kind)
        for source in entry.get(kind) or {}:
            if source not in known and not (kind == "dgms" and is_explained(profile, source, kind)):
                yield profile.fault(run, f"{source!r} is not in {kind}{suggest(source, known)}", kind, source)
    if (reference := entry.get("reference", "")) and reference not in dgms:
        yield profile.fault(run, f"{reference!r} is not in dgms{suggest(reference, dgms)}", "reference")


def is_in_catalogue(model: str) -> bool:
    """Tell whether the catalogue has a file for a model."""
    return (CATALOGUE / f"{model}.yaml").exists()


def is_explained(profile: Profile, model: str, kind: str) -> bool:
    """Tell whether a model of the catalogue stands in a list under a wrong name, which has a line of its own."""
    near = nearest(model, profile.names(kind))
    return bool(near) and is_in_catalogue(model) and not is_in_catalogue(near)


def find_weight_faults(profile: Profile, weights: dict[str, float], run: str) -> Iterator[Fault]:
    """Yield weights that divide no rows; a single 0 takes nothing of one DGM, as a sweep over weights may want it."""
    for dgm, weight in weights.items():
        if weight < 0 or not math.isfinite(weight):
            yield profile.fault(run, f"a weight is 0 or more, got {weight:g}", "dgms", dgm)
    if weights and not any(weights.values()):
        yield profile.fault(run, "all weights are 0, so nothing is taken: give one DGM a weight above 0", "dgms")


def find_seed_faults(profile: Profile, name: str, seeds: list[int]) -> Iterator[Fault]:
    """Yield seeds that repeat, whose models' ids are taken, or whose models would not be compared."""
    run = f"mix.runs.{name}"
    for number, seed in enumerate(seeds):
        if seed in seeds[:number]:
            yield profile.fault(run, f"{seed} stands there twice: leave one out", "seeds", number)
    taken = {*profile.ids(), *profile.names("mix.runs")}
    for number, model in enumerate(seed_models(name, seeds)[1:], 1):
        if model in taken and seeds[number] not in seeds[:number]:
            problem = f"{model!r} is already a run or a model: rename that, or leave out the seed"
            yield profile.fault(run, problem, "seeds", number)
    if len(seeds) > 1 and name not in (profile.params.get("compare") or []):
        yield profile.fault(
            run, f"the seeds of a run are compared by evaluation: add {name!r} to compare, or name one seed", "seeds"
        )


def find_compared_faults(profile: Profile) -> Iterator[Fault]:
    """Yield what is compared and is neither a run nor a model with weights."""
    runs = profile.names("mix.runs")
    for number, value in profile.listed("compare"):
        if value not in (*profile.ids(), *runs):
            problem = f"{value!r} is not in dgms, bases or mix.runs{suggest(value, [*profile.ids(), *runs])}"
            yield profile.fault("compare", problem, number)
        elif value not in runs and not has_weights(profile, value):
            yield profile.fault("compare", f"{value!r} has no weights here to evaluate: leave it out", number)


def find_suitability_faults(profile: Profile) -> Iterator[Fault]:
    """Yield what stands among the base models of `suitability` and cannot be trained."""
    bases = profile.params["suitability"]["bases"]
    for number, base in enumerate(bases):
        problem = ""
        if base in bases[:number]:
            problem = f"{base!r} stands there twice: leave one out"
        elif base not in profile.ids():
            problem = f"{base!r} is not in bases or dgms{suggest(base, profile.ids())}"
        elif not has_weights(profile, base):
            problem = f"{base!r} has no weights to read with: its file names a server or an import, leave it out"
        if problem:
            yield profile.fault("suitability", problem, "bases", number)


def has_weights(profile: Profile, model: str) -> bool:
    """Tell whether a model has weights to load: it is not a server and not an import. One without an entry may have."""
    entry = profile.models.get(model)
    return entry is None or not (entry.server or entry.import_)
