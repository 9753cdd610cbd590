"""States of the project: the workspace, commits and DVC's experiments, with their params and metrics.

All of it is read from git's objects and from files: nothing is checked out, locked or written.
"""

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

from commands.compare.sources import SHORT, find_commit
from stages.lib.console.errors import UserError
from stages.lib.core.artifacts import DIGESTS
from stages.lib.core.sections import PARAMS
from stages.lib.core.types import Json

LOCK = Path("dvc.lock")
METRICS = tuple(Path("metrics") / name for name in ("headlines", "evaluate", "judge"))
DIGESTS_READ = (DIGESTS / "models", DIGESTS / "seeds")  # of the outs of the same models
READ = (PARAMS, LOCK, *METRICS, *DIGESTS_READ)
RUNTIME = "runtime"  # the section of params.yaml that changes no number
EXPERIMENTS = "refs/exps"  # in DVC's namespace: refs/exps/<2 characters>/<the rest of the baseline>/<name>
FORMAT = "%H%x00%ct%x00%s"


class Kind(StrEnum):
    """What a state is."""

    WORKSPACE = "workspace"
    EXPERIMENT = "experiment"
    COMMIT = "commit"


@dataclass(frozen=True)
class State:
    """One state of the project. `files` holds params.yaml, dvc.lock and the metrics that were there, by path.

    Digests of the outs are among the metrics.
    """

    name: str
    kind: Kind
    commit: str  # its full hash; empty for the workspace
    files: Mapping[str, bytes]
    time: int = 0  # of the commit, in seconds since 1970
    baseline: str = ""  # the commit that an experiment was run from

    @cached_property
    def params(self) -> Json:
        """What params.yaml holds; empty where there is none that can be read."""
        return self._yaml(PARAMS)

    @cached_property
    def hashes(self) -> dict[str, str]:
        """The hash of every out in dvc.lock, by path."""
        outs = (out for stage in (self._yaml(LOCK).get("stages") or {}).values() for out in stage.get("outs") or [])
        return {out["path"]: str(out["md5"]) for out in outs if "md5" in out}

    @cached_property
    def headlines(self) -> dict[str, Json]:
        """The numbers of each model, by id."""
        return {Path(path).stem: numbers for path in self._paths(METRICS[0]) if (numbers := self.metric(Path(path)))}

    def metric(self, path: Path) -> Any:
        """Return what a JSON file of metrics/ holds; None where there is none that can be read."""
        try:
            return json.loads(self.files[path.as_posix()])
        except (KeyError, ValueError):
            return None

    def is_like(self, other: "State") -> bool:
        """Tell whether two states have the same params, but for how to run, and the same numbers."""
        return self._result == other._result

    @cached_property
    def _result(self) -> tuple[Json, dict[str, bytes]]:
        metrics = {path: content for path, content in self.files.items() if Path(path).parent in METRICS}
        return {name: section for name, section in self.params.items() if name != RUNTIME}, metrics

    def _yaml(self, path: Path) -> Json:
        try:
            content = YAML(typ="safe").load(self.files.get(path.as_posix(), b"").decode())
        except (YAMLError, UnicodeDecodeError):
            return {}
        return content if isinstance(content, dict) else {}

    def _paths(self, folder: Path) -> Iterator[str]:
        return (path for path in sorted(self.files) if Path(path).parent == folder and path.endswith(".json"))


def git(*words: str, data: bytes = b"") -> bytes:
    """Run git and return its output; raise UserError with its last line when it fails."""
    done = subprocess.run(["git", *words], input=data, capture_output=True, check=False)  # noqa: S607
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise UserError(f"git {words[0]} failed: {lines[-1]}")
    return done.stdout


def read_workspace() -> State:
    """Read the project as it is now."""
    files = [path for path in READ if path.is_file()]
    files += [path for folder in (*METRICS, *DIGESTS_READ) for path in sorted(folder.glob("*.json"))]
    return State("workspace", Kind.WORKSPACE, "", {path.as_posix(): path.read_bytes() for path in files})


def list_experiments() -> list[State]:
    """List DVC's finished experiments without their files, the oldest first, whatever commit they were run from.

    Of several with one name, from different commits, each is named with its commit.
    """
    words = ("for-each-ref", "--format=%(refname)%00%(objectname)%00%(committerdate:unix)", EXPERIMENTS)
    found = []
    for line in git(*words).decode().splitlines():
        ref, commit, time = line.split("\0")
        parts = ref.removeprefix(f"{EXPERIMENTS}/").split("/")
        if len(parts) == 3 and len(baseline := parts[0] + parts[1]) == len(commit):
            found.append(State(parts[2], Kind.EXPERIMENT, commit, {}, int(time or 0), baseline))
    names = [state.name for state in found]
    named = [
        replace(state, name=f"{state.name}@{state.baseline[:SHORT]}") if names.count(state.name) > 1 else state
        for state in found
    ]
    return sorted(named, key=lambda state: (state.time, state.name))


def list_commits(num: int) -> list[State]:
    """List the last commits of the current branch that changed numbers, without their files, the newest first."""
    if not num or find_commit("HEAD") is None:
        return []
    paths = [path.as_posix() for path in METRICS]
    lines = git("log", f"--max-count={num}", f"--format={FORMAT}", "HEAD", "--", *paths)
    return [to_commit(line) for line in lines.decode(errors="replace").splitlines()]


def read_commit(revision: str) -> State | None:
    """Return a commit, branch or tag without its files; None where git has none of this name."""
    commit = find_commit(revision)
    if commit is None:
        return None
    return to_commit(git("log", "--max-count=1", f"--format={FORMAT}", commit).decode(errors="replace").strip("\n"))


def to_commit(line: str) -> State:
    """Convert a line of `git log` to a state, named by its short hash and its subject."""
    commit, time, subject = line.split("\0")
    return State(f"{commit[:SHORT]} {subject}".strip(), Kind.COMMIT, commit, {}, int(time))


def read_files(states: Sequence[State]) -> list[State]:
    """Read the files of commits and experiments; those that several have are read once."""
    trees = {state.commit: list_blobs(state.commit) for state in states}
    contents = read_blobs({blob for tree in trees.values() for blob in tree.values()})
    return [
        replace(state, files={path: contents[blob] for path, blob in trees[state.commit].items()}) for state in states
    ]


def list_blobs(commit: str) -> dict[str, str]:
    """Return the hashes of the files of a commit that are read, by path."""
    lines = git("ls-tree", "-r", "-z", commit, "--", *(path.as_posix() for path in READ)).decode().split("\0")
    entries = (line.partition("\t") for line in lines if line)
    return {path: head.split()[2] for head, _, path in entries if path.endswith((".json", ".yaml", ".lock"))}


def read_blobs(hashes: Iterable[str]) -> dict[str, bytes]:
    """Return the contents of git's objects by hash, read by one process."""
    names = sorted(hashes)
    output = git("cat-file", "--batch", data="".join(f"{name}\n" for name in names).encode())
    contents, start = {}, 0
    for name in names:
        end = output.index(b"\n", start)
        size = int(output[start:end].split()[2])
        contents[name] = output[end + 1 : end + 1 + size]
        start = end + 2 + size
    return contents
