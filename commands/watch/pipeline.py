"""Which stages are done, run or wait: from dvc.yaml, dvc.lock and DVC's own locks, without DVC, which a run blocks.

A stage counts as done when dvc.lock has it, with what its deps and params are now, its outs are here, and all that it
depends on is done.
Only `check`, on which all depend, does not count here: what it writes decides, and that seldom changes. Folders, and
files above MAX_BYTES, are taken to be what dvc.lock says; `dvc status` reads them too.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML, YAMLError

from stages.lib.console.errors import UserError
from stages.lib.core.types import Json

MAX_BYTES = 10_000_000
CHECK = "check"
LOCKS = Path(".dvc/tmp/rwlock")
REFERENCE = re.compile(r"\$\{([\w.]+)\}")
State = Literal["done", "running", "waiting"]


@dataclass(frozen=True)
class Pipeline:
    """The stages of a checkout, as they were when its files were read."""

    graph: Json  # dvc.yaml
    lock: Json  # dvc.lock's stages
    values: Json  # params.yaml, and the files that dvc.yaml names as `vars`
    running: frozenset[str]  # the outs, as paths in the checkout, that DVC is writing

    @cached_property
    def names(self) -> dict[str, list[str]]:
        """The stages of each entry of dvc.yaml, such as generate@demo-rich."""
        return {name: list(expand(name, entry, self.values)) for name, entry in self.graph["stages"].items()}

    @cached_property
    def states(self) -> dict[str, State]:
        """The state of every stage."""
        known: dict[str, bool] = {}
        return {
            name: "running" if self._is_running(name) else "done" if self._is_done(name, known) else "waiting"
            for names in self.names.values()
            for name in names
        }

    @cached_property
    def _outs(self) -> dict[str, tuple[str, str]]:
        """The stage and the md5 of each out in dvc.lock, by path; of stages that dvc.yaml still has."""
        current = {name for names in self.names.values() for name in names}
        return {
            out["path"]: (name, out.get("md5", ""))
            for name, entry in self.lock.items()
            if name in current
            for out in entry.get("outs", [])
        }

    def _is_running(self, name: str) -> bool:
        """Whether DVC is writing an out of a stage: as dvc.lock has it, or as dvc.yaml says it of a new one."""
        key = name.partition("@")[2]
        entry = self.graph["stages"][name.partition("@")[0]]
        declared = [out if isinstance(out, str) else next(iter(out)) for out in entry.get("do", entry).get("outs", [])]
        paths = {re.sub(r"\$\{(item\.\w+|key)\}", key, path) for path in declared}
        return not paths.isdisjoint(self.running)

    def _is_done(self, name: str, known: dict[str, bool]) -> bool:
        if name not in known:
            known[name] = False  # a circle, which dvc.yaml cannot have, is never done
            entry = self.lock.get(name)
            known[name] = entry is not None and self._is_current(entry) and self._producers_done(entry, known)
        return known[name]

    def _is_current(self, entry: Json) -> bool:
        """Whether the outs of a stage are here, and its deps and params what they were when it ran."""
        if not all(Path(out["path"]).exists() for out in entry.get("outs", [])):
            return False
        for dep in entry.get("deps", []):
            now = self._outs[dep["path"]][1] if dep["path"] in self._outs else md5_of(Path(dep["path"]))
            if now and now != dep.get("md5"):
                return False
        return all(
            find_value(content, key) == value
            for file, values in entry.get("params", {}).items()
            for content in [read_values(Path(file))]
            for key, value in values.items()
        )

    def _producers_done(self, entry: Json, known: dict[str, bool]) -> bool:
        paths = [dep["path"] for dep in entry.get("deps", [])]
        producers = {
            stage
            for out, (stage, _) in self._outs.items()
            for path in paths
            if out == path or out.startswith(f"{path}/")
        }
        return all(self._is_done(stage, known) for stage in producers - {CHECK})


def read_pipeline(root: Path = Path()) -> Pipeline:
    """Read the state of the pipeline in a folder."""
    graph = read_values(root / "dvc.yaml")
    values = read_values(root / "params.yaml")
    for file in graph.get("vars", []):
        values = values | read_values(root / file)
    return Pipeline(graph, read_lock(root / "dvc.lock"), values, frozenset(written_now(root)))


def read_lock(path: Path) -> Json:
    """Return the stages of dvc.lock; raise UserError where it is half written, as DVC writes it in place."""
    lock = read_values(path)
    stages = lock.get("stages", {}) if isinstance(lock, dict) else None
    if not isinstance(stages, dict) or not all(map(is_whole, stages.values())):
        raise UserError(f"{path} is being written")
    return stages


def is_whole(stage: Any) -> bool:
    """Tell whether a stage of dvc.lock has the form that DVC gives it."""
    if not isinstance(stage, dict) or not isinstance(stage.get("params", {}), dict):
        return False
    files = [stage.get("deps", []), stage.get("outs", [])]
    return all(isinstance(value, dict) for value in stage.get("params", {}).values()) and all(
        isinstance(entries, list) and all(isinstance(entry, dict) and entry.get("path") for entry in entries)
        for entries in files
    )


_READ: dict[Path, tuple[float, Any]] = {}  # what files held when they were last changed
_HASHED: dict[Path, tuple[float, str]] = {}


def read_values(path: Path) -> Json:
    """Read a YAML or JSON file, again only when it was changed; empty where there is none."""
    if not path.exists():
        return {}
    path = path.absolute()
    changed = path.stat().st_mtime
    if path not in _READ or _READ[path][0] != changed:
        try:
            _READ[path] = changed, YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {}
        except YAMLError as error:
            raise UserError(f"{path}: {str(error).splitlines()[0]}") from None
    content: Json = _READ[path][1]
    return content


def md5_of(path: Path) -> str:
    """Return DVC's hash of a small file, in hex; empty for a folder, a large file and none."""
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        return ""
    path = path.absolute()
    changed = path.stat().st_mtime
    if path not in _HASHED or _HASHED[path][0] != changed:
        _HASHED[path] = changed, hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    return _HASHED[path][1]


def written_now(root: Path) -> Iterator[str]:
    """Yield the paths that a live DVC is writing."""
    locks = root / LOCKS
    try:
        held = json.loads(locks.read_text(encoding="utf-8")) if locks.exists() else {}
    except json.JSONDecodeError:  # DVC is writing the file
        return
    for path, writer in held.get("write", {}).items():
        if Path(f"/proc/{writer['pid']}").exists():
            yield os.path.relpath(path, root.resolve())


def expand(name: str, entry: Json, values: Json) -> Iterator[str]:
    """Yield the stages of an entry of dvc.yaml: itself, or one for each key of `foreach` or value of `matrix`."""
    items = entry.get("foreach") or next(iter(entry.get("matrix", {}).values()), None)
    if items is None:
        yield name
        return
    reference = REFERENCE.fullmatch(items) if isinstance(items, str) else None
    for item in (find_value(values, reference[1]) if reference else items) or ():
        yield f"{name}@{item}"


def find_value(content: Any, key: str) -> Any:
    """Return the value of a key such as `mix.runs`; None where there is none."""
    for part in key.split("."):
        content = content.get(part) if isinstance(content, dict) else None
    return content
