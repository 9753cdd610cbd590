"""What there is to say of a table of experiments: what its words mean, what limits it, what has no numbers."""

from collections.abc import Iterator, Sequence

from commands.compare.sources import SHORT
from commands.experiments.numbers import SAME, UNPAIRED
from commands.experiments.pending import Pending
from commands.experiments.states import Kind, State, read_workspace
from commands.experiments.table import Row, Table
from stages.lib.statistics.verdicts import Verdict

MAKE_ONE = "dvc exp run --temp --name size-100 -S mix.size=100"


def list_notices(table: Table, states: Sequence[State], pending: Sequence[Pending]) -> list[str]:
    """List the sentences below a table, in the order of their weight."""
    return [
        *explain_base(table),
        *explain_words(table),
        *warn(table, states),
        *describe_workspace(states),
        *describe_pending(states, pending),
    ]


def explain_base(table: Table) -> Iterator[str]:
    """Say what the base is, or that there is none."""
    if table.base is None:
        yield "No base: the commit has no numbers. `git commit` them, or name another base: BASE=<name>."
    else:
        yield f"Base: {table.base.name}. Intervals are 95 %."


def explain_words(table: Table) -> Iterator[str]:
    """Say what the words and intervals of this table mean."""
    words = {difference.word for row in table.rows for difference in row.numbers.differences.values()}
    if words & set(Verdict):
        yield (
            "better, worse, equivalent, not decided: on the same rows, with all tests of this table corrected together "
            "(docs/compare.md). They do not know the noise of training once: `seeds` of a run does."
        )
    if SAME in words:
        yield "same: the outs are the same files as the base's."
    if UNPAIRED in words:
        yield (
            "unpaired: the rows of one side are not in DVC's cache (`dvc fetch --all-commits evaluate judge`, or "
            "`dvc exp pull`), so there is no verdict, and the interval is that of independent rows."
        )
    if any(row.numbers.is_estimated for row in table.rows):
        yield "Where the cache lacks rows, the interval of a share is that of its number of rows, each standing alone."


def describe_workspace(states: Sequence[State]) -> Iterator[str]:
    """Say which experiment or commit the workspace is like, and how to get back to the last commit."""
    workspace = read_workspace()
    likes = [state.name for state in states if state.kind != Kind.WORKSPACE and state.is_like(workspace)]
    if likes:
        yield f"The workspace is like {likes[0]}."


def warn(table: Table, states: Sequence[State]) -> Iterator[str]:
    """Say what may explain a difference besides the params that are shown."""
    commits = {state.commit for state in states if state.kind == Kind.COMMIT}
    elsewhere = [
        state
        for state in states
        if table.base and state.baseline and state.baseline not in commits | {table.base.baseline}
    ]
    if elsewhere:
        names = ", ".join(f"{state.name} (from {state.baseline[:SHORT]})" for state in elsewhere)
        yield f"Run from another commit than the base, whose code or numbers may differ: {names}."
    if not table.keys and any(row.changes for row in table.rows):
        yield (
            'Several params differ: KEYS="mix.size train.seed" gives a column to each that you name, '
            "OUT=experiments.csv to all."
        )
    hidden = dict.fromkeys(brief_name(row.state) for row in table.rows if has_more(table, row))
    if hidden:
        yield f"These changed further params, which OUT=experiments.csv lists: {', '.join(hidden)}."


def has_more(table: Table, row: Row) -> bool:
    """Tell whether a row changed params that have no column."""
    return bool(table.keys) and not set(row.changes) <= set(table.keys)


def brief_name(state: State) -> str:
    """Return the name of a state, of a commit without its subject."""
    return state.commit[:SHORT] if state.kind == Kind.COMMIT else state.name


def describe_pending(states: Sequence[State], pending: Sequence[Pending]) -> Iterator[str]:
    """Name the experiments without numbers, and how to make one where there is none."""
    for experiment in pending:
        yield f"{experiment.name}: {experiment.state}{f' ({experiment.advice})' if experiment.advice else ''}."
    if not pending and all(state.kind != Kind.EXPERIMENT for state in states):
        yield f"There is no experiment yet. `{MAKE_ONE}` makes one (docs/experiments.md)."
