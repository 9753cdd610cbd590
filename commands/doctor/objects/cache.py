"""Which objects of DVC's cache are torn or missing, by file and out, and the command that mends each."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from commands.doctor.dvc_files import ASIDE, CACHE, MEND, OBJECT
from commands.doctor.findings import BROKEN, MISSING, OK, Finding, count, enumerate_some, gigabytes, quote, short
from commands.doctor.objects.hashes import BUDGET, Checked, check_files, digest
from commands.doctor.objects.locked import Object, Out, locked_outs, object_path, objects_of, read_cached
from commands.doctor.processes import find_dvc

NAME = "DVC's cache"
MOST_FILES = 3  # that a command names one by one


@dataclass(frozen=True)
class Faults:
    """What is wrong with an out: the objects that are torn, and those that are missing beside others."""

    out: Out
    torn: list[Object]
    missing: list[Object]

    def describe(self) -> str:
        """Say it in words."""
        parts = [(self.torn, "torn"), (self.missing, "missing")]
        words = [
            f"{', '.join(map(str, objects))} {'is' if len(objects) == 1 else 'are'} {state}"
            for objects, state in parts
            if objects
        ]
        return f"{self.out.stage}: {'; '.join(words)}"


def cached_objects(cache: Path) -> Iterator[Path]:
    """Yield the files of DVC's cache whose names hold their md5."""
    for folder in sorted(cache.glob("[0-9a-f][0-9a-f]")):
        yield from (path for path in folder.iterdir() if OBJECT.fullmatch(path.name))


def md5_of_name(path: Path) -> str:
    """Return the md5 that an object of the cache must have."""
    return path.parent.name + path.name.partition(".")[0]


def look_at_cache(facts: dict[str, Any], remote: dict[str, Any], *, mend: bool, everything: bool) -> list[Finding]:
    """Compare objects of DVC's cache with their names and with dvc.lock.

    When asked, move torn ones aside, and put back what the workspace still has.
    """
    cache = Path(facts.get("cache", CACHE))
    checked = check_files(cached_objects(cache), md5_of_name, "md5", None if everything else BUDGET)
    if not checked.files:
        return [Finding(NAME, OK, f"{short(cache)} is empty")]
    faults, absent = find_faults(cache, set(checked.torn))
    known = {object_path(cache, each.md5) for fault in faults for each in fault.torn}
    unknown = [path for path in checked.torn if path not in known]
    mended: list[Finding] = []
    if mend and (faults or unknown) and not list(find_dvc(Path.cwd())):
        mended = [mend_cache(cache, checked, faults)]
        faults, unknown = find_faults(cache, set())[0], []
    doctor = f"{MEND} ALL=yes" if everything else MEND
    findings = [Finding(NAME, BROKEN, each.describe(), mend_command(cache, each, remote, doctor)) for each in faults]
    if unknown:
        text = f"{enumerate_some([md5_of_name(path) for path in unknown])}: torn, of no out of this commit"
        findings.append(Finding(NAME, BROKEN, text, doctor))
    if absent:
        names = enumerate_some([out.path for out in absent], len(absent) if everything else MOST_FILES)
        pull = "dvc pull" if remote.get("name") else ""
        findings.append(Finding(NAME, MISSING, f"{count(len(absent), 'out')} of dvc.lock not here: {names}", pull))
    state = f"{len(checked.torn)} torn" if checked.torn and not mended else "none is torn"
    whole = f"{count(checked.files, 'object')}, {gigabytes(checked.num_bytes)}, {checked.how}: {state}"
    return mended + ([] if mended else [Finding(NAME, BROKEN if checked.torn else OK, whole)]) + findings


def find_faults(cache: Path, torn: set[Path]) -> tuple[list[Faults], list[Out]]:
    """Return what is wrong with the outs of dvc.lock, and the outs of which the cache has nothing."""
    faults, absent = [], []
    for out in locked_outs():
        objects = objects_of(out, partial(read_cached, cache))
        missing = [each for each in objects if not object_path(cache, each.md5).exists()]
        if len(missing) == len(objects):
            absent.append(out)
            continue
        found = Faults(out, [each for each in objects if object_path(cache, each.md5) in torn], missing)
        if found.torn or found.missing:
            faults.append(found)
    return faults, absent


def mend_command(cache: Path, faults: Faults, remote: dict[str, Any], doctor: str) -> str:
    """Return the command after which all objects of an out are whole in the cache."""
    objects = [*faults.torn, *faults.missing]
    left = [each for each in objects if not is_whole_in_workspace(cache, each)]
    first = doctor if faults.torn or len(left) < len(objects) else ""
    if not left:
        return doctor
    if remote.get("is_there") and not {each.md5 for each in left} & {*remote["missing"], *remote["torn"]}:
        files = {each.file for each in left}
        targets = sorted(files) if len(files) <= MOST_FILES else [faults.out.path]
        last = f"dvc pull --force {' '.join(map(quote, targets))}"
    else:
        last = f"dvc repro {quote(faults.out.stage)}"
    return f"{first}; {last}" if first else last


def is_whole_in_workspace(cache: Path, each: Object) -> bool:
    """Tell whether the workspace has the bytes of an object, as a file of its own and not a link to a torn one."""
    path = Path(each.file)
    return path.is_file() and digest(path, "md5") == each.md5


def mend_cache(cache: Path, checked: Checked, faults: Sequence[Faults]) -> Finding:
    """Move torn objects aside, then put back those that the workspace has.

    A file of the workspace that is a link to a torn object goes: DVC believes its time, and would leave it as it is.
    """
    for each in (each for fault in faults for each in fault.torn):
        if Path(each.file).is_file() and Path(each.file).samefile(object_path(cache, each.md5)):
            Path(each.file).unlink()
    for path in checked.torn:
        move_aside(path)
    objects = [each for fault in faults for each in (*fault.torn, *fault.missing)]
    back = [each for each in objects if is_whole_in_workspace(cache, each)]
    for each in back:
        put_back(Path(each.file), object_path(cache, each.md5))
    moved = enumerate_some([md5_of_name(path) for path in checked.torn])
    parts = [f"moved to {ASIDE}: {moved}"] if checked.torn else []
    parts += [f"put back from the workspace: {enumerate_some([each.file for each in back])}"] if back else []
    return Finding(NAME, OK, f"mended: {'; '.join(parts)}" if parts else "nothing of it can be mended here")


def move_aside(path: Path) -> None:
    """Move a torn object to ASIDE, or rename it where the cache is on another disk: DVC then misses it."""
    ASIDE.mkdir(parents=True, exist_ok=True)
    is_near = path.stat().st_dev == ASIDE.stat().st_dev
    os.replace(path, ASIDE / f"{path.parent.name}{path.name}" if is_near else path.with_name(f"{path.name}.torn"))


def put_back(source: Path, target: Path) -> None:
    """Copy a file to where an object belongs, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.draft")
    shutil.copyfile(source, draft)
    draft.chmod(0o444)
    os.replace(draft, target)
