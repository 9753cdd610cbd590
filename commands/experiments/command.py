"""Show experiments and commits in one table: what each changed, its numbers, and whether they differ. Not a stage.

python -m commands.experiments [--keys KEY …] [--base NAME] [--models ID …] [--measures NAME …]
                               [--num NUM] [--out FILE …]

Rows are the workspace, DVC's experiments and NUM commits that changed metrics/, in a group for each model. Differences
are to the base: HEAD, or the experiment, commit, branch or tag that `--base` names. Nothing in the project changes.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory

from commands.experiments.cache import find_cache
from commands.experiments.changes import find_keys, list_changed
from commands.experiments.files import check_file, write_file
from commands.experiments.notices import list_notices
from commands.experiments.pending import Pending, list_pending
from commands.experiments.screen import MOST_KEYS, describe
from commands.experiments.states import (
    Kind,
    State,
    git,
    list_commits,
    list_experiments,
    read_commit,
    read_files,
    read_workspace,
)
from commands.experiments.table import Table, build_rows, list_measures, list_models, sort_by_params
from stages.lib.console.errors import UserError
from stages.lib.settings.reading import load
from stages.lib.settings.sections import Differences

HEAD = "HEAD"
WIDTH = 100  # columns where there is no terminal
NUM_COMMITS = 5  # where there are no experiments
MOST_DIGITS = 4  # of a number of commits


def read_num(text: str) -> int:
    """Return the number of commits that the user asks for; raise UserError for what is not one."""
    if not (text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS):
        raise UserError(f"NUM={text}: name a number of commits, 0 to {10**MOST_DIGITS - 1}")
    return int(text)


def find_base(name: str, experiments: Sequence[State]) -> State | None:
    """Return the state that others are compared with; None where there is no commit yet.

    Raises UserError for a name that is no experiment, commit, branch or tag.
    """
    named = next((state for state in experiments if state.name == name), None) or read_commit(name)
    if named is None and name != HEAD:
        nearest = get_close_matches(name, [state.name for state in experiments], n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else "`dvc exp list --all-commits` and `git log` list them"
        raise UserError(f"BASE={name}: there is no experiment, commit, branch or tag of this name; {hint}")
    return named


def list_states(base_name: str, num: int | None) -> tuple[list[State], State | None]:
    """List the states with numbers: the base, the workspace, experiments, commits; and tell which is the base.

    A commit that is like one before it is left out, and so is a workspace that is like any other.
    """
    experiments = list_experiments()
    base = find_base(base_name, experiments)
    shown = NUM_COMMITS if num is None and not experiments else num or 0
    others = [*experiments, *list_commits(shown)]
    found = {state.commit: state for state in ([base] if base else []) + others}
    read = read_files(list(found.values()))
    workspace = read_workspace()
    states: list[State] = []
    for state in [*read[:1], workspace, *read[1:]] if base else [workspace, *read]:
        is_known = any(state.is_like(other) for other in states)
        in_experiment = state is workspace and any(workspace.is_like(other) for other in read)
        if state.headlines and not in_experiment and (state.kind == Kind.EXPERIMENT or not is_known):
            states.append(state)
    return states, next((state for state in states if base and state.commit == base.commit), None)


def choose(asked: Sequence[str], known: Sequence[str], option: str) -> list[str]:
    """Return the names that the user asks for, or all; raise UserError for one that is not known."""
    for name in asked:
        if name not in known:
            nearest = get_close_matches(name, known, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(known)}"
            raise UserError(f"{option}={name}: no experiment has it; {hint}")
    return list(asked) or list(known)


def build(options: argparse.Namespace, scratch: Path) -> Table:
    """Build the table that the user asks for."""
    num = None if options.num is None else read_num(options.num)
    states, base = list_states(options.base, num)
    if not states:
        raise UserError("there are no numbers yet, here or in an experiment: `dvc repro` makes the first")
    changed = list_changed(states, base)
    keys = find_keys(options.keys, states, changed) or (changed if len(changed) <= MOST_KEYS else [])
    all_models = list(dict.fromkeys(model for state in states for model in state.headlines))
    models = choose(options.models, all_models, "MODELS") if options.models else list_models(states, base)
    rows = build_rows(states, base, models, keys, load(Differences), find_cache(), scratch)
    if options.keys:
        rows = sort_by_params(rows)
    measures = choose(options.measures, list_measures(rows), "MEASURES")
    table = Table(rows, keys, measures, base, [])
    return replace(table, notices=list_notices(table, states, find_pending(states)))


def find_pending(states: Sequence[State]) -> list[Pending]:
    """List the experiments without numbers."""
    head = read_commit(HEAD)
    names = [state.name for state in states if state.kind == Kind.EXPERIMENT]
    return list_pending(names, head.commit if head else "")


def check_repository() -> None:
    """Raise UserError where there is no git repository with DVC."""
    git("rev-parse", "--git-dir")
    if not Path(".dvc").is_dir():
        raise UserError("there is no .dvc here: run this from the root of the repository")


def main(arguments: list[str] | None = None) -> None:
    """Show the table, and write the files that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m commands.experiments",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name in ("keys", "models", "measures"):
        parser.add_argument(f"--{name}", nargs="*", default=[], metavar=name[:-1].upper())
    parser.add_argument("--base", default=HEAD)
    parser.add_argument("--num")
    parser.add_argument("--out", nargs="*", type=Path, default=[], metavar="FILE")
    options = parser.parse_args(arguments)
    for file in options.out:
        check_file(file)
    check_repository()
    with TemporaryDirectory(prefix="experiments-") as scratch:
        table = build(options, Path(scratch))
    for line in describe(table, find_width()):
        print(line)
    for file in options.out:
        write_file(file, table)
        print(f"wrote {file}")


def find_width() -> int:
    """Return the columns of the terminal."""
    return shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else WIDTH
