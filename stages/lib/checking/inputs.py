"""The checks of the small files that params.yaml names, and how checks are made."""

from collections.abc import Callable, Iterable, Iterator

from stages.lib.checking import sources, tasks
from stages.lib.checking.profile import Profile
from stages.lib.console.errors import UserError
from stages.lib.console.faults import Fault, describe

Needs = tuple[str, ...]  # the keys that a check reads: it is made where these are right by themselves
Checks = tuple[tuple[Callable[[Profile], Iterable[Fault]], Needs], ...]
INPUT_CHECKS: Checks = (
    (tasks.find_task_faults, ("evaluate.tasks", "evaluate.tasks_folder", "evaluate.local_data")),
    (sources.find_question_faults, ("answers.questions",)),
    (sources.find_judge_prompt_faults, ("judge.prompts",)),
)


def check_inputs(profile: Profile) -> None:
    """Raise UserError with a line for each thing that is wrong with the small files that params name."""
    raise_faults(run_checks(profile, INPUT_CHECKS))


def run_checks(profile: Profile, checks: Checks) -> Iterator[Fault]:
    """Yield what the checks find whose keys are there."""
    for check, needs in checks:
        if all(map(profile.has, needs)):
            yield from check(profile)


def raise_faults(faults: Iterable[Fault]) -> None:
    """Raise UserError with a line for each mistake, if there is any."""
    if found := list(faults):
        raise UserError(describe(found))
