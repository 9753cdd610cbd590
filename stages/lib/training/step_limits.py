"""How many steps a mix can make at most, so that one that is too small is refused before Axolotl starts.

Axolotl shuffles the rows and packs them first-fit, so the exact number is known only after its preparation, when the
plugin checks it. The bound here holds for every order. Standard library only: the environments of both import it.
"""

from collections.abc import Iterable
from math import ceil, floor
from typing import Any

# Keys with which Axolotl counts steps otherwise: with one of them nothing is refused before it starts.
OTHER_COUNTS = (
    *("batch_size", "context_parallel_size", "dp_shard_size", "sample_packing_eff_est", "sequence_parallel_degree"),
    *("tensor_parallel_size", "total_num_tokens"),
)
BIN_ROWS, GROUP_ROWS = 200, 100_000  # Axolotl's: most rows in a packed sequence, rows that are packed together


def find_shortage(lengths: Iterable[int], config: dict[str, Any], min_steps: int, num_gpus: int) -> str:
    """Return why conversations of these numbers of tokens cannot make `min_steps` steps; empty when they may.

    `config` is Axolotl's. Lengths are read only until they may make enough.
    """
    if config.get("excess_length_strategy") != "drop" or any(key in config for key in OTHER_COUNTS):
        return ""
    rows = tokens = longest = steps = 0
    for length in lengths:
        if length > config["sequence_len"]:
            continue
        rows, tokens, longest = rows + 1, tokens + length, max(longest, length)
        steps = most_steps(rows, tokens, longest, config, num_gpus)
        if steps >= min_steps:
            return ""
    return too_few_steps(rows, tokens, steps, min_steps, "at most ")


def too_few_steps(rows: int, tokens: int, steps: int, min_steps: int, bound: str = "") -> str:
    """Return why a run has too few steps to learn anything; empty when it has enough."""
    if steps >= min_steps:
        return ""
    return (
        f"{rows} conversations of {tokens} tokens make {bound}{steps} steps, fewer than train.min_steps ({min_steps}): "
        "mix more rows, or lower train.gradient_accumulation_steps or train.min_steps"
    )


def most_steps(rows: int, tokens: int, longest: int, config: dict[str, Any], num_gpus: int) -> int:
    """Return an upper bound on the steps of all epochs, of rows with these tokens together and in the longest.

    Axolotl makes at least one step of an epoch. It packs a micro-batch either as one sequence or as several.
    """
    length, micro = config["sequence_len"], config["micro_batch_size"]
    rows_per_step = micro * config["gradient_accumulation_steps"] * max(num_gpus, 1)
    if config.get("sample_packing"):
        bins = max(
            most_bins(rows, tokens, longest, length, config),
            micro * most_bins(rows, tokens, longest, micro * length, config),
        )
        steps = floor(max(1, bins // rows_per_step) * config["num_epochs"])
    else:
        steps = ceil(rows * config["num_epochs"] / rows_per_step)
    return int(min(steps, config.get("max_steps") or steps))


def most_bins(rows: int, tokens: int, longest: int, capacity: int, config: dict[str, Any]) -> int:
    """Return an upper bound on the packed sequences of first-fit, whatever the order of the rows.

    A row opens a sequence only where it fits into no earlier one that is not full of rows. So of two such sequences the
    earlier one lacks room for the other's first row, which has at most `longest` tokens, and both together hold more
    than one has room for.
    """
    full = rows // config.get("sample_packing_bin_size", BIN_ROWS)
    groups = ceil(rows / config.get("sample_packing_group_size", GROUP_ROWS))
    others = min((tokens - 1) // (capacity - longest + 1), 2 * tokens // (capacity + 1))
    return int(min(rows, full + groups + others))
