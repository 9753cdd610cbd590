"""What dvc.lock knows: files that stages have read, which a clone may lack and still have their outs."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML

from stages.lib.models.catalogue import CATALOGUE, Entry

LOCK = Path("dvc.lock")


def recorded_paths(entries: Mapping[str, Entry]) -> set[str]:
    """Return the paths that stages have read, and those of models that `resolve` has seen as they are now.

    What DVC need not make again it pulls, also where these are not there (`dvc repro --pull --allow-missing`).
    """
    lock = YAML(typ="safe").load(LOCK) if LOCK.exists() else {}
    deps = {
        dep["path"]: dep.get("md5", "")
        for stage in (lock.get("stages") or {}).values()
        for dep in stage.get("deps") or []
    }
    files = {model: CATALOGUE / f"{model}.yaml" for model in entries}
    seen = [model for model, file in files.items() if deps.get(file.as_posix()) == md5_of(file)]
    return {*deps, *(entries[model].path or entries[model].import_ for model in seen)}


def md5_of(file: Path) -> str:
    """Return a file's md5 as DVC writes it."""
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
