"""How a stage reads params.yaml: only what it declares in its READS, and so depends on.

`READS = ("validate", "generate")` beside a stage's main names sections; "mix.runs" one key of a section; "auxiliary.*"
one entry by its name, which dvc.yaml tracks itself. `check` writes the values of all the others to
data/checked/<stage>.json. `runtime` is declared too, but never tracked: it says how to run, not what comes out.
"""

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from stages.lib.console.errors import UserError
from stages.lib.console.shell import exit_on_user_error
from stages.lib.core.sections import PARAMS, S, Section, parse, read_yaml
from stages.lib.core.seeds import Training, list_trainings
from stages.lib.core.types import Json
from stages.lib.settings.sections import ENTRIES, SECTIONS

UNTRACKED = "runtime"
FINISHED_STAGES = "finished stages are kept, run it again to go on"  # said of a stage that is interrupted
ENTRY = ".*"
RUNS = "mix.runs"
_READS: ContextVar[tuple[str, ...] | None] = ContextVar("READS", default=None)  # None: a command, which reads anything


def run(main: Callable[..., None]) -> None:
    """Call the main of a stage with the arguments of the command line; it may read the sections of its READS."""
    module = inspect.getmodule(main)
    program = module.__spec__.name if module and module.__spec__ else "stages"
    names = list(inspect.signature(main).parameters)
    if len(sys.argv) - 1 != len(names):
        sys.exit(f"usage: python -m {program} {' '.join(f'<{name}>' for name in names)}".rstrip())
    with exit_on_user_error(program.rpartition(".")[2], FINISHED_STAGES), declared(getattr(module, "READS", ())):
        main(*sys.argv[1:])


@contextmanager
def declared(reads: tuple[str, ...]) -> Iterator[None]:
    """Hand out nothing but these sections and keys in the block."""
    token = _READS.set(reads)
    try:
        yield
    finally:
        _READS.reset(token)


def load(model: type[S], path: Path = PARAMS) -> S:
    """Read a section of params.yaml, or of it only the keys that the stage declares.

    Raises UserError for a missing or wrong section, and LookupError for one that the stage does not declare.
    """
    name = next(name for name, section in SECTIONS.items() if section is model)
    content = read_yaml(path)
    if name not in content:
        raise UserError(f"{path}: the section `{name}` is missing")
    section = parse(model, content[name], f"{path}: {name}")
    reads = _READS.get()
    return section if reads is None or name in reads else _restrict(section, name, reads)


def _restrict(section: S, name: str, reads: tuple[str, ...]) -> S:
    """Return a section without the keys that a stage does not declare: to use one is an AttributeError."""
    keys = {read.partition(".")[2] for read in reads if read.startswith(f"{name}.")}
    if not keys:
        raise _undeclared(name)
    part = section.model_copy()
    for key in set(type(section).model_fields) - keys:
        del part.__dict__[key]
    return part


def load_entry(model: type[S], key: str, path: Path = PARAMS) -> S:
    """Read one entry of `hub` or `auxiliary` by its name."""
    name = _name_of_entries(model)
    _require(name + ENTRY)
    entries = _entries(name, read_yaml(path))
    if key not in entries:
        raise UserError(f"{path}: `{name}` has no {key!r}; it has: {', '.join(entries) or 'nothing'}")
    return parse(model, entries[key], f"{path}: {name}.{key}")


def load_training(model: str, path: Path = PARAMS) -> Training:
    """Read what a model is trained from, by its id: dvc.yaml tracks the base and the seed of each."""
    _require(RUNS + ENTRY)
    trainings = list_trainings(read_yaml(path))
    if model not in trainings:
        raise UserError(f"{path}: `{RUNS}` trains no {model!r}; it trains: {', '.join(trainings) or 'nothing'}")
    return trainings[model]


def load_entries(model: type[S], path: Path = PARAMS) -> dict[str, S]:
    """Read all entries of `hub` or `auxiliary`, by name."""
    name = _name_of_entries(model)
    _require(name)
    return {key: parse(model, entry, f"{path}: {name}.{key}") for key, entry in _entries(name, read_yaml(path)).items()}


def load_value(name: str, path: Path = PARAMS) -> Any:
    """Read a value that is not a section: `profile`, `dgms`, `bases` or `compare`."""
    _require(name)
    return read_yaml(path)[name]


def tracked_values(params: Json, reads: tuple[str, ...]) -> Json:
    """Return, complete and typed, the values of whole params that a stage with these READS depends on."""
    return {name: _value(params, name) for name in reads if name != UNTRACKED and not name.endswith(ENTRY)}


def _value(params: Json, name: str) -> Any:
    section, _, key = name.partition(".")
    if section in ENTRIES:
        entries = _entries(section, params)
        return {name: parse(ENTRIES[section], entry, section).model_dump() for name, entry in entries.items()}
    if section not in SECTIONS:
        return params[section]
    values = parse(SECTIONS[section], params[section], section).model_dump()
    return values[key] if key else values


def _name_of_entries(model: type[Section]) -> str:
    return next(name for name, entry in ENTRIES.items() if entry is model)


def _entries(name: str, params: Json) -> Json:
    return params.get(name) or {}


def _require(name: str) -> None:
    reads = _READS.get()
    if reads is not None and name not in reads:
        raise _undeclared(name)


def _undeclared(name: str) -> LookupError:
    return LookupError(f"the stage reads `{name}` of params.yaml, but its READS does not declare it")
