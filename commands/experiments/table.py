"""The table of experiments: a row for each state and model, in the order in which they are shown."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from commands.experiments.cache import CachedState
from commands.experiments.changes import ABSENT, find_changes, flatten
from commands.experiments.numbers import JUDGE, Numbers, compare_with_base, decide_together, read_numbers
from commands.experiments.states import State
from stages.lib.console.shell import progress
from stages.lib.report.headlines import OWN_COLUMNS
from stages.lib.settings.sections import Differences

AVERAGE = "average"


@dataclass(frozen=True)
class Row:
    """A model in one state of the project."""

    state: State
    model: str
    params: Mapping[str, Any]  # the values of the keys that are shown
    changes: Mapping[str, Any]  # all that differs from the base
    numbers: Numbers
    is_base: bool = False


@dataclass(frozen=True)
class Table:
    """All rows, in groups of one model each, and what their columns are."""

    rows: list[Row]
    keys: list[str]  # of params.yaml
    measures: list[str]
    base: State | None
    notices: list[str]  # what limits the comparison

    @property
    def groups(self) -> dict[str, list[Row]]:
        """The rows of each model."""
        models = dict.fromkeys(row.model for row in self.rows)
        return {model: [row for row in self.rows if row.model == model] for model in models}


def build_rows(
    states: Sequence[State], base: State | None, models: Sequence[str], keys: Sequence[str], settings: Differences,
    cache: Path, scratch: Path,
) -> list[Row]:  # fmt: skip
    """Build a row for each model of each state that has it."""
    sources = {state.commit: CachedState(state, cache, scratch) for state in states}
    places = [(model, state) for model in models for state in states if model in state.headlines]
    rows = []
    for model, state in progress(places, desc="reading", unit="rows"):
        if base is None or state is base or model not in base.headlines:
            numbers = read_numbers(state, sources[state.commit], model)
        else:
            pair = (sources[state.commit], sources[base.commit])
            numbers = compare_with_base((state, base), pair, model, settings)
        flat = flatten(state.params)
        params = {key: flat.get(key, ABSENT) for key in keys}
        rows.append(Row(state, model, params, find_changes(state, base), numbers, state is base))
    together = decide_together([row.numbers for row in rows])
    return [replace(row, numbers=numbers) for row, numbers in zip(rows, together, strict=True)]


def list_models(states: Sequence[State], base: State | None) -> list[str]:
    """List the models of a table: all runs, and others whose numbers are not those of the base in every state."""
    runs = dict.fromkeys(
        run for state in states for run in (state.params.get("mix") or {}).get("runs") or {} if run in state.headlines
    )
    others = dict.fromkeys(
        model
        for state in states
        for model, numbers in state.headlines.items()
        if base and model in base.headlines and numbers != base.headlines[model]
    )
    return list(runs | others)


def list_measures(rows: Iterable[Row]) -> list[str]:
    """List the numbers of a table: the average, the judge's score, further averages and benchmarks, then the rest."""
    names = list(dict.fromkeys(name for row in rows for name in row.numbers.cells))
    first = [name for name in (AVERAGE, JUDGE) if name in names]
    rest = ["markup", *(name for name in OWN_COLUMNS if name != "markup")]
    benchmarks = [name for name in names if name not in {*first, *rest}]
    return [*first, *benchmarks, *(name for name in rest if name in names and name not in first)]


def sort_by_params(rows: Sequence[Row]) -> list[Row]:
    """Sort the rows of each model by their params, numbers before texts, and leave the models in their order."""
    models = list(dict.fromkeys(row.model for row in rows))
    return sorted(rows, key=lambda row: (models.index(row.model), [rank(value) for value in row.params.values()]))


def rank(value: Any) -> tuple[int, float, str]:
    """Return by what a value is sorted."""
    if is_number(value):
        return 0, float(value), ""
    return (2, 0.0, "") if value is ABSENT else (1, 0.0, str(value))


def is_number(value: Any) -> bool:
    """Tell whether a value of params.yaml is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)
