"""What a stage took, in a file beside its out: equal inputs give equal outs, which therefore hold no clock."""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stages.lib.console.machine import query_gpus
from stages.lib.core.files import write_json

COSTS = Path("data/costs")
ALL = "all"  # the key of a stage that runs once for all models


@dataclass(slots=True)
class Cost:
    """The wall time of a stage, in seconds, and what it ran on, such as `H100 x4`; empty: not known."""

    seconds: float = 0.0
    hardware: str = ""


@contextmanager
def timed_cost(stage: str, key: str, hardware: str = "") -> Iterator[Cost]:
    """Time a block, and write its cost when it ends without an error; the block may still say on which hardware."""
    cost = Cost(hardware=hardware)
    began = time.monotonic()
    yield cost
    cost.seconds = time.monotonic() - began
    write_cost(stage, key, cost)


def write_cost(stage: str, key: str, cost: Cost) -> None:
    """Write the cost of a stage for one model."""
    content = {
        "seconds": round(cost.seconds, 1),  # number: wall time of the stage
        "hardware": cost.hardware,  # string: what it ran on, such as `H100 x4`; empty: not known
        "gpus": count_gpus(cost.hardware),  # integer: the most that it had at a time; 0 on a CPU
    }
    write_json(cost_path(stage, key), content)


def cost_path(stage: str, key: str, folder: Path = COSTS) -> Path:
    """Return the file with the cost of a stage for one model."""
    return folder / stage / f"{key}.json"


def count_gpus(hardware: str) -> int:
    """Return the number of GPUs in the name of a machine's hardware, the most of several; 0 on a CPU."""
    names = [name for name in hardware.split(", ") if " x" in name and " CPU" not in name]
    return max((int(name.rpartition(" x")[2]) for name in names), default=0)


def name_hardware(num_gpus: int) -> str:
    """Name the first GPUs that this process may use, as nvidia-smi does, or with 0 the CPU; empty: not known."""
    if not num_gpus:
        return f"{platform.machine()} CPU x{len(os.sched_getaffinity(0))}"
    names = [name for (name,) in query_gpus("name") or []][:num_gpus]
    return f"{names[0]} x{len(names)}" if names else ""


def used_gib(num_gpus: int) -> float:
    """Return the memory in use on the first GPUs that this process may use, all together; 0 for none."""
    used = (query_gpus("memory.used") or [])[:num_gpus] if num_gpus else []  # MiB
    return round(sum(float(memory) for (memory,) in used) / 1024, 2)
