"""What this machine has: GPUs, memory, disk. `make doctor` reads it without an environment, so imports are Python's."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

GIB = 1 << 30
QUERY_SECONDS = 20
DEVICES = Path("/dev")
LIMITS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Gpu:
    """A GPU that this process may use. Memory is in bytes; `driver` is the driver's version."""

    name: str
    driver: str
    total: float
    free: float


@dataclass(frozen=True)
class Memory:
    """The memory of this machine, or of the container that limits it, in bytes; what is available counts swap."""

    total: int
    available: int


def query_gpus(*fields: str) -> list[list[str]] | None:
    """Return the values that nvidia-smi gives for each GPU that this process may use.

    None where that is not known: there are devices, and no nvidia-smi that answers.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in {"", "-1"}:
        return []
    only = ["--id", visible] if visible else []
    command = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits", *only]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=QUERY_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return None if visible or any(DEVICES.glob("nvidia[0-9]*")) or (DEVICES / "dxg").exists() else []
    return [[value.strip() for value in line.split(",")] for line in result.stdout.splitlines() if line.strip()]


def list_gpus() -> list[Gpu] | None:
    """Return the GPUs that this process may use; None where that is not known."""
    rows = query_gpus("name", "driver_version", "memory.total", "memory.free")
    if rows is None:
        return None
    return [Gpu(name, driver, to_bytes(total), to_bytes(free)) for name, driver, total, free in rows]


def to_bytes(mebibytes: str) -> float:
    """Convert nvidia-smi's memory to bytes; 0 for one that it does not know."""
    try:
        return float(mebibytes) * 2**20
    except ValueError:
        return 0.0


def read_memory() -> Memory:
    """Return the memory of this machine, within the limit of its container if that is less."""
    words = (line.split() for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    sizes = {word[0].rstrip(":"): int(word[1]) * 1024 for word in words}
    total, available = sizes["MemTotal"], sizes["MemAvailable"] + sizes["SwapFree"]
    limit, used = (read_limit(LIMITS / name) for name in ("memory.max", "memory.current"))
    if limit is None or used is None or limit >= total:
        return Memory(total, available)
    return Memory(limit, min(available, max(0, limit - used + file_cache())))


def read_limit(path: Path) -> int | None:
    """Return the number in a file of the kernel's; None for `max` or no file."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def file_cache() -> int:
    """Return how many bytes of the container's memory cache files, which the kernel gives back when asked."""
    try:
        lines = (LIMITS / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk that a folder is on, or will be."""
    return shutil.disk_usage(next(path for path in (folder, *folder.absolute().parents) if path.exists())).free
