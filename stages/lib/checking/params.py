"""All that is wrong with a params file, the catalogue and the files that they name."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ruamel.yaml import YAML, YAMLError

from stages.lib.checking import limits, models, runs, sources, tasks
from stages.lib.checking.models import Catalogue, read_catalogue
from stages.lib.checking.profile import Profile, prune
from stages.lib.checking.recorded import recorded_paths
from stages.lib.checking.schema import find_schema_faults
from stages.lib.console.errors import UserError
from stages.lib.console.faults import Fault, describe, syntax_faults
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


Check = Callable[[Profile], Iterable[Fault]]
Needs = tuple[str, ...]  # the keys that a check reads: it is made where these are right by themselves
PARAMS_CHECKS: tuple[tuple[Check, Needs], ...] = (
    (models.find_listed_faults, ()),
    (runs.find_run_faults, ("mix.runs",)),
    (runs.find_compared_faults, ("mix.runs", "compare")),
    (limits.find_judge_faults, ("judge.model",)),
    (limits.find_pair_faults, ("pairwise.pairs", "compare")),
    (limits.find_task_name_faults, ("evaluate.tasks", "evaluate.local_data", "evaluate.evalchemy")),
    (limits.find_average_faults, ("evaluate.tasks", "evaluate.evalchemy", "evaluate.averages")),
    (limits.find_reason_faults, ()),
    (limits.find_finish_faults, ("validate.finish_reasons",)),
    (limits.find_window_faults, ()),
    (limits.find_turn_faults, ("prompts.max_turns", "mix.min_turns")),
    (sources.find_place_faults, ()),
)

INPUT_CHECKS: tuple[tuple[Check, Needs], ...] = (  # of small files
    (tasks.find_task_faults, ("evaluate.tasks", "evaluate.tasks_folder", "evaluate.local_data")),
    (sources.find_question_faults, ("answers.questions",)),
    (sources.find_judge_prompt_faults, ("judge.prompts",)),
)
FILE_CHECKS: tuple[tuple[Check, Needs], ...] = (
    (find_axolotl_faults, ("train.axolotl",)),
    (models.find_local_faults, ()),
    (sources.find_source_faults, ()),
    (sources.find_language_faults, ("prompts.source",)),
    (sources.find_folder_faults, ("evaluate.alpaca_eval_data",)),
    *INPUT_CHECKS,
)


def read_params(path: Path = PARAMS) -> Json:
    """Read a params file; raise UserError with a line for each duplicate key, or for what is no YAML."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run this from the root of the repository") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text: save it as UTF-8") from None
    try:
        content = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise UserError(describe(syntax_faults(str(path), text)) or f"{path}: {error}") from None
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


def check_inputs(profile: Profile) -> None:
    """Raise UserError with a line for each thing that is wrong with the small files that params name."""
    raise_faults(run_checks(profile, INPUT_CHECKS))


def check_sections(params: Json, file: str) -> None:
    """Raise UserError with a line for each thing that is wrong in the sections of params by themselves."""
    raise_faults(find_schema_faults(params, file))


def run_checks(profile: Profile, checks: Iterable[tuple[Check, Needs]]) -> Iterator[Fault]:
    """Yield what the checks find whose keys are there."""
    for check, needs in checks:
        if all(map(profile.has, needs)):
            yield from check(profile)


def raise_faults(faults: Iterable[Fault]) -> None:
    """Raise UserError with a line for each mistake, if there is any."""
    if found := list(faults):
        raise UserError(describe(found))
