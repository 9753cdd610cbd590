"""The forecast of one DGM: tokens from the pilot's own conversations, speed from all that the store holds."""

from collections import Counter
from math import hypot
from statistics import fmean
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from commands.pilot.forecasting.forecast import (
    Forecast,
    SampledPrompt,
    TokenForecast,
    forecast_tokens,
)
from commands.pilot.forecasting.pace import Pace, count_replicas, predict_seconds
from commands.pilot.job import Job, read_prompts_of
from stages.generate import LEDGER
from stages.lib.engines.request import identity
from stages.lib.generation.costs import COST, Range, gpu_hours, money
from stages.lib.generation.store import read_segment
from stages.lib.records.responses import RESPONSE

COST_COLUMNS = [name for name, _ in COST]


class Speed(NamedTuple):
    """What is known of a DGM's speed on one hardware."""

    hardware: str
    pace: Pace
    overall_rate: float  # tokens per second
    other_hardware: int  # rows that do not count


def read_stored_costs(job: Job) -> tuple[pa.Table, set[str]]:
    """Read the costs of the stored conversations that `generate` would use, and the names of their prompts."""
    tables = [read_segment(segment, ["conversation_hash"]) for segment in job.store.segments()]
    hashes = pa.concat_tables([table for table in tables if table is not None])["conversation_hash"].combine_chunks()
    engine = job.settings.generate.engine
    names = {identity(row, job.model, job.config, engine): row["conversation_hash"] for row in read_prompts_of(hashes)}
    locations = job.store.find(list(names), job.config.max_tokens, job.config.window)
    costs = job.store.read(list(locations.values()), COST_COLUMNS)
    return costs, {names[name] for name in locations}


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


def measure_speed(costs: pa.Table, pace: Pace, hardware: str) -> Speed:
    """Measure the speed on the pilot's hardware, or on the one that most stored tokens came from."""
    timed = costs.filter(pc.greater(costs["seconds"], 0))
    hardware = hardware or most_used_hardware(timed)
    same = timed.filter(pc.equal(timed["hardware"], hardware))
    return Speed(hardware, pace, tokens_per_second(same), timed.num_rows - same.num_rows)


def bytes_per_row(table: pa.Table) -> float:
    """Return the bytes that a row of a table takes as parquet, without those of a file of no rows."""
    return float((parquet_bytes(table) - parquet_bytes(table.slice(0, 0))) / table.num_rows)


def parquet_bytes(table: pa.Table) -> int:
    """Return the size of a table as parquet."""
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd")
    return int(buffer.getvalue().size)


def predict(job: Job, table: pa.Table, sample: list[SampledPrompt], pace: Pace, hardware: str) -> Forecast:
    """Predict what the missing conversations take, from the pilot's rows of SEGMENT and all costs in the store."""
    costs, stored = read_stored_costs(job)
    missing = [size for name, size in job.sizes.items() if name not in stored]
    prompt, completion = forecast_tokens(sample, missing, job.config)
    speed = measure_speed(costs, pace, hardware)
    conversations = len(missing) + costs.num_rows
    wall = predict_time(job, speed, sample, len(missing), prompt, completion)
    replicas = count_replicas(job.settings.runtime, job.model, pace.replicas)
    hours = gpu_hours(wall, replicas * job.model.tensor_parallel, speed.hardware) if wall else None
    return Forecast(
        missing=len(missing),
        conversations=conversations,
        prompt=prompt,
        completion=completion,
        **speed._asdict(),
        replicas=replicas,
        wall=wall,
        gpu_hours=hours,
        money=money(hours, job.settings.price_per_gpu_hour),
        store_bytes=bytes_per_row(table) * conversations,
        responses_bytes=sum(bytes_per_row(table.select(schema.names)) for schema in (RESPONSE, LEDGER)) * conversations,
    )


def predict_time(
    job: Job, speed: Speed, sample: list[SampledPrompt], missing: int, prompt: TokenForecast, completion: TokenForecast
) -> Range | None:
    """Return the least and the most seconds of wall time, as far as the tokens are off by chance; None: unknown.

    The missing conversations are played at the pilot's pace, or else take the tokens per second of the store.
    """
    tokens = prompt.tokens + completion.tokens
    replicas = count_replicas(job.settings.runtime, job.model, speed.pace.replicas)
    works = [out for row in sample if (out := row.tokens[1])]
    if speed.pace.seconds and works:
        share = completion.tokens / (fmean(works) * max(missing, 1))
        at_once = job.settings.runtime.max_concurrent
        seconds = share * predict_seconds(speed.pace, works, missing / replicas, at_once)
    elif speed.overall_rate:
        seconds = tokens / speed.overall_rate / replicas
    else:
        return None
    error = hypot(prompt.error, completion.error) / max(tokens, 1.0)
    return seconds * max(1 - error, 0.0), seconds * (1 + error)
