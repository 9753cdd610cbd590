"""Files and folders on disk. Each is written under a temporary name and renamed, so that none is ever incomplete."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stages.lib.console.errors import UserError

SUMMARY = "summary.json"
# The summary in a folder of rows: pyarrow, pandas and datasets skip a name that begins with a dot.
ROWS_SUMMARY = ".summary.json"


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces `path` when the block ends without an error."""
    draft = path.with_name(path.name + ".tmp")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    yield draft
    if path.exists():
        shutil.rmtree(path)
    draft.rename(path)


def write_json(path: Path, content: object) -> None:
    """Write JSON with sorted keys, so that equal content gives equal bytes and git shows what changed."""
    write_text(path, json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".tmp")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)


def read_json(path: Path) -> Any:
    """Read a JSON file; raise UserError when it is absent."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; `dvc repro` makes it, `dvc pull` fetches it") from None


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_folder(folder: Path, skip: tuple[str, ...] = ()) -> str:
    """Return the sha256 over the names and contents of a folder's files in the order of their names, in hex.

    Files with a name in `skip` are left out.
    """
    total = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in skip):
        total.update(f"{file.relative_to(folder).as_posix()}\0{sha256_file(file)}\n".encode())
    return total.hexdigest()
