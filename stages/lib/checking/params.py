"""All that is wrong with a params file, the catalogue and the files that they name."""

from collections.abc import Iterator
from pathlib import Path

from stages.lib.checking import limits, models, runs, sources
from stages.lib.checking.inputs import INPUT_CHECKS, Checks, raise_faults, run_checks
from stages.lib.checking.models import Catalogue, read_catalogue
from stages.lib.checking.profile import Profile, prune
from stages.lib.checking.recorded import recorded_paths
from stages.lib.checking.schema import find_schema_faults
from stages.lib.console.errors import UserError
from stages.lib.console.faults import Fault, describe, load_yaml
from stages.lib.core.sections import PARAMS
from stages.lib.core.types import Json
from stages.lib.training.axolotl import check_keys, find_python


def find_axolotl_faults(profile: Profile) -> Iterator[Fault]:
    """Yield a key that Axolotl does not have; where its environment is not built, `train` says so."""
    try:
        if find_python():
            check_keys(profile.params["train"]["axolotl"])
    except UserError as error:
        key, _, problem = str(error).partition(": ")
        yield Fault(profile.file, tuple(key.split(".")), problem)


PARAMS_CHECKS: Checks = (
    (models.find_listed_faults, ()),
    (runs.find_run_faults, ("mix.runs",)),
    (runs.find_compared_faults, ("mix.runs", "compare")),
    (runs.find_suitability_faults, ("suitability.bases",)),
    (limits.find_judge_faults, ("judge.model",)),
    (limits.find_pair_faults, ("pairwise.pairs", "compare")),
    (limits.find_stop_faults, ("pairwise.stop", "pairwise.pairs", "compare")),
    (limits.find_task_name_faults, ("evaluate.tasks", "evaluate.local_data", "evaluate.evalchemy")),
    (limits.find_average_faults, ("evaluate.tasks", "evaluate.evalchemy", "evaluate.averages")),
    (limits.find_reason_faults, ()),
    (limits.find_finish_faults, ("validate.finish_reasons",)),
    (limits.find_turn_faults, ("prompts.max_turns", "mix.min_turns")),
    (sources.find_place_faults, ()),
)

FILE_CHECKS: Checks = (
    (find_axolotl_faults, ("train.axolotl",)),
    (models.find_local_faults, ()),
    (sources.find_source_faults, ()),
    (sources.find_language_faults, ("prompts.source",)),
    (sources.find_folder_faults, ("evaluate.alpaca_eval_data",)),
    *INPUT_CHECKS,
)


def read_params(path: Path = PARAMS) -> Json:
    """Read a params file; raise UserError with a line for each duplicate key, or for what is not valid YAML."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run this from the root of the repository") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text: save it as UTF-8") from None
    content, faults = load_yaml(str(path), text)
    raise_faults(faults)
    if not isinstance(content, dict):
        raise UserError(f"{path}: must hold sections, as in profiles/demo.yaml")
    return content


def examine(params: Json, file: str, catalogue: Catalogue) -> tuple[Profile, list[Fault]]:
    """Return what is right in whole params, and all that is wrong with them, apart from the files that they name."""
    entries, wrong = catalogue
    faults = list(find_schema_faults(params, file))
    sound = prune(params, faults)
    ids = Profile(file, sound, {}, params).ids()
    profile = Profile(file, sound, {name: entries[name] for name in ids if name in entries}, params)
    return profile, [*faults, *wrong, *run_checks(profile, PARAMS_CHECKS)]


def check_params(params: Json, file: str) -> list[str]:
    """Raise UserError with a line for each thing that is wrong with whole params, apart from the files that they name.

    Returns a line for each thing that is wrong with those files: they may be put there before the first run.
    """
    profile, faults = examine(params, file, read_catalogue())
    raise_faults(faults)
    return [describe([fault]) for fault in run_checks(profile, FILE_CHECKS)]


def check_all(params: Json, file: str, catalogue: Catalogue, *, may_lack_recorded: bool = False) -> None:
    """Raise UserError with a line for each thing that is wrong with whole params and the files that they name.

    With `may_lack_recorded`, not for files that are not there but that stages have read before: see `recorded_paths`.
    """
    profile, faults = examine(params, file, catalogue)
    faults += run_checks(profile, FILE_CHECKS)
    if may_lack_recorded and any(fault.missing for fault in faults):
        recorded = recorded_paths(profile.models)
        faults = [fault for fault in faults if not fault.missing or fault.missing not in recorded]
    raise_faults(faults)


def check_sections(params: Json, file: str) -> None:
    """Raise UserError with a line for each thing that is wrong in the sections of params by themselves."""
    raise_faults(find_schema_faults(params, file))
