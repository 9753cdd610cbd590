"""The forecast of one DGM: tokens from the pilot's own conversations, speed from all that the store holds."""

from collections import Counter
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from commands.pilot.forecast import (
    Forecast,
    SampledPrompt,
    TokenForecast,
    count_extrapolated,
    forecast_tokens,
    wall_time,
)
from commands.pilot.job import Job, read_prompts_of
from commands.pilot.steady_state import SteadyState
from stages.generate import LEDGER
from stages.lib.engines.request import identity
from stages.lib.generation.costs import COST, gpu_hours, money
from stages.lib.generation.store import read_segment
from stages.lib.records.responses import RESPONSE

COST_COLUMNS = [name for name, _ in COST]


class Speed(NamedTuple):
    """What is known of a DGM's speed on one hardware."""

    hardware: str
    steady_state: SteadyState
    overall_rate: float  # tokens per second
    other_hardware: int  # rows that do not count


def read_stored_costs(job: Job) -> tuple[pa.Table, Counter[int]]:
    """Read the costs of the stored conversations that `generate` would use, and count these by number of turns."""
    tables = [read_segment(segment, ["conversation_hash"]) for segment in job.store.segments()]
    hashes = pa.concat_tables([table for table in tables if table is not None])["conversation_hash"].combine_chunks()
    engine = job.settings.generate.engine
    num_turns = {identity(row, job.model, job.config, engine): len(row["turns"]) for row in read_prompts_of(hashes)}
    locations = job.store.find(list(num_turns), job.config.max_tokens, job.config.window)
    costs = job.store.read(list(locations.values()), COST_COLUMNS)
    return costs, Counter(num_turns[name] for name in locations)


def most_used_hardware(costs: pa.Table) -> str:
    """Return the hardware that most tokens came from; empty for no rows."""
    tokens = Counter[str]()
    for row in costs.to_pylist():
        tokens[row["hardware"]] += row["prompt_tokens"] + row["completion_tokens"]
    return tokens.most_common(1)[0][0] if tokens else ""


def tokens_per_second(costs: pa.Table) -> float:
    """Return tokens in and out per second of wall time; 0 when no time is known."""
    seconds = pc.sum(costs["seconds"]).as_py() or 0.0
    tokens = pc.sum(pc.add(costs["prompt_tokens"], costs["completion_tokens"])).as_py() or 0
    return float(tokens / seconds) if seconds else 0.0


def measure_speed(costs: pa.Table, steady_state: SteadyState, hardware: str) -> Speed:
    """Measure the speed on the pilot's hardware, or on the one that most stored tokens came from."""
    timed = costs.filter(pc.greater(costs["seconds"], 0))
    hardware = hardware or most_used_hardware(timed)
    same = timed.filter(pc.equal(timed["hardware"], hardware))
    return Speed(hardware, steady_state, tokens_per_second(same), timed.num_rows - same.num_rows)


def bytes_per_row(table: pa.Table) -> float:
    """Return the bytes that a row of a table takes as parquet, without those of a file of no rows."""
    return float((parquet_bytes(table) - parquet_bytes(table.slice(0, 0))) / table.num_rows)


def parquet_bytes(table: pa.Table) -> int:
    """Return the size of a table as parquet."""
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd")
    return int(buffer.getvalue().size)


def predict(
    job: Job, table: pa.Table, sample: list[SampledPrompt], steady_state: SteadyState, hardware: str
) -> Forecast:
    """Predict what the missing conversations take, from the pilot's rows of SEGMENT and all costs in the store."""
    costs, stored = read_stored_costs(job)
    missing = job.num_prompts - stored
    prompt = forecast_tokens(sample, missing, "prompt_tokens", job.config)
    completion = forecast_tokens(sample, missing, "completion_tokens", job.config)
    speed = measure_speed(costs, steady_state, hardware)
    conversations = missing.total() + costs.num_rows
    wall, hours = times(job, speed, prompt, completion)
    return Forecast(
        missing=missing.total(),
        conversations=conversations,
        extrapolated=count_extrapolated(sample, missing),
        prompt=prompt,
        completion=completion,
        **speed._asdict(),
        wall=wall,
        gpu_hours=hours,
        money=money(hours, job.settings.price_per_gpu_hour),
        store_bytes=bytes_per_row(table) * conversations,
        responses_bytes=sum(bytes_per_row(table.select(schema.names)) for schema in (RESPONSE, LEDGER)) * conversations,
    )


def times(
    job: Job, speed: Speed, prompt: TokenForecast, completion: TokenForecast
) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    """Return wall time in seconds and GPU-hours, each as the least and the most; None where unknown."""
    rates = [speed.steady_state.tokens_per_second, speed.overall_rate]
    wall = wall_time(prompt.tokens + completion.tokens, rates)
    hours = gpu_hours(wall, job.model.tensor_parallel, speed.hardware) if wall else None
    return wall, hours
