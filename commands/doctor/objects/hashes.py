"""Files whose names hold the hash of their bytes: which of them are torn. All, or as many as a few seconds allow."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

BUDGET = 400_000_000  # bytes that are read without --all
CHUNK = 1 << 20


@dataclass(frozen=True)
class Checked:
    """How many files there are, how many of them were read, their bytes, and which are torn."""

    files: int
    read: int
    num_bytes: int
    torn: list[Path]

    @property
    def how(self) -> str:
        """How many were read, for a line on the screen."""
        return "all read" if self.read == self.files else f"{self.read:,} read, `make doctor ALL=yes` reads all"


def digest(path: Path, algorithm: str) -> str:
    """Return the hash of a file's bytes, in hex."""
    total = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            total.update(chunk)
    return total.hexdigest()


def check_files(files: Iterable[Path], expected: Callable[[Path], str], algorithm: str, budget: int | None) -> Checked:
    """Compare files with the hashes that `expected` reads in their names, as its beginning; None: read all.

    Within a budget of bytes the newest come first, as a full disk tears what is written last, then a random sample.
    An empty file is always looked at.
    """
    sizes = {path: (stat.st_size, stat.st_mtime) for path in files for stat in [path.stat()]}
    empty = [path for path, (size, _) in sizes.items() if not size]
    chosen = list(dict.fromkeys([*empty, *choose({p: s for p, s in sizes.items() if s[0]}, budget)]))
    torn = [path for path in chosen if not digest(path, algorithm).startswith(expected(path))]
    return Checked(len(sizes), len(chosen), sum(size for size, _ in sizes.values()), sorted(torn))


def choose(sizes: dict[Path, tuple[int, float]], budget: int | None) -> list[Path]:
    """Return the files to read: half of the budget for the newest, half for a random sample; None: all."""
    newest = sorted(sizes, key=lambda path: (-sizes[path][1], path))
    if budget is None:
        return newest
    shuffled = random.Random(len(sizes)).sample(sorted(sizes), len(sizes))
    return [path for order in (newest, shuffled) for path in within(order, sizes, budget / 2)]


def within(order: list[Path], sizes: dict[Path, tuple[int, float]], budget: float) -> list[Path]:
    """Return the first files of an order that fit a budget of bytes; those that do not are passed over."""
    chosen = []
    for path in order:
        if sizes[path][0] <= budget:
            budget -= sizes[path][0]
            chosen.append(path)
    return chosen
