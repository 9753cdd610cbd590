"""What the doctor found, and how it reads on a screen."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

OK, MISSING, BROKEN = "ok", "missing", "broken"
COLOURS = {OK: "\033[32m", MISSING: "\033[2m", BROKEN: "\033[31;1m"}
RESET = "\033[0m"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `state` is ok, missing (and not needed) or broken; `mend` is a command."""

    name: str
    state: str
    text: str
    mend: str = ""


Group = tuple[str, Sequence[Finding]]  # a heading and what stands below it


def layout(groups: Iterable[Group], *, coloured: bool) -> list[str]:
    """Return the lines of a screen: states and names in columns, the command that mends at the end of a line."""
    groups = [(heading, list(findings)) for heading, findings in groups]
    width = max(len(finding.name) for _, findings in groups for finding in findings)
    lines = []
    for heading, findings in groups:
        lines.append(heading)
        for finding in findings:
            state = finding.state.ljust(len(MISSING))
            shown = f"{COLOURS[finding.state]}{state}{RESET}" if coloured else state
            mend = f"  [{finding.mend}]" if finding.mend else ""
            lines.append(f"  {shown}  {finding.name.ljust(width)}  {finding.text}{mend}".rstrip())
    return lines


def conclude(groups: Iterable[Group]) -> str:
    """Return the last line: what to do, or that there is nothing to do."""
    broken = [finding for _, findings in groups for finding in findings if finding.state == BROKEN]
    if not broken:
        return "Nothing that is needed is missing or broken."
    commands = list(dict.fromkeys(finding.mend for finding in broken if finding.mend))
    names = ", ".join(dict.fromkeys(finding.name for finding in broken))
    return f"Broken: {names}." + (f" Run {', then '.join(f'`{command}`' for command in commands)}." if commands else "")


def enumerate_some(names: Sequence[str], most: int = 3) -> str:
    """Join the first names, and say how many more there are."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def short(path: str | os.PathLike[str]) -> str:
    """Return a path as people write it: from here, or from the home folder."""
    absolute, here, home = Path(path).absolute(), Path.cwd(), Path.home()
    if here in (absolute, *absolute.parents):
        return str(absolute.relative_to(here))
    return f"~/{absolute.relative_to(home)}" if home in absolute.parents else str(absolute)


def quote(path: str | os.PathLike[str]) -> str:
    """Return a path as people write it in a command, quoted where a shell would split it."""
    text = short(path)
    return f"~/{shlex.quote(text[2:])}" if text.startswith("~/") else shlex.quote(text)


def gigabytes(num_bytes: float) -> str:
    """Format bytes as GB."""
    return f"{num_bytes / 1e9:.1f} GB"


def count(number: int, noun: str) -> str:
    """Format a number of things."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
