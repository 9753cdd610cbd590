"""What the checks of a params file read: what of it is right by itself, and the catalogue entries that it names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.lib.console.faults import Fault, nearest
from stages.lib.console.yaml_lines import Key
from stages.lib.core.types import Json
from stages.lib.models.catalogue import Entry


@dataclass(frozen=True)
class Profile:
    """A whole params file without what is wrong by itself."""

    file: str
    params: Json
    models: Mapping[str, Entry]  # those of dgms and bases that the catalogue has
    given: Json  # the whole params as they are: for names, which also wrong entries have

    def fault(self, name: str, problem: str, *more: str | int) -> Fault:
        """Return a mistake at a key such as `mix.runs`, or, with `more`, below it."""
        return Fault(self.file, (*name.split("."), *more), problem)

    def missing(self, name: str, path: Path, *more: str | int) -> Fault:
        """Return the mistake that the path at a key is not there."""
        return Fault(self.file, (*name.split("."), *more), missing_path(path), missing=str(path))

    def has(self, name: str) -> bool:
        """Tell whether a key such as `mix.runs` is there, and right by itself."""
        return find(self.params, tuple(name.split("."))) is not None

    def names(self, name: str) -> list[str]:
        """Return the names that a list of ids or a section of entries (`dgms`, `mix.runs`, `hub`) has."""
        value = find(self.given, tuple(name.split(".")))
        names = value if isinstance(value, list | dict) else [value] if isinstance(value, str) else []
        return [str(name) for name in names]

    def listed(self, name: str) -> list[tuple[int, str]]:
        """Return the ids of a list (`dgms`, `bases`, `compare`) that are right, each with its number in the file."""
        return [(self.given[name].index(value), value) for value in self.params.get(name) or []]

    def ids(self) -> list[str]:
        """Return the ids of dgms and bases."""
        return [*self.names("dgms"), *self.names("bases")]


def find(content: Any, key: Key) -> Any:
    """Return the value at a key; None if there is none."""
    for part in key:
        if isinstance(content, dict) and part in content:
            content = content[part]
        elif isinstance(content, list) and isinstance(part, int) and part < len(content):
            content = content[part]
        else:
            return None
    return content


def missing_path(path: Path) -> str:
    """Say that a path is not there, where it ends to be, and which one was likely meant."""
    parent = path.parent
    if not parent.is_dir():
        there = next(folder for folder in (*parent.parents, Path(path.anchor or ".")) if folder.is_dir())
        first = path.relative_to(there).parts[0]
        near = nearest(first, [each.name for each in there.iterdir()])
        rest = path.relative_to(there / first)
        hint = there / near / rest if near and (there / near / rest).exists() else ""
        return f"{path} is not there" + (f"; did you mean {hint}?" if hint else f": there is no folder {there / first}")
    near = nearest(path.name, [each.name for each in parent.iterdir() if not each.name.startswith(".")])
    return f"{path} is not there" + (f"; did you mean {parent / near}?" if near else "")


def prune(params: Json, faults: Iterable[Fault]) -> Json:
    """Return params without what mistakes are in: a named entry (a run, a set), else a key of a section."""
    wrong = {fault.key[: _depth(fault.key)] for fault in faults}
    return {name: _without(value, (name,), wrong) for name, value in params.items() if (name,) not in wrong}


def _depth(key: Key) -> int:
    return 3 if key[:2] == ("mix", "runs") else 2


def _without(value: Any, key: Key, wrong: set[Key]) -> Any:
    if isinstance(value, dict):
        kept = {name: child for name, child in value.items() if (*key, name) not in wrong}
        return {name: _without(child, (*key, name), wrong) for name, child in kept.items()}
    if isinstance(value, list):
        return [child for number, child in enumerate(value) if (*key, number) not in wrong]
    return value
