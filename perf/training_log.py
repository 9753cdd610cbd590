"""What the log of a training says of its speed: slots and trained tokens per second, model FLOPs utilisation, losses.

A slot is a place of a token in a packed sequence: of a prompt, a reply or padding. The GPU processes every slot, so
they are what its work is counted by; only those of replies are trained, about two thirds.
"""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from stages.lib.core.types import Json

TRAINED, TOTAL, RATE = "tokens/trainable", "tokens/total", "tokens/train_per_sec_per_gpu"
MEMORY = "memory/max_allocated (GiB)"


class Speed(NamedTuple):
    """Speeds per second and GPU: the median over steps, and the least and the most slots."""

    slots: float
    trained: float
    least_slots: float
    most_slots: float


def measure_speed(steps: Sequence[Json]) -> Speed | None:
    """Return the speed of a training from the log entries of its steps; None for fewer than two.

    Axolotl logs trained tokens per second and GPU since the entry before, and both counts over all GPUs so far: so the
    slots per second are that rate times the slots per trained token. The first step, which compiles, does not count.
    """
    slots = [
        after[RATE] * (after[TOTAL] - before[TOTAL]) / (after[TRAINED] - before[TRAINED])
        for before, after in pairwise(steps)
    ]
    if not slots:
        return None
    return Speed(median(slots), median(step[RATE] for step in steps[1:]), min(slots), max(slots))


def flops_utilisation(tokens_per_second: float, parameters: int, peak_flops: float) -> float:
    """Return 6 x parameters x tokens per second (Kaplan et al., 2020: no attention, no recomputation) over the peak."""
    return 6 * parameters * tokens_per_second / peak_flops


def most_memory(steps: Sequence[Json]) -> float:
    """Return the most memory allocated on a GPU, in GiB; 0 when it was not logged."""
    return max((float(step.get(MEMORY, 0)) for step in steps), default=0.0)


def largest_loss_difference(steps: Sequence[Json], others: Sequence[Json]) -> float:
    """Return by how much the losses of two trainings differ at most, over the steps that both have."""
    return max((abs(step["loss"] - other["loss"]) for step, other in zip(steps, others, strict=False)), default=0.0)
