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
    ("seconds", pa.float64()),  # its share of the wall time, by tokens
    ("hardware", pa.string()),  # what the engine ran on
    ("vram_gib", pa.float64()),  # peak memory of all GPUs together; 0: not known
    ("kv_share", pa.float64()),  # peak share of the KV cache in use
    ("preemptions", pa.int64()),  # of the engine; on one row of each flush
    ("restarts", pa.int64()),  # of the engine; on one row of each flush
]
COUNTS = ("preemptions", "restarts")
PEAKS = ("vram_gib", "kv_share")
TOKENS = ("prompt_tokens", "cached_tokens", "completion_tokens")

Range = tuple[float, float]  # the least and the most


def num_tokens(row: Row) -> int:
    """Add up the tokens in and out of a row that has its tokens."""
    return int(row["prompt_tokens"] + row["completion_tokens"])


def attribute_cost(rows: list[Row], seconds: float, usage: Usage) -> list[Row]:
    """Add the cost of a batch to its rows: the wall time in proportion to their tokens, and the machine's usage."""
    tokens = list(map(num_tokens, rows))
    for number, (row, count) in enumerate(zip(rows, tokens, strict=True)):
        row["seconds"] = round(seconds * count / max(sum(tokens), 1), 6)
        row |= {"hardware": usage.hardware, "vram_gib": usage.vram_gib, "kv_share": usage.kv_share}
        row |= {name: getattr(usage, name) if number == 0 else 0 for name in COUNTS}
    return rows


def attribute_no_cost(rows: list[Row]) -> list[Row]:
    """Add a cost of nothing to rows that no engine of ours has answered."""
    return attribute_cost(rows, 0.0, Usage())


def summarize(costs: pa.Table) -> dict[str, Any]:
    """Sum the cost of rows of COST: tokens, wall time in seconds, tokens per second, seconds per 1,000 conversations.

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
