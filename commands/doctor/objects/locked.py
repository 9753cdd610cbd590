"""What dvc.lock names: the outs that DVC's cache and its remote keep, and the object of each of their files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from commands.doctor.objects.hashes import digest

LOCK = Path("dvc.lock")
KEPT = ("data/", "models/")  # outs that DVC's cache keeps; git keeps those of metrics/
LISTING = ".dir"  # the ending of an object that lists the files of a folder


@dataclass(frozen=True)
class Out:
    """An out of a stage, and its object: a file, or the listing of a folder."""

    stage: str
    path: str
    md5: str


@dataclass(frozen=True)
class Object:
    """An object of an out; `file` is its path, or that of the whole out for a listing."""

    md5: str
    out: Out
    file: str

    def __str__(self) -> str:
        return f"{self.file} (its list of files)" if self.md5.endswith(LISTING) else self.file


def locked_outs(lock: Path = LOCK, kept: tuple[str, ...] = KEPT) -> Iterator[Out]:
    """Yield the outs of dvc.lock whose paths begin with one of `kept`: those that DVC keeps, not git.

    Lines are read, as DVC writes them: a parser of YAML takes minutes for hundreds of stages.
    """
    stage, section, path = "", "", ""
    for line in lock.read_text(encoding="utf-8").splitlines() if lock.exists() else []:
        key, _, value = line.strip().partition(": ")
        if line.startswith("  ") and line[2] != " ":
            stage = line.strip().rstrip(":")
        elif line.startswith("    ") and line[4].isalpha():
            section = line.strip()
        elif key == "- path":
            path = value
        elif key == "md5" and section == "outs:" and path.startswith(kept):
            yield Out(stage, path, value)


def objects_of(out: Out, read: Callable[[str], bytes | None]) -> list[Object]:
    """Return the objects of an out; of a folder whose listing `read` cannot give whole, the listing alone."""
    own = Object(out.md5, out, out.path)
    content = read(out.md5) if out.md5.endswith(LISTING) else None
    try:
        entries = json.loads(content) if content else []
        return [own, *(Object(entry["md5"], out, f"{out.path}/{entry['relpath']}") for entry in entries)]
    except (ValueError, TypeError, KeyError):
        return [own]


def object_path(cache: Path, md5: str) -> Path:
    """Return where an object is in a cache."""
    return cache / md5[:2] / md5[2:]


def read_cached(cache: Path, md5: str) -> bytes | None:
    """Return the bytes of an object of the cache, None where it is not there or torn."""
    path = object_path(cache, md5)
    return path.read_bytes() if path.is_file() and digest(path, "md5") == md5_in(md5) else None


def md5_in(name: str) -> str:
    """Return the md5 that the name of an object, or its path in a cache, holds."""
    return name.replace("/", "").removesuffix(LISTING)
