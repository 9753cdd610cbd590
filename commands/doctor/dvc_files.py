"""What DVC keeps: its locks, its cache, its remote, and the files that git and DVC share."""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from pathlib import Path
from typing import Any

from commands.doctor.findings import BROKEN, OK, Finding
from commands.doctor.processes import find_dvc, holders, running

TMP = Path(".dvc/tmp")
RWLOCK = TMP / "rwlock"  # which process reads or writes which out; a DVC that was killed may leave it empty
GUARD = TMP / "rwlock.lock"  # held while rwlock is written
ASIDE = TMP / "torn"  # where torn files are moved to
CACHE = Path(".dvc/cache/files/md5")
OBJECT = re.compile(r"[0-9a-f]{30}(\.dir)?")
SETTLE_SECONDS = 0.3
MEND = "make doctor MEND=yes"
CONFLICT = re.compile(r"^(?:<<<<<<<|>>>>>>>) ", re.MULTILINE)
SHARED_FILES = ("dvc.lock", "dvc.yaml", "params.yaml")


def look_at_locks(facts: dict[str, Any], *, mend: bool) -> Finding:
    """Tell whether a DVC works here, and whether a killed one has left an unreadable lock; remove that when asked."""
    at_work = list(find_dvc(Path.cwd()))
    if not is_unreadable(RWLOCK):
        if at_work:
            return Finding("DVC's locks", OK, f"DVC is at work ({at_work[0]})")
        if facts.get("hardlink_lock") and (TMP / "lock").exists():
            text = "held by a DVC of another machine, or left by a killed one: if none is at work, rm .dvc/tmp/lock"
            return Finding("DVC's locks", OK, text)
        return Finding("DVC's locks", OK, "no DVC is at work")
    fault = f"{RWLOCK} cannot be read, so every command of DVC fails: a DVC was killed while it wrote"
    if at_work:
        return Finding("DVC's locks", BROKEN, f"{fault}; first let this one end: {at_work[0]}", MEND)
    if not mend:
        return Finding("DVC's locks", BROKEN, fault, MEND)
    if facts.get("hardlink_lock"):
        return Finding("DVC's locks", BROKEN, f"{RWLOCK} cannot be read: if no machine runs DVC here, rm {RWLOCK}")
    return mend_rwlock()


def is_unreadable(rwlock: Path) -> bool:
    """Tell whether DVC cannot read its lock file, also a moment later: a DVC that writes it empties it first."""
    for wait in (SETTLE_SECONDS, 0):
        try:
            content = json.loads(rwlock.read_text(encoding="utf-8"))
            return not isinstance(content, dict)
        except FileNotFoundError:
            return False
        except ValueError:
            time.sleep(wait)
    return True


def mend_rwlock() -> Finding:
    """Move an unreadable lock file aside while no DVC can write it."""
    with GUARD.open("a") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return Finding("DVC's locks", BROKEN, f"a DVC writes {RWLOCK} at this moment: try again", MEND)
        if is_unreadable(RWLOCK):
            ASIDE.mkdir(exist_ok=True)
            os.replace(RWLOCK, ASIDE / RWLOCK.name)
    return Finding("DVC's locks", OK, f"mended: the unreadable {RWLOCK} is now {ASIDE / RWLOCK.name}")


def look_at_shared_files() -> list[Finding]:
    """Name the files with git's marks of a conflict, which no command can read."""
    findings = []
    for name in SHARED_FILES:
        path = Path(name)
        if not path.exists():
            if name != "dvc.lock":
                findings.append(Finding(name, BROKEN, "is not there", f"git restore {name}"))
        elif CONFLICT.search(path.read_text(encoding="utf-8", errors="replace")):
            mend = f"git checkout --ours {name}" if name == "dvc.lock" else ""
            findings.append(Finding(name, BROKEN, "has git's marks of a conflict: resolve it", mend))
    return findings


def name_holders(path: Path) -> str:
    """Name the processes that hold a lock on a file; empty: none."""
    found = (running(pid) or f"PID {pid}" for pid in holders(path))
    return ", ".join(map(str, found))
