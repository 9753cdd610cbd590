"""Check what `make` was given, before anything is built: names of variables, what a command needs, values.

A line of the Makefile such as `analyse: ... ## compare replies: make analyse RESPONSES=file.parquet [OUT=folder]` says
what a command needs, and in brackets what it may be given. Every other variable of the Makefile may be given to all.

python3 -m requirements.arguments "doctor"      what `make` calls before a command that builds nothing
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from requirements.environments import DEVICES
from requirements.failure import Failure, exit_on_failure

MAKEFILE = Path("Makefile")
VARIABLE = r"[A-Z][A-Z_]*"
FOREIGN = ("EVALCHEMY_", "HF_", "OPENAI_", "PIP_", "REWILD_", "UV_")  # variables of the environment, given to make
SWITCHED = ("yes", "no", "")
MADE = {"add": ("ID",)}  # what a command makes, so that it need not be there
FOLDERS = {"NAME": "profiles", "ID": "dgms", "DGM": "dgms"}  # whose YAML files are what can be named


def read_given(makeflags: str) -> dict[str, str]:
    """Return the variables of make's command line, from the MAKEFLAGS that it passes on.

    There make has put a backslash before each blank and backslash of a value, and doubled its dollar signs.
    """
    words = re.findall(r"(?:[^ \t\\]|\\.)+", (" " + makeflags).partition(" -- ")[2], re.DOTALL)
    given = (re.sub(r"\\(.)", r"\1", word, flags=re.DOTALL).partition("=") for word in words)
    return {name: value.replace("$$", "$") for name, _, value in given}


def usages(makefile: str) -> dict[str, str]:
    """Return how each command of a Makefile is called, such as `make analyse RESPONSES=file.parquet [OUT=folder]`."""
    calls = (re.search(rf"\bmake {name}\b[^,:;]*", text) for name, text in descriptions(makefile))
    return {call.group().split()[1]: call.group().strip() for call in calls if call}


def descriptions(makefile: str) -> list[tuple[str, str]]:
    """Return the names of the commands of a Makefile and what their lines say of them."""
    return re.findall(r"^([a-z-]+):[^#\n]*## (.*)$", makefile, re.MULTILINE)


def needed(usage: str) -> list[str]:
    """Return the variables that a usage names outside of brackets."""
    return re.findall(rf"\b({VARIABLE})=", re.sub(r"\[[^]]*\]", "", usage))


def switches(makefile: str) -> dict[str, set[str]]:
    """Return the variables of each command that are yes or no: those that its line names with yes."""
    return {name: {*re.findall(rf"\b({VARIABLE})=yes\b", text)} for name, text in descriptions(makefile)}


def check_arguments(goals: list[str], makeflags: str, device: str) -> None:
    """Raise Failure for the first argument that is unknown, missing or wrong."""
    makefile = MAKEFILE.read_text(encoding="utf-8")
    calls = usages(makefile)
    wanted = {name: goal for goal in goals for name in needed(calls.get(goal, ""))}
    turned = switches(makefile)
    read = {*wanted, *(name for goal in goals for name in turned.get(goal, ()))}
    given = {name: os.environ[name] for name in read if name in os.environ} | read_given(makeflags)
    check_names(given, variables(makefile))
    if device and device not in DEVICES:
        raise Failure(f"DEVICE={device}: it is {' or '.join(DEVICES)}")
    for name, goal in wanted.items():
        if not given.get(name):
            raise Failure(f"{name} is missing: {calls[goal]}")
    for name, value in given.items():
        if value not in SWITCHED and any(name in names for names in turned.values()):
            raise Failure(f"{name}={value}: it is yes or no")
        if not any(name in MADE.get(goal, ()) for goal in goals):
            check_value(name, value)


def variables(makefile: str) -> set[str]:
    """Return the variables that a Makefile uses, or names in the usage of a command."""
    used = re.findall(rf"\$\(({VARIABLE})\)", makefile)
    return {*used, *re.findall(rf"\b({VARIABLE})=", makefile)}


def check_names(given: Iterable[str], known: set[str]) -> None:
    """Raise Failure for a variable that the Makefile does not use."""
    for name in given:
        if name not in known and not name.startswith(FOREIGN):
            raise Failure(f"{name}= is no argument of make here{suggest(name, known)}")


def check_value(name: str, value: str) -> None:
    """Raise Failure for a value that names nothing: no profile, no model of the catalogue, no file."""
    if name in FOLDERS:
        known = {path.stem for path in Path(FOLDERS[name]).glob("*.yaml")}
        for word in value.split():
            if word not in known:
                raise Failure(f"{name}={word}: there is no {FOLDERS[name]}/{word}.yaml{suggest(word, known)}")
    if name in {"RESPONSES", "FROM"} and value and not Path(value).exists():
        raise Failure(f"{name}: {value} is not there")


def suggest(word: str, known: Iterable[str]) -> str:
    """Return a question that names the nearest of the known words, or all if they are few."""
    words = sorted(known)
    close = get_close_matches(word, words, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; there are: {', '.join(words)}" if len(words) <= 10 else ""


def main() -> None:
    """Check what `make` was given for the goals that the command line names."""
    with exit_on_failure("nothing was run"):
        makeflags = os.environ.get("MAKEFLAGS", "")
        check_arguments(sys.argv[1].split(), makeflags, read_given(makeflags).get("DEVICE", ""))


if __name__ == "__main__":
    main()
