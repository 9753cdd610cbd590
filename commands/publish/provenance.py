"""Where a publication comes from: the project's commit, its params, and the hashes of the outs by DVC."""

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from commands.compare.sources import find_commit
from stages.lib.console.errors import UserError
from stages.lib.core.files import sha256_file
from stages.lib.core.sections import read_yaml
from stages.lib.core.types import Json

PROVENANCE = "provenance.json"  # a folder with this file is a publication, and may be overwritten
FILES = "files"  # its key with the sha256 of every other file of the publication
LOCK = Path("dvc.lock")


def read_commit() -> str:
    """Return the project's commit; raise UserError where there is none."""
    commit = find_commit("HEAD")
    if not commit:
        raise UserError("this is no git checkout with a commit, and a publication names the commit that made it")
    return commit


def has_changes() -> bool:
    """Tell whether files that git keeps differ from the commit."""
    words = ["git", "status", "--porcelain", "--untracked-files=no"]
    return bool(subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip())


def read_lineage(targets: Iterable[str], lock: Path = LOCK) -> dict[str, str]:
    """Return the hashes in dvc.lock of outs, and of all files and outs that they were made from, by path.

    Raises UserError for a target that dvc.lock does not know.
    """
    stages = read_yaml(lock)["stages"].values()
    makers = {out["path"]: stage for stage in stages for out in stage.get("outs", [])}
    known = {part["path"]: part["md5"] for stage in stages for kind in ("deps", "outs") for part in stage.get(kind, [])}
    found = dict[str, str]()
    pending = list(targets)
    while pending:
        path = pending.pop()
        if path not in known:
            raise UserError(f"{lock} does not know {path}: `dvc repro` makes it")
        if path not in found:
            found[path] = known[path]
            pending += [dep["path"] for dep in makers.get(path, {}).get("deps", [])]
    return {name_path(path): found[path] for path in sorted(found)}


def hide_folders(value: Any) -> Any:
    """Return params without the folders of this machine: of an absolute path only the name is left."""
    if isinstance(value, Mapping):
        return {key: hide_folders(each) for key, each in value.items()}
    if isinstance(value, list):
        return [hide_folders(each) for each in value]
    return name_path(value) if isinstance(value, str) else value


def name_path(text: str) -> str:
    """Return a text as it is, and of an absolute path only its last part."""
    return PurePosixPath(text).name if text.startswith(("/", "~")) else text


def describe_server(location: str) -> str:
    """Return what is said of the place of a model: of an address nothing, for it may be a private host."""
    return "a server" if "://" in location else name_path(location)


def hash_files(folder: Path) -> Json:
    """Return the sha256 of every file of a publication but its provenance, by name."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file != folder / PROVENANCE)
    return {file.relative_to(folder).as_posix(): sha256_file(file) for file in files}
