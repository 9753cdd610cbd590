"""The speed of a training, computed by hand from log entries as Axolotl writes them."""

import pytest

from perf.training_log import flops_utilisation, largest_loss_difference, measure_speed, most_memory
from stages.lib.core.types import Json


def entry(total: int, trainable: int, rate: float, loss: float = 1.0) -> Json:
    counts = {"tokens/total": total, "tokens/trainable": trainable, "tokens/train_per_sec_per_gpu": rate}
    return {**counts, "loss": loss, "memory/max_allocated (GiB)": rate / 100}


# Steps of 32,768 slots on one GPU: the first took 65 s, the second 3.2 s, the third 4 s.
STEPS = [entry(32_768, 20_000, 307.7), entry(65_536, 40_000, 6_250), entry(98_304, 64_000, 6_000)]


def test_all_slots_of_a_step_count_and_not_only_the_trained_ones() -> None:
    speed = measure_speed(STEPS[:2])
    assert speed and speed.slots == pytest.approx(32_768 / 3.2) and speed.trained == 6_250


def test_the_median_step_counts_without_the_first() -> None:
    speed = measure_speed(STEPS)
    assert speed and speed.slots == pytest.approx((32_768 / 3.2 + 32_768 / 4) / 2)
    assert (speed.least_slots, speed.most_slots) == pytest.approx((8_192, 10_240))


def test_of_two_gpus_each_has_half_of_the_slots() -> None:
    both = [entry(65_536, 40_000, 0), entry(131_072, 80_000, 6_250)]  # both counts are sums, the rate is of one
    speed = measure_speed(both)
    assert speed and speed.slots == pytest.approx(32_768 / 3.2)


def test_one_step_has_no_speed() -> None:
    assert measure_speed(STEPS[:1]) is None and measure_speed([]) is None


def test_the_profiled_step_of_eight_billion_parameters() -> None:
    assert flops_utilisation(10_469, 8_030_000_000, 767e12) == pytest.approx(0.6576, abs=1e-4)


def test_memory_and_losses() -> None:
    assert most_memory(STEPS) == 62.5 and most_memory([]) == 0.0
    losses = [entry(1, 1, 1, loss) for loss in (11.8, 9.0, 8.0)]
    others = [entry(1, 1, 1, loss) for loss in (11.8, 9.25)]
    assert largest_loss_difference(losses, others) == 0.25
