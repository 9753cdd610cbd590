"""Find the Python that the locks are for: the one that is named, one on the path, or one of uv's."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from requirements.failure import Failure

VERSION = "3.11"
NAMES = (f"python{VERSION}", "python3", "python")
# Any Python runs this, from 2.7: what it is, where its own executable is if it is an environment's, what it lacks.
PROBE = """
import sys
print(sys.implementation.name if hasattr(sys, "implementation") else "cpython")
print(".".join(map(str, sys.version_info[:3])))
print(getattr(sys, "_base_executable", None) or sys.executable)
try:
    import ensurepip, venv
except ImportError:
    print("ensurepip")
"""
PROBE_SECONDS = 30.0


@dataclass(frozen=True)
class Python:
    """A Python that starts: its executable, its version, and what is wrong with it for us; empty: nothing."""

    path: str
    version: str
    problem: str


def probe(path: str) -> Python:
    """Start a Python and return what it is; one that does not start has no version."""
    try:
        ended = subprocess.run([path, "-I", "-c", PROBE], capture_output=True, text=True, timeout=PROBE_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        return Python(path, "", f"does not start ({error})")
    lines = ended.stdout.split("\n")
    if ended.returncode or len(lines) < 3:
        reason = ended.stderr.strip().splitlines()[-1:] or [f"exit code {ended.returncode}"]
        return Python(path, "", f"does not start ({reason[0]})")
    name, version, base, missing = [*lines, ""][:4]
    if not version.startswith(f"{VERSION}."):
        return Python(path, version, f"is Python {version}")
    if name != "cpython":
        return Python(path, version, f"is {name}, which the wheels are not made for")
    if missing:
        return Python(path, version, f"lacks its module ensurepip (Debian's package python{VERSION}-venv has it)")
    return Python(base, version, "")


def on_path(names: tuple[str, ...]) -> Iterator[str]:
    """Yield the programs of these names in all folders of the path, one that several names lead to once."""
    seen = set()
    for name in names:
        for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
            path = shutil.which(name, path=folder or os.curdir)
            if path and os.path.realpath(path) not in seen:
                seen.add(os.path.realpath(path))
                yield path


def find_python(given: str) -> Python:
    """Return the Python that is given, or else the first that fits; raise Failure when there is none.

    Without one on the path, uv's is taken; where uv has none yet, it downloads one.
    """
    if given:
        path = shutil.which(given)
        python = probe(path) if path else Python(given, "", "is not there")
        if python.problem:
            raise Failure(f"PYTHON={given} {python.problem}: name a Python {VERSION}, or leave PYTHON out")
        return python
    others = []
    for path in on_path(NAMES):
        python = probe(path)
        if not python.problem:
            return python
        others.append(f"{path} {python.problem}")
    return find_uv_python() or install_by_uv() or refuse(others)


def find_uv_python() -> Python | None:
    """Return the Python that uv knows; None where there is no uv, or it knows none."""
    uv = shutil.which("uv")
    if not uv:
        return None
    find = [uv, "python", "find", "--no-project", "--system", VERSION]
    found = subprocess.run(find, capture_output=True, text=True, check=False).stdout.strip()
    python = probe(found) if found else None
    return python if python and not python.problem else None


def install_by_uv() -> Python | None:
    """Let uv download a Python and return it; None where there is no uv, or it cannot."""
    uv = shutil.which("uv")
    if not uv:
        return None
    print(f"Python {VERSION} is not here: uv installs it", flush=True)
    subprocess.run([uv, "python", "install", VERSION], check=False)
    return find_uv_python()


def refuse(others: list[str]) -> Python:
    """Raise the Failure that there is no Python; `others` says which there are, and why they do not do."""
    seen = f" ({'; '.join(others[:3])})" if others else ""
    how = f"set PYTHON=/path/to/python{VERSION}"
    ways = f"uv could not install it; install it, or {how}" if shutil.which("uv") else f"install it, or uv, or {how}"
    raise Failure(f"Python {VERSION} is not here{seen}: {ways}")
