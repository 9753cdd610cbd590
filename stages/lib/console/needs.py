"""What a stage needs of its machine, checked in one place before a model is loaded. Nothing here decides a byte."""

from dataclasses import dataclass
from pathlib import Path

from stages.lib.console.errors import MachineError
from stages.lib.console.formats import format_bytes
from stages.lib.console.machine import GIB, Gpu, free_bytes, list_gpus, read_memory

LEAST_DISK = 100e6  # bytes, which every stage that runs a model writes sooner or later
TOLERANCE = 0.02  # of a GPU's memory: the driver and CUDA do not count it in the same way


@dataclass(frozen=True, slots=True)
class Needs:
    """What loading a model takes, in bytes as far as it is known; 0: nothing, or not known. `who` is for the errors."""

    who: str
    gpus: int = 0
    asked_by: str = ""  # the key that asks for the GPUs
    gpu_share: float = 0.0  # of the memory of each GPU, which must be free
    weights: float = 0.0  # on all GPUs together
    memory: float = 0.0  # of the machine
    disk: float = LEAST_DISK  # where the outs are written


def check_machine(needs: Needs, folder: Path = Path()) -> None:
    """Raise MachineError for the first thing that this machine lacks. What is not known is not held against it."""
    if needs.gpus:
        check_gpus(needs, list_gpus())
    check_memory(needs)
    check_disk(needs.who, needs.disk, folder)


def check_gpus(needs: Needs, gpus: list[Gpu] | None) -> None:
    """Raise MachineError for too few GPUs, or too little memory on those that are taken."""
    if gpus is None:
        return
    if len(gpus) < needs.gpus:
        raise MachineError(
            f"{needs.who} needs {count_gpus(needs.gpus)} ({needs.asked_by}), "
            f"and this process sees {len(gpus) or 'none'}"
        )
    for number, gpu in enumerate(gpus[: needs.gpus]):
        if not gpu.total:
            continue
        share, weights = needs.gpu_share or 1.0, needs.weights / needs.gpus
        if weights > share * gpu.total:
            raise MachineError(
                f"{needs.who}: its weights take {to_gib(weights)} on each of {count_gpus(needs.gpus)} "
                f"({needs.asked_by}), of which {to_gib(share * gpu.total)} may be used"
            )
        if gpu.free < (needs.gpu_share - TOLERANCE) * gpu.total:
            raise MachineError(
                f"{needs.who}: GPU {number} has {to_gib(gpu.free)} of {to_gib(gpu.total)} free, and "
                f"runtime.gpu_memory_utilization asks for {needs.gpu_share:.0%}: wait for what uses it, or ask for less"
            )


def check_memory(needs: Needs) -> None:
    """Raise MachineError when the machine's memory is too small for what is loaded into it."""
    memory = read_memory()
    if needs.memory > memory.available:
        raise MachineError(
            f"{needs.who} takes {to_gib(needs.memory)} of memory, and {to_gib(memory.available)} of "
            f"{to_gib(memory.total)} are available"
        )


def check_disk(who: str, num_bytes: float, folder: Path) -> None:
    """Raise MachineError when the disk of a folder is too small for what will be written there."""
    free = free_bytes(folder)
    if free < num_bytes:
        where = folder if folder.parts else "this folder"
        raise MachineError(
            f"{who} writes at least {format_bytes(num_bytes)}, and the disk of {where} has {format_bytes(free)} free"
        )


def count_gpus(number: int) -> str:
    """Format a number of GPUs."""
    return "1 GPU" if number == 1 else f"{number} GPUs"


def to_gib(num_bytes: float) -> str:
    """Format bytes as GiB, in which memory is sold."""
    return f"{num_bytes / GIB:.1f} GiB"
