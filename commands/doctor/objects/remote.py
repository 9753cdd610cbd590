"""Whether DVC's remote answers, what it has lost or holds torn, and the command that mends it."""

from __future__ import annotations

import re
from typing import Any

from commands.doctor.dvc_files import MEND
from commands.doctor.findings import BROKEN, MISSING, OK, Finding, count, enumerate_some, quote

NAME = "DVC's remote"
ALL = "ALL=yes"
NONE = "none; to share results: dvc remote add -d <name> <address>; dvc remote modify <name> verify true"


def look_at_remote(remote: dict[str, Any], *, everything: bool) -> list[Finding]:
    """Return what is wrong with DVC's default remote; `remote` is what `facts` found, or the `problem` that it had."""
    address = without_password(remote.get("address", ""))
    known = f"{remote['name']}, {address}: " if address else ""
    if problem := remote.get("problem"):
        return [Finding(NAME, MISSING, f"{known}{without_password(problem)}")]
    if not known:
        return [Finding(NAME, MISSING, NONE)]
    if not remote["is_there"]:
        return [Finding(NAME, OK, f"{known}nothing there yet; dvc push")]
    faults = [describe_fault(fault, fault["md5"] in remote["whole_here"], everything) for fault in remote["faults"]]
    how = "all read" if remote["read"] == remote["objects"] else f"`make doctor {ALL}` reads them"
    number = count(remote["objects"] - len(remote["missing"]), "object")
    mended = f"; mended, from the cache: {enumerate_some(remote['mended'])}" if remote["mended"] else ""
    answer = Finding(NAME, OK, f"{known}answers, {number} of dvc.lock, {how}{mended}")
    unpushed = remote["unpushed"]
    names = enumerate_some(unpushed, len(unpushed) if everything else 3)
    text = f"{count(len(unpushed), 'out')} of dvc.lock not there: {names}"
    return [answer, *faults, *([Finding(NAME, MISSING, text, "dvc push")] if unpushed else [])]


def without_password(text: str) -> str:
    """Leave out the users and passwords of the addresses in a text."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def describe_fault(fault: dict[str, str], is_whole_here: bool, everything: bool) -> Finding:
    """Name an object that the remote has lost or holds torn, and what mends it."""
    mend = f"{MEND} {ALL}" if everything else MEND
    if not is_whole_here:
        mend = f"dvc repro {quote(fault['stage'])}; {mend}"
    return Finding(NAME, BROKEN, f"{fault['stage']}: {fault['file']} {fault['state']}", mend)
