"""Install PyTorch into the environment whose Python runs this: its CPU build, from the first place that has it.

The places, in this order: each folder or page of wheels that --find-links names; the package index --index; and, where
neither has the CPU build, the package registry, whose build of the same version brings its CUDA libraries. An address
that has not answered within --timeout seconds counts as absent. One line on the screen says which place was taken.

Standard library only: in a new environment there is nothing but uv.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CUDA_BYTES = 4.1e9  # on disk, measured with torch 2.13.0
CUDA_SIZE = f"2.5 GB to download, {CUDA_BYTES / 1e9:.1f} GB on disk"
REGISTRY = "the package registry"
REMEDY = "name a folder with the wheel (UV_FIND_LINKS=<folder>) or an index (make env TORCH_INDEX=<address>)"


@dataclass(frozen=True)
class Place:
    """A place to take PyTorch from: its name on the screen, and what uv is to install from where."""

    name: str
    options: tuple[str, ...]


def read_version(lock: Path) -> str:
    """Return the version of torch that a lock pins."""
    lines = lock.read_text(encoding="utf-8").splitlines()
    return next(line.removeprefix("torch==") for line in lines if line.startswith("torch=="))


def hide_login(address: str) -> str:
    """Return an address without the user name and password that it may hold."""
    return re.sub(r"//[^/@]*@", "//", address)


def list_cpu_places(version: str, find_links: list[str], index: str) -> list[Place]:
    """Return the places that may have the CPU build, in the order in which they are asked."""
    wheel = f"torch=={version}+cpu"
    places = [Place(hide_login(links), ("--no-index", "--find-links", links, wheel)) for links in find_links]
    if index:
        places.append(Place(hide_login(index), ("--index", index, "--default-index", index, wheel)))
    return places


def uv_install(place: Place, *options: str, quiet: bool = False, **variables: str) -> bool:
    """Let uv install torch from a place into this environment, without dependencies; return whether it could."""
    uv = str(Path(sys.executable).with_name("uv"))
    command = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--no-deps", *options, *place.options]
    inherited = {key: value for key, value in os.environ.items() if key != "UV_FIND_LINKS"}  # the place alone
    return subprocess.run(command, env=inherited | variables, capture_output=quiet, check=False).returncode == 0


def has_wheel(place: Place, timeout: int) -> bool:
    """Ask uv whether a place answers in time and has a wheel for this Python and machine; nothing is installed."""
    waits = dict.fromkeys(("UV_HTTP_TIMEOUT", "UV_HTTP_CONNECT_TIMEOUT"), str(timeout))
    return uv_install(place, "--dry-run", quiet=True, UV_HTTP_RETRIES="0", **waits)


def choose(lock: Path, find_links: list[str], index: str, timeout: int) -> tuple[Place, str]:
    """Return the first place that has PyTorch, and the line for the screen that says which one it is."""
    version = read_version(lock)
    places = list_cpu_places(version, find_links, index)
    for place in places:
        if has_wheel(place, timeout):
            return place, f"torch {version}+cpu from {place.name}"
    asked = f" ({', '.join(place.name for place in places)})" if places else ""
    return (
        Place(REGISTRY, ("--requirements", str(lock))),
        f"torch {version} with its CUDA libraries ({CUDA_SIZE}) from {REGISTRY}: no CPU build could be reached{asked}",
    )


def describe_shortage(place: Place, free: float) -> str:
    """Return a line for a disk with too few free bytes for the build with CUDA libraries; empty when it has enough."""
    if place.name != REGISTRY or free >= CUDA_BYTES:
        return ""
    return f"torch takes {CUDA_BYTES / 1e9:.1f} GB with its CUDA libraries, and the disk has {free / 1e9:.1f} GB free"


def read_arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("lock", type=Path, help="the pins of torch and its CUDA libraries")
    parser.add_argument("--find-links", action="append", default=[], help="a folder or page of wheels")
    parser.add_argument("--index", default="", help="the address of a package index with PyTorch's CPU builds")
    parser.add_argument("--timeout", type=int, default=10, help="seconds to wait for an address to answer")
    return parser.parse_args()


def main() -> None:
    """Install PyTorch; exit with 2 and one line when it cannot be installed."""
    arguments = read_arguments()
    place, line = choose(arguments.lock, arguments.find_links, arguments.index, arguments.timeout)
    print(line, flush=True)
    if shortage := describe_shortage(place, shutil.disk_usage(sys.prefix).free):
        print(f"make: {shortage}: free some, or {REMEDY}", file=sys.stderr)
        raise SystemExit(2)
    if not uv_install(place, "--compile-bytecode"):
        print(f"make: could not install torch from {place.name}: run it again, or {REMEDY}", file=sys.stderr)
        raise SystemExit(2)


if __name__ == "__main__":
    main()
