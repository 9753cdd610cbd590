"""Where the outs of a model come from: the checkout as it is, or a commit, through DVC's cache or remote."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Protocol

from ruamel.yaml import YAML

from stages.lib.console.errors import UserError
from stages.lib.core.artifacts import MADE_BY, require_made, stage_of
from stages.lib.core.files import read_json, sha256_folder
from stages.lib.core.sections import PARAMS, read_yaml
from stages.lib.core.types import Json

SHORT = 7  # characters of a commit's hash that people see
STAGES = MADE_BY | {"responses": "generate", "verdicts": "validate"}  # folder of data/: its stage


class Source(Protocol):
    """One state of the project: its params, its metrics and its outs."""

    @property
    def commit(self) -> str:
        """The full hash of the commit; empty for the checkout as it is."""
        ...

    def params(self) -> Json:
        """Return what params.yaml holds."""
        ...

    def metric(self, path: Path) -> Any:
        """Return what a JSON file of metrics/ holds; None where there is no such file."""
        ...

    def out(self, name: str, model: str, digest: str, stage: str) -> Path:
        """Return data/<name>/<model> with this sha256, which a stage makes; raise UserError where it cannot be had."""
        ...

    def shared_out(self, name: str) -> Path | None:
        """Return data/<name>, which all models share; None where it cannot be had."""
        ...


class Checkout:
    """The project as it is now. An out that is absent is pulled."""

    commit = ""

    def params(self) -> Json:
        """Return what params.yaml holds."""
        return read_yaml(PARAMS)

    def metric(self, path: Path) -> Any:
        """Return what a JSON file of metrics/ holds; None where there is no such file."""
        return read_json(path) if path.exists() else None

    def out(self, name: str, model: str, digest: str, stage: str) -> Path:
        """Return data/<name>/<model> with this sha256, which a stage makes; raise UserError where it cannot be had."""
        return require_made(name, model, digest, stage)

    def shared_out(self, name: str) -> Path | None:
        """Return data/<name>; None where it is absent."""
        folder = Path("data") / name
        return folder if folder.is_dir() else None


class Commit:
    """The project at a commit. Its outs are copied from DVC's cache or remote, each when it is asked for."""

    def __init__(self, commit: str, folder: Path) -> None:
        """Open the commit, given by its full hash, with an empty folder for its outs."""
        from dvc.api import DVCFileSystem  # takes two seconds to import
        from dvc.repo import Repo

        self.commit = commit
        self._folder = folder
        known = Repo().config  # the checkout's: a commit before its remote was added knows none
        self._files = DVCFileSystem(rev=commit, config={name: known[name] for name in ("core", "remote", "cache")})

    def params(self) -> Json:
        """Return what params.yaml held; raise UserError for a commit without this project."""
        from dvc.exceptions import DvcException

        try:
            content = self._read(PARAMS)
        except DvcException:
            content = None
        if content is None:
            raise UserError(f"the commit {self.commit[:SHORT]} has no {PARAMS} of a DVC project: name another")
        params: Json = YAML(typ="safe").load(content)
        return params

    def metric(self, path: Path) -> Any:
        """Return what a JSON file of metrics/ held; None where there was no such file."""
        content = self._read(path)
        return None if content is None else json.loads(content)

    def out(self, name: str, model: str, digest: str, stage: str) -> Path:
        """Return a copy of data/<name>/<model>, as `Source.out` does."""
        folder = Path("data") / name / model
        copy = self._copy(folder)
        if copy is None:
            raise UserError(
                f"{folder} of the commit {self.commit[:SHORT]} is neither in DVC's cache nor in a remote: "
                f"check the commit out and run `dvc repro {stage_of(stage, model)}`"
            )
        if sha256_folder(copy) != digest:
            raise UserError(
                f"{folder} of the commit {self.commit[:SHORT]} does not match the digest in its metrics/: "
                "the commit was made before `dvc repro` had ended"
            )
        return copy

    def shared_out(self, name: str) -> Path | None:
        """Return a copy of data/<name>; None where it cannot be had."""
        return self._copy(Path("data") / name)

    def _read(self, path: Path) -> str | None:
        """Return the text of a file that git keeps."""
        try:
            text: str = self._files.read_text(path.as_posix(), encoding="utf-8")
        except FileNotFoundError:
            return None
        return text

    def _copy(self, folder: Path) -> Path | None:
        """Copy a folder once; None where neither the cache nor a remote has it."""
        from dvc.exceptions import DvcException
        from dvc_data.index.index import DataIndexError

        copy = self._folder / folder
        if not copy.exists():
            try:
                self._files.get(folder.as_posix(), str(copy), recursive=True)
            except (OSError, DvcException, DataIndexError):
                shutil.rmtree(copy, ignore_errors=True)  # what it began
                return None
        return copy


def find_commit(revision: str) -> str | None:
    """Return the full hash of a commit, branch or tag; None where git has none of this name."""
    words = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
