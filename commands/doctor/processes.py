"""Which processes hold a lock, and whether a DVC works in this checkout. Read from the kernel; nothing is locked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A process that runs, and its command line."""

    pid: int
    command: list[str]

    def __str__(self) -> str:
        words = [os.path.basename(word) if number < 2 else word for number, word in enumerate(self.command)]
        return f"PID {self.pid}: {' '.join(words)[:60]}"


def running(pid: int) -> Process | None:
    """Return the process with an id; None where there is none, or it is another user's and hidden."""
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    return Process(pid, [word.decode(errors="replace") for word in words if word])


def holders(path: Path) -> list[int]:
    """Return the ids of the processes that hold a lock on a file."""
    try:
        inode = path.stat().st_ino
        lines = (PROC / "locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    held = [line.split() for line in lines if "->" not in line]  # an arrow: waits for it
    return sorted({int(words[4]) for words in held if words[5].rpartition(":")[2] == str(inode)})


def find_dvc(root: Path) -> Iterator[Process]:
    """Yield the running DVC commands of a checkout, but not this process."""
    for folder in PROC.glob("[0-9]*"):
        process = running(int(folder.name))
        if process is None or process.pid == os.getpid() or not is_dvc(process.command):
            continue
        try:
            here = Path(os.readlink(folder / "cwd"))
        except OSError:
            continue
        if root in (here, *here.parents):
            yield process


def is_dvc(command: list[str]) -> bool:
    """Tell whether a command line starts DVC."""
    names = [os.path.basename(word) for word in command[:4]]
    return "dvc" in names[:2] or ("-m" in names and names[names.index("-m") + 1 :][:1] == ["dvc"])
