"""The machine: Python, git, cores, memory, disk, GPUs."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from commands.doctor.findings import BROKEN, MISSING, OK, Finding, count, gigabytes, short
from requirements.pythons import NAMES, VERSION, find_uv_python, on_path, probe
from stages.lib.console.machine import GIB, Gpu, list_gpus, read_memory

LEAST_DISK = 1e9  # bytes: less is soon full
LEAST_SHM = GIB  # with which several GPUs of one model exchange what they computed
LEAST_FILES = 10_000
FICLONE = 0x40049409  # the request that shares the blocks of two files


def look_at_machine(facts: dict[str, Any], device: str) -> list[Finding]:
    """Return the findings on the machine; `device` is that of `.venv`, `facts` are those of the project."""
    gpus = list_gpus()
    needed = need_gpus(facts, device)
    return [
        look_at_python(),
        look_at_program("uv", needed=False),
        look_at_program("git", needed=True),
        look_at_memory(),
        *look_at_disk(),
        look_at_gpus(gpus, *needed),
        *look_at_shm(needed[0]),
    ]


def look_at_python() -> Finding:
    """Find the Python that environments are built with."""
    found = [candidate for path in on_path(NAMES) if not (candidate := probe(path)).problem]
    python = next(iter(found), None) or find_uv_python()
    if python:
        return Finding("Python", OK, f"{python.version}, {short(python.path)}")
    ways = f"to build environments install Python {VERSION}, or uv, which brings it"
    return Finding("Python", MISSING, f"no {VERSION} on the path: {ways}")


def look_at_program(name: str, *, needed: bool) -> Finding:
    """Ask a program for its version."""
    path = shutil.which(name)
    if not path:
        return Finding(name, BROKEN if needed else MISSING, f"not on the path{'' if needed else '; not needed'}")
    ended = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    words = ended.stdout.split()
    version = next((word for word in words if word[0].isdigit()), "")
    if ended.returncode or not version:
        return Finding(name, BROKEN if needed else MISSING, f"{short(path)} does not start")
    return Finding(name, OK, f"{version}, {short(path)}")


def look_at_memory() -> Finding:
    """Tell the cores and the memory."""
    memory = read_memory()
    cores = count(len(os.sched_getaffinity(0)), "core")
    return Finding(
        "processor", OK, f"{cores}, {memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB of memory available"
    )


def look_at_disk() -> list[Finding]:
    """Tell the free space here and where temporary files go, and how DVC can share bytes between cache and checkout."""
    if not os.access(Path(), os.W_OK):
        return [Finding("disk", BROKEN, f"{Path.cwd()} cannot be written to")]
    here = describe_disk("disk", Path())
    text = f"{here.text}; {describe_links()}"
    temporary = Path(os.environ.get("TMPDIR", "/tmp"))  # noqa: S108
    elsewhere = temporary.exists() and temporary.stat().st_dev != Path().stat().st_dev
    return [
        Finding(here.name, here.state, text),
        *([describe_disk(str(temporary), temporary)] if elsewhere else []),
    ]


def describe_disk(name: str, folder: Path) -> Finding:
    """Tell how much room the disk of a folder has, in bytes and in files."""
    usage, files = shutil.disk_usage(folder), os.statvfs(folder)
    text = f"{gigabytes(usage.free)} of {gigabytes(usage.total)} free"
    if files.f_files and files.f_favail < LEAST_FILES:
        return Finding(name, BROKEN, f"{text}, and room for {count(files.f_favail, 'file')} only: remove some")
    if usage.free < LEAST_DISK:
        return Finding(name, BROKEN, f"{text}: free some space")
    return Finding(name, OK, text)


def describe_links(folder: Path = Path(".dvc/tmp")) -> str:
    """Tell whether two files can share their bytes on this disk, as DVC lets its cache and the checkout do."""
    where = folder if folder.is_dir() else Path()
    try:
        with NamedTemporaryFile(dir=where) as one, NamedTemporaryFile(dir=where) as other:
            one.write(b"x")
            one.flush()
            fcntl.ioctl(other.fileno(), FICLONE, one.fileno())
    except OSError:
        return "no reflinks, DVC uses hard links: never edit an out in place"
    return "DVC uses reflinks"


def need_gpus(facts: dict[str, Any], device: str) -> tuple[int, str | None]:
    """Return how many GPUs params.yaml asks for, and by which key (None: not known), with `.venv` for a device."""
    if "gpus" not in facts:
        return 0, None
    keys = ["gpus", "gpus_to_generate"] if device == "gpu" else ["gpus"]
    number, key = max(tuple(facts.get(name, (0, ""))) for name in keys)
    return number, key


def look_at_gpus(gpus: list[Gpu] | None, needed: int, key: str | None) -> Finding:
    """Compare the GPUs that this process sees with those that are asked for."""
    asked = f"params.yaml asks for {needed} ({key})"
    if gpus is None:
        return Finding("GPU", MISSING, "not known: nvidia-smi does not answer" + (f"; {asked}" if needed else ""))
    if len(gpus) < needed:
        return Finding("GPU", BROKEN, f"{len(gpus) or 'none'}, and {asked}")
    if not gpus:
        return Finding("GPU", MISSING, "none; the active params.yaml asks for none" if key is not None else "none")
    first, free = gpus[0], sum(gpu.free for gpu in gpus)
    total = sum(gpu.total for gpu in gpus)
    return Finding(
        "GPU", OK, f"{first.name} x{len(gpus)}, {free / GIB:.0f} of {total / GIB:.0f} GiB free, driver {first.driver}"
    )


def look_at_shm(needed: int, folder: Path = Path("/dev/shm")) -> list[Finding]:  # noqa: S108
    """Tell whether the shared memory is large enough for a model on several GPUs, where one is asked for."""
    if needed < 2 or not folder.is_dir():
        return []
    total = shutil.disk_usage(folder).total
    if total >= LEAST_SHM:
        return [Finding(str(folder), OK, gigabytes(total))]
    return [
        Finding(
            str(folder),
            BROKEN,
            f"{gigabytes(total)}: one model on {needed} GPUs needs more, as `docker run --shm-size=8g` gives",
        )
    ]
