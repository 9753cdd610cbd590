"""Build an environment from its lock, unless it is there: beside what is there, which stays until the new one is whole.

python3 -m requirements.build .venv        what `make` calls for .venv, .venv-train and .venv-evalchemy
"""

from __future__ import annotations

import argparse
import ast
import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from requirements.arguments import check_arguments
from requirements.environments import (
    LOCKS,
    NAMES,
    TORCH,
    WHOLE,
    Environment,
    build_lock,
    check_space,
    choose,
    point,
    shared_folder,
)
from requirements.failure import DOCTOR, Failure, exit_on_failure
from requirements.pythons import Python, find_python

UV_VERSION = "0.13.9"
DOWNLOADED = "nltk_data"  # WordNet, which `make wordnet` puts into an environment: the next one takes it over


@contextmanager
def exclusive(folder: Path, key: str) -> Iterator[None]:
    """Be the only one that builds an environment of a folder; print a line while another does."""
    folder.mkdir(parents=True, exist_ok=True)
    with build_lock(folder, key).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(f"another `make` builds {key} in {folder}; waiting for it to end", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def list_find_links(python: str) -> list[str]:
    """Return the folders and pages of wheels that uv's variable, else pip's, else pip's configuration names."""
    for name in ("UV_FIND_LINKS", "PIP_FIND_LINKS"):
        if given := os.environ.get(name):
            return re.split(r"[,\s]+", given.strip())
    command = [python, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    values = re.findall(r"^(?:global|install)\.find-links=(.*)$", listed, re.MULTILINE)
    return [word for value in values for word in ast.literal_eval(value).split()]


def run(command: list[str], what: str) -> None:
    """Run a command that prints its own errors; raise Failure when it fails."""
    if subprocess.run(command, check=False).returncode:
        raise Failure(f"could not {what}: the lines above say why; {DOCTOR}")


def install(environment: Environment, folder: Path, python: Python, torch_index: str) -> None:
    """Build an environment in a folder. The locks are complete, so nothing is resolved.

    Those for the CPU leave torch to install_torch.py, which takes the CPU build where it can. The copy of the lock,
    made last, says that the environment is whole.
    """
    own = str(folder / "bin/python")
    run([python.path, "-m", "venv", str(folder)], f"make an environment with {python.path}")
    quiet = ["-q", "-q", "--disable-pip-version-check"]
    run([own, "-m", "pip", "install", *quiet, f"uv=={UV_VERSION}"], f"install uv {UV_VERSION}")
    links = [word for place in list_find_links(own) for word in ("--find-links", place)]
    if environment.device == "cpu":
        torch = [own, str(LOCKS / "install_torch.py"), str(LOCKS / TORCH), *links, "--index", torch_index]
        if code := subprocess.run(torch, check=False).returncode:
            raise SystemExit(code)  # it has said why
    uv = [str(folder / "bin/uv"), "pip", "install", "--quiet", "--python", own, "--no-deps", "--compile-bytecode"]
    for copy, lock in reversed(environment.copies.items()):
        # What scores MATH needs another antlr4 than DVC's hydra does. It lies beside it, and only what needs it looks.
        beside = [] if copy == WHOLE else ["--target", str((folder / copy).parent)]
        run([*uv, *links, *beside, "--requirements", str(lock)], f"install {lock}")
    for copy, lock in reversed(environment.copies.items()):
        shutil.copyfile(lock, folder / copy)


def build(environment: Environment, given_python: str, torch_index: str) -> None:
    """Let the link of an environment lead to a whole one, which is built unless it is there."""
    if not environment.fault():
        return
    shared = shared_folder()
    with exclusive(shared, environment.key):
        found = environment.find(shared) or build_new(environment, shared, find_python(given_python), torch_index)
        if (environment.link / DOWNLOADED).is_dir() and not (found / DOWNLOADED).exists():
            shutil.copytree(environment.link / DOWNLOADED, found / DOWNLOADED)
        point(environment.link, found)


def build_new(environment: Environment, shared: Path, python: Python, torch_index: str) -> Path:
    """Build an environment in a folder of environments and return its own; nothing half built is left."""
    folder = environment.place(shared, python.path)
    shutil.rmtree(folder, ignore_errors=True)  # what a kill has left
    check_space(environment, shared)
    cost = f"about a minute, {environment.size} GB"
    print(f"Building {environment.link} from {environment.lock} ({cost})", flush=True)
    try:
        install(environment, folder, python, torch_index)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def main() -> None:
    """Check what `make` was given, then build one environment."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("link", choices=sorted(NAMES))
    parser.add_argument("--device", default="", help="cpu or gpu; empty: as the environment that is there, else cpu")
    parser.add_argument("--python", default="", help="empty: the first Python 3.11 of the path, else uv's")
    parser.add_argument("--torch-index", default="", help="the address of an index with PyTorch's CPU builds")
    parser.add_argument("--goals", default="", help="what `make` was asked for, to check its arguments")
    arguments = parser.parse_args()
    with exit_on_failure("the environment that was there is as it was"):
        check_arguments(arguments.goals.split(), os.environ.get("MAKEFLAGS", ""), arguments.device)
        build(choose(arguments.link, arguments.device), arguments.python, arguments.torch_index)


if __name__ == "__main__":
    main()
