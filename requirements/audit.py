"""Print the known vulnerabilities of what the locks pin, where pip-audit and its service can be reached. Never fails.

python -m requirements.audit requirements/*.txt      what `make lock` calls last
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

PIP_AUDIT = "pip-audit==2.10.1"
SECONDS = 300  # for one lock
LEFT_OUT = "the locks are written, but not audited: pip-audit or its service cannot be reached"


def ask(lock: Path) -> list[dict[str, Any]] | None:
    """Return pip-audit's entries for a lock, one for each package; None where it has no answer."""
    uv = Path(sys.executable).with_name("uv")
    # The locks are complete, so nothing is resolved or installed.
    options = [
        "--no-deps",
        "--disable-pip",
        "--progress-spinner",
        "off",
        "--format",
        "json",
        "--requirement",
        str(lock),
    ]
    command = [str(uv), "tool", "run", "--quiet", PIP_AUDIT, *options]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
        entries: list[dict[str, Any]] = json.loads(answer.stdout)["dependencies"]
    except (OSError, subprocess.TimeoutExpired, ValueError, LookupError, TypeError):
        return None
    return entries


def find_vulnerabilities(entries: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each vulnerability: the package, the advisory, and the versions without it."""
    for entry in entries:
        for found in entry.get("vulns", []):
            fixed = ", ".join(found["fix_versions"]) or "no version yet"
            yield f"{entry['name']} {entry['version']}: {found['id']}, mended in {fixed}"


def audit(locks: Iterable[Path]) -> Iterator[str]:
    """Yield what to print: each vulnerability with the locks that pin the package, or that nothing was asked."""
    lines: dict[str, list[str]] = {}
    known, unknown = set[str](), set[str]()
    for lock in locks:
        entries = ask(lock)
        if entries is None:
            yield LEFT_OUT
            return
        for entry in entries:
            (unknown if "skip_reason" in entry else known).add(f"{entry['name']}=={entry.get('version', '')}")
        for line in find_vulnerabilities(entries):
            lines.setdefault(line, []).append(lock.stem)
    if not known:
        yield LEFT_OUT
        return
    yield from (f"{line} ({', '.join(stems)})" for line, stems in sorted(lines.items()))
    yield f"pip-audit: {len(lines)} known vulnerabilities in {len(known)} pins; {len(unknown)} pins it does not know"


if __name__ == "__main__":
    for printed in audit(map(Path, sys.argv[1:])):
        print(printed, flush=True)
