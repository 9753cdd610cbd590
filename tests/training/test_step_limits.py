"""The most steps that a mix can make: never fewer than Axolotl packs, whatever the order of the rows."""

import random
from typing import Any

import pytest

from stages.lib.training.step_limits import find_shortage, most_bins, most_steps

CONFIG: dict[str, Any] = {
    "sequence_len": 100,
    "micro_batch_size": 1,
    "gradient_accumulation_steps": 2,
    "num_epochs": 3,
    "sample_packing": True,
    "excess_length_strategy": "drop",
}


def first_fit(lengths: list[int], capacity: int, most_rows: int) -> int:
    """The number of sequences into which Axolotl packs rows in this order."""
    bins: list[tuple[int, int]] = []
    for length in lengths:
        for number, (used, rows) in enumerate(bins):
            if used + length <= capacity and rows < most_rows:
                bins[number] = (used + length, rows + 1)
                break
        else:
            bins.append((length, 1))
    return len(bins)


@pytest.mark.parametrize("longest", [1, 10, 51, 100])
@pytest.mark.parametrize("most_rows", [3, 200])
def test_no_order_of_the_rows_needs_more_sequences_than_the_bound(longest: int, most_rows: int) -> None:
    draw = random.Random(longest)
    config = CONFIG | {"sample_packing_bin_size": most_rows}
    for num_rows in range(1, 120):
        lengths = [draw.randint(1, longest) for _ in range(num_rows)]
        bound = most_bins(num_rows, sum(lengths), max(lengths), 100, config)
        assert first_fit(lengths, 100, most_rows) <= bound <= num_rows


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({}, 3 * 3),  # 1 + (630 - 1) // 91 = 7 sequences, two of which make a step, in three epochs
        ({"gradient_accumulation_steps": 100}, 3),  # Axolotl makes at least one step of an epoch
        ({"max_steps": 4}, 4),
        ({"num_epochs": 1, "sample_packing": False}, 32),
    ],
)
def test_63_rows_of_10_tokens_make_at_most_so_many_steps(changes: dict[str, Any], steps: int) -> None:
    assert most_steps(63, 630, 10, CONFIG | changes, 0) == steps


def test_several_gpus_share_the_sequences() -> None:
    assert most_steps(63, 630, 10, CONFIG | {"num_epochs": 1}, 3) == 1


def test_a_mix_that_is_too_small_is_named_with_the_limit_and_what_to_do() -> None:
    assert find_shortage([40, 60, 101], CONFIG, 5, 0) == (
        "2 conversations of 100 tokens make at most 3 steps, fewer than train.min_steps (5): mix more rows, or lower "
        "train.gradient_accumulation_steps or train.min_steps"
    )
    assert find_shortage([], CONFIG, 1, 0).startswith("0 conversations of 0 tokens make at most 0 steps")


def test_lengths_are_read_only_until_they_may_suffice() -> None:
    lengths = iter([90] * 9)
    assert find_shortage(lengths, CONFIG, 5, 0) == ""
    assert list(lengths) == [90] * 5


@pytest.mark.parametrize("changes", [{"excess_length_strategy": "truncate"}, {"context_parallel_size": 2}])
def test_nothing_is_refused_where_axolotl_counts_otherwise(changes: dict[str, Any]) -> None:
    assert find_shortage([10], CONFIG | changes, 5, 0) == ""
