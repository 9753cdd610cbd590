"""The tasks of Evalchemy that we run."""

from stages.lib.console.errors import UserError
from stages.lib.evaluation.evalchemy.alpaca_eval import ALPACA_EVAL
from stages.lib.evaluation.evalchemy.mixeval import MIXEVAL
from stages.lib.evaluation.evalchemy.mtbench import MTBENCH

TASKS = {task.name: task for task in (MTBENCH, ALPACA_EVAL, MIXEVAL)}


def check_tasks(primaries: dict[str, str]) -> None:
    """Raise UserError for a task, or a main metric of one, that Evalchemy does not have."""
    for name, primary in primaries.items():
        if name not in TASKS:
            raise UserError(f"evaluate.evalchemy: no task {name!r}; known: {', '.join(TASKS)}")
        known = TASKS[name].metrics
        if known and primary not in known:
            raise UserError(f"evaluate.evalchemy.{name}: no metric {primary!r}; known: {', '.join(known)}")
