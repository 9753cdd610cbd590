"""Mistakes in files that a user writes, each as one line: file and line, key, what is wrong, what to do.

`params.yaml:41: mix.sise: no such key; did you mean size?`
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

from stages.lib.console.yaml_lines import Key, explain_error, find_lines, find_syntax_faults

MOST = 10  # lines of one report
MOST_NAMES = 12  # that a line lists
MISSING = "this key is missing: add it"


@dataclass(frozen=True)
class Fault:
    """One mistake."""

    file: str
    key: Key  # where it is in the file; empty: the whole file
    problem: str
    line: int = 0  # from 1; 0: that of the key, or of the section that lacks it
    meant: str = ""  # the full name of the key that an unknown one was meant to be
    missing: str = ""  # the path that is not there


def nearest(name: object, known: Iterable[object]) -> str:
    """Return the known name that a user most likely meant; empty if none is near."""
    names = {str(each).lower(): str(each) for each in known}
    close = get_close_matches(str(name).lower(), names, n=1)
    return names[close[0]] if close else ""


def suggest(name: object, known: Collection[object]) -> str:
    """Return the end of a line about an unknown name: the nearest known one, else those that there are."""
    if near := nearest(name, known):
        return f"; did you mean {near}?"
    return f"; there {'are' if len(known) > 1 else 'is'}: {list_names(known)}" if known else ""


def list_names(names: Collection[object]) -> str:
    """List names, the first of many."""
    first = [str(name) for name in names][:MOST_NAMES]
    return ", ".join(first) + (f" and {len(names) - len(first)} more" if len(names) > len(first) else "")


def dotted(key: Key) -> str:
    """Return a key as people write it, without the numbers of list items: the line tells which it is."""
    return ".".join(part for part in key if isinstance(part, str))


def without_echoes(faults: Iterable[Fault]) -> list[Fault]:
    """Return mistakes without the missing keys that stand there under a wrong name."""
    given = list(faults)
    meant = {fault.meant for fault in given}
    return [fault for fault in given if fault.problem != MISSING or dotted(fault.key) not in meant]


def describe(faults: Iterable[Fault]) -> str:
    """Return the message about mistakes: the line of one, else their number and a line of each, up to MOST.

    They stand in the order of their lines, file by file.
    """
    files: dict[str, list[Fault]] = {}
    for fault in dict.fromkeys(without_echoes(faults)):
        files.setdefault(fault.file, []).append(fault)
    lines = [line for file, mistakes in files.items() for line in _describe_file(file, mistakes)]
    if len(lines) == 1:
        return lines[0]
    more = [f"and {len(lines) - MOST} more"] if len(lines) > MOST else []
    return "\n".join([f"{len(lines)} mistakes:", *lines[:MOST], *more])


def load_yaml(file: str, text: str) -> tuple[Any, list[Fault]]:
    """Return what a YAML text holds, and what is wrong with it: then it holds nothing."""
    try:
        return YAML(typ="safe", pure=True).load(text), []
    except (YAMLError, ValueError) as error:  # ValueError: of a date that is not valid
        key, line, problem = explain_error(error, text)
        return None, syntax_faults(file, text) or [Fault(file, key, problem, line)]


def syntax_faults(file: str, text: str) -> list[Fault]:
    """Return what is wrong with a text as YAML."""
    return [Fault(file, key, problem, line) for key, line, problem in find_syntax_faults(text)]


def _describe_file(file: str, faults: list[Fault]) -> list[str]:
    places = _read_lines(file) if any(not fault.line for fault in faults) else {}
    placed = sorted(((fault.line or _line_of(fault.key, places), fault) for fault in faults), key=lambda pair: pair[0])
    return [_format(fault, line) for line, fault in placed]


def _format(fault: Fault, line: int) -> str:
    place = f"{fault.file}:{line}" if line else fault.file
    key = dotted(fault.key)
    return f"{place}: {key}: {fault.problem}" if key else f"{place}: {fault.problem}"


def _read_lines(file: str) -> dict[Key, int]:
    """Return the lines of the keys of a YAML file; none of what cannot be read."""
    path = Path(file)
    if path.suffix != ".yaml" or not path.is_file():
        return {}
    return find_lines(path.read_text(encoding="utf-8", errors="replace"))


def _line_of(key: Key, places: dict[Key, int]) -> int:
    """Return the line of a key, or of the nearest section around it that stands in the file; 0 if none does."""
    return next((places[key[:length]] for length in range(len(key), 0, -1) if key[:length] in places), 0)
