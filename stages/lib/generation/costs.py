"""What conversations cost: each row of the store carries its share, so the costs of any rows can be added up."""

from collections.abc import Sequence
from math import fsum
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.core.costs import Cost
from stages.lib.core.types import Row
from stages.lib.engines.base import Usage

COST = [
    ("prompt_tokens", pa.int64()),  # tokens of all prompts of the conversation that were answered
    ("cached_tokens", pa.int64()),  # prompt tokens found in the engine's prefix cache
    ("completion_tokens", pa.int64()),  # tokens of all replies
    ("seconds", pa.float64()),  # its share of the time of the engine, or of all replicas on this hardware, by tokens
    ("hardware", pa.string()),  # what the engine, or the replica that gave the last reply, ran on
    ("vram_gib", pa.float64()),  # peak memory of all GPUs together; 0: not known
    ("kv_share", pa.float64()),  # peak share of the KV cache in use
    ("preemptions", pa.int64()),  # of the engine; on one row of each flush
    ("restarts", pa.int64()),  # of the engine, lost replicas included; on one row of each flush
]
COUNTS = ("preemptions", "restarts")
PEAKS = ("vram_gib", "kv_share")
TOKENS = ("prompt_tokens", "cached_tokens", "completion_tokens")

Range = tuple[float, float]  # the least and the most


def num_tokens(row: Row) -> int:
    """Add up the tokens in and out of a row that has its tokens."""
    return int(row["prompt_tokens"] + row["completion_tokens"])


def attribute_cost(rows: list[Row], seconds: float, usage: Usage) -> list[Row]:
    """Add the cost of a batch to its rows: the time in proportion to their tokens, and the machine's usage."""
    charge(rows, {"": seconds}, is_last=True)
    return add_usage(rows, usage)


def charge(rows: list[Row], unpaid: dict[str, float], *, is_last: bool = False) -> None:
    """Charge rows for time that none has paid for, by hardware, and take what they pay from `unpaid`.

    A row pays for the hardware that it names, in proportion to its tokens. What no row with tokens names stays; with
    `is_last`, all rows pay for it.
    """
    for row in rows:
        row["seconds"] = 0.0
    for hardware, seconds in list(unpaid.items()):
        payers = [row for row in rows if row.get("hardware", "") == hardware and num_tokens(row)]
        payers = payers or [row for row in rows if is_last and num_tokens(row)]
        if payers:
            tokens = sum(map(num_tokens, payers))
            for row in payers:
                row["seconds"] = round(row["seconds"] + seconds * num_tokens(row) / tokens, 6)
            del unpaid[hardware]


def add_usage(rows: list[Row], usage: Usage) -> list[Row]:
    """Add to rows what was used of the machine while they were generated; they may name their own hardware."""
    for number, row in enumerate(rows):
        row["hardware"] = row.get("hardware") or usage.hardware
        row |= {"vram_gib": usage.vram_gib, "kv_share": usage.kv_share}
        row |= {name: getattr(usage, name) if number == 0 else 0 for name in COUNTS}
    return rows


def attribute_no_cost(rows: list[Row]) -> list[Row]:
    """Add a cost of nothing to rows that no engine of ours has answered."""
    return attribute_cost(rows, 0.0, Usage())


def summarize(costs: pa.Table) -> dict[str, Any]:
    """Sum the cost of rows of COST: tokens, time in seconds, tokens per second, seconds per 1,000 conversations.

    The time is the wall time of one engine; of replicas, the sum of theirs, so that the speed is that of one of them.

    `tokens_per_second` and `seconds_per_1000_conversations` are the paper's two measures (sec. 2.2).
    `input_to_output` is the ratio of input to output speed: both over the same wall time, as vLLM's bar shows them, so
    it is the ratio of the tokens. Conversations without tokens, whose prompts never fitted the window or could not be
    asked, are in `conversations` but not in `answered`, over which time is averaged.
    """
    tokens = pc.add(costs["prompt_tokens"], costs["completion_tokens"])
    answered = pc.sum(pc.greater(tokens, 0)).as_py() or 0
    counts: dict[str, Any] = {"conversations": costs.num_rows, "answered": answered}
    counts |= {name: pc.sum(costs[name]).as_py() or 0 for name in TOKENS}
    seconds = pc.sum(costs["seconds"]).as_py() or 0.0
    if not seconds:  # imported replies cost nothing
        return counts
    prompt, completion = counts["prompt_tokens"], counts["completion_tokens"]
    return counts | {
        "seconds": round(seconds, 1),
        "tokens_per_second": round((prompt + completion) / seconds, 1),
        "output_tokens_per_second": round(completion / seconds, 1),
        "seconds_per_1000_conversations": round(1000 * seconds / answered, 1),
        "input_to_output": round(prompt / completion, 2) if completion else None,
        **{name: pc.max(costs[name]).as_py() for name in PEAKS},
        **{name: pc.sum(costs[name]).as_py() for name in COUNTS},
        "hardware": sorted(filter(None, pc.unique(costs["hardware"]).to_pylist())),
    }


def cost_of(rows: Sequence[Row]) -> Cost:
    """Return what rows with `seconds` and `hardware` took, and on what, when they were generated."""
    hardware = ", ".join(sorted({row["hardware"] for row in rows} - {""}))
    return Cost(fsum(row["seconds"] for row in rows), hardware)


def gpu_hours(wall: Range, num_gpus: int, hardware: str) -> Range | None:
    """Multiply wall time (least and most, in seconds) by GPUs; return hours, or None on a CPU."""
    if " CPU" in hardware:
        return None
    return (wall[0] * num_gpus / 3600, wall[1] * num_gpus / 3600)


def money(hours: Range | None, price: float) -> Range | None:
    """Multiply GPU-hours by the price of one; return None without a price."""
    return (hours[0] * price, hours[1] * price) if hours and price else None
