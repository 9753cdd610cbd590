"""Outs of any state of the project, from DVC's cache: nothing is downloaded, and nothing is copied."""

import json
from pathlib import Path
from typing import Any

from commands.experiments.states import LOCK, State
from stages.lib.console.errors import UserError
from stages.lib.core.artifacts import DIGESTS
from stages.lib.core.files import ROWS_SUMMARY, SUMMARY, read_json
from stages.lib.core.types import Json

FOLDER = ".dir"  # ends the hash of a folder
SUMMARIES = {"evaluations": ("evaluate", SUMMARY), "judgments": ("judge", ROWS_SUMMARY)}  # what `digest` copies


class CachedState:
    """A state as `commands.compare.sources.Source` has it, whose outs are links to files of DVC's cache."""

    def __init__(self, state: State, cache: Path, folder: Path) -> None:
        """Open a state; `cache` is DVC's, `folder` an empty one for the links."""
        self.commit = state.commit
        self._state = state
        self._cache = cache
        self._folder = folder

    def params(self) -> Json:
        """Return what params.yaml holds."""
        return self._state.params

    def metric(self, path: Path) -> Any:
        """Return what a JSON file of metrics/ holds; None where there is no such file."""
        if path.is_relative_to(DIGESTS):
            return dict.fromkeys(SUMMARIES, "")  # `out` takes the hashes of dvc.lock
        return self._state.metric(path)

    def out(self, name: str, model: str, digest: str, stage: str) -> Path:
        """Return a folder of links to data/<name>/<model>; raise UserError where the cache lacks a part of it.

        Raises it also where the out does not belong to the state's metrics, as while the pipeline runs.
        """
        path = f"data/{name}/{model}"
        folder = self._link(path)
        metric, summary = SUMMARIES[name]
        if read_json(folder / summary) != self._state.metric(Path("metrics") / metric / f"{model}.json"):
            raise UserError(f"{path} is of another run than the metrics")
        return folder

    def shared_out(self, name: str) -> Path | None:
        """Return None: what all models share is not read."""
        return None

    def _link(self, path: str) -> Path:
        """Make a folder of links to an out once, and return it; where the out has all models, return the model's."""
        whole, _, model = path.rpartition("/")
        out = path if path in self._state.hashes else whole
        oid = self._state.hashes.get(out, "")
        if not oid.endswith(FOLDER):
            raise UserError(f"{path} is not in {LOCK}")
        folder = self._folder / oid
        if not folder.exists():
            files = {entry["relpath"]: self._find(entry["md5"]) for entry in json.loads(self._find(oid).read_bytes())}
            for name, source in files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).symlink_to(source)
        return folder if out == path else folder / model

    def _find(self, oid: str) -> Path:
        """Return the file of a hash in the cache; raise UserError where there is none."""
        file = self._cache / oid[:2] / oid[2:]
        if not file.is_file():
            raise UserError(f"{oid} is not in DVC's cache")
        return file


def find_cache() -> Path:
    """Return the folder of DVC's cache, which another checkout may share."""
    from dvc.repo import Repo  # takes a second to import

    with Repo() as repo:
        return Path(repo.cache.local.path).resolve()
