"""A running engine whose replies have planned lengths, and the stage `generate` on it."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from commands.pilot.forecasting.steady_state import Span, Stopwatch, running_counts, share_done
from perf.planned_engine import PlannedEngine, command
from perf.workload import DEMO, SHAPES, Plan, write_shape
from stages.generate import PromptFolder, write_responses
from stages.lib.core.types import Row
from stages.lib.engines.base import Engine
from stages.lib.engines.request import RequestConfig
from stages.lib.engines.supervisor import SupervisedEngine
from stages.lib.generation.cached import CachedGeneration
from stages.lib.generation.identities import Identities
from stages.lib.generation.store import Store, read_segment
from stages.lib.models.catalogue import Model
from stages.lib.models.sampling import Sampling
from stages.lib.records.shards import read_table
from stages.lib.settings.runtime import Runtime

FULL = 0.95  # of the requests that may run at once: between two turns of a conversation none runs


@dataclass(frozen=True)
class Bench:
    """A running engine and what it is asked."""

    engine: Engine
    plan: Plan
    config: RequestConfig
    model: Model
    runtime: Runtime


class Result(NamedTuple):
    """What a way took."""

    input_tokens: int
    cached_tokens: int  # input tokens found in the prefix cache
    seconds: float
    full_speed: float = 0.0  # output tokens per second while as many requests ran as may; 0: not measured


def speed_while_full(spans: list[Span], at_once: int) -> float:
    """Return the tokens per second until fewer than FULL of `at_once` requests run for good.

    Of a reply that ends later its share by time counts.
    """
    counts = running_counts(spans)
    full = [moment for moment, running in counts if running >= FULL * at_once]
    if not full:
        return 0.0
    began, end = counts[0][0], full[-1]
    within = (span for span in spans if span.began < end)
    return sum(span.completion_tokens * share_done(span, end) for span in within) / (end - began)


@contextmanager
def running_bench(name: str, plan: Plan, concurrent: int = 0) -> Iterator[Bench]:
    """Start the engine of a shape with that many conversations at once, 0 for its own; it ends with the block."""
    shape = SHAPES[name]
    runtime = Runtime(max_concurrent=concurrent or shape.concurrent, stall_seconds=900)
    config = RequestConfig(Sampling(), shape.reply[2], shape.window, 1)
    model = Model(
        id="bench", name=name, location=str(shape_folder(name)), kind="local", commit="none",
        parameters_billions=8.03, context_window=shape.window, dtype=shape.dtype,
    )  # fmt: skip
    start = partial(PlannedEngine, plan, shape.dummy, model, config)
    with closing(SupervisedEngine(start, runtime, "bench")) as engine:
        print(f"{engine.description}, {name}: {describe(plan)}, {runtime.max_concurrent} at once", flush=True)
        yield Bench(engine, plan, config, model, runtime)


def shape_folder(name: str) -> Path:
    """Return the folder of a shape's model; write it into the current folder when it has no weights."""
    return write_shape(Path("shape")).absolute() if SHAPES[name].dummy else DEMO


def describe(plan: Plan) -> str:
    """Describe the size of a plan."""
    turns = sum(map(len, plan.users.values()))
    return f"{len(plan.users)} conversations, {turns} turns, {plan.output_tokens} output tokens"


def warm_up(bench: Bench) -> None:
    """Generate a few of the conversations, so that everything is compiled."""
    few = {name: bench.plan.users[name] for name in list(bench.plan.users)[:20]}
    command(bench.engine, "forget")
    stage(replace(bench, plan=bench.plan._replace(users=few)))


def time_way(bench: Bench, name: str, way: Callable[[Bench], Result]) -> float:
    """Time a way on an empty prefix cache and print its line; return its output tokens per second."""
    command(bench.engine, "forget")
    result = way(bench)
    speed = bench.plan.output_tokens / result.seconds
    print_line(name, speed, result)
    return speed


def print_line(name: str, speed: float, result: Result) -> None:
    """Print what a way took."""
    full = f", {result.full_speed:.0f} while full" if result.full_speed else ""
    print(
        f"{name:10} {speed:8.0f} output tokens/s {result.input_tokens:9} input "
        f"{result.cached_tokens:9} of it cached {result.seconds:7.1f} s{full}",
        flush=True,
    )


@dataclass
class FreshGeneration(CachedGeneration):
    """Generation on a running engine of what a plan holds; nothing of an earlier run counts.

    (Replies of a planned length look as if a smaller limit had cut them, so the store would not find them.)
    """

    bench: Bench = field(kw_only=True)

    def tables(self, prompts: Iterable[Row]) -> Iterator[pa.Table]:
        """Generate the conversations of the plan and read the segments that this has made."""
        known = set(self.store.segments())
        names = ((key, hashlib.sha256(key.encode()).hexdigest()[:32]) for key in self.bench.plan.users)
        self.generate(self.bench.engine, prompts, Identities(names))
        segments = [read_segment(segment) for segment in self.store.segments() if segment not in known]
        yield pa.concat_tables(table for table in segments if table is not None)


def stage(bench: Bench) -> Result:
    """What `generate` does, all of it."""
    began = time.monotonic()
    engine = Stopwatch(bench.engine)
    store = Store(Path("store"), bench.model.id)
    watched = replace(bench, engine=engine)
    source = FreshGeneration(bench.model, bench.config, "vllm", store, bench.runtime, bench=watched)
    write_responses(source, PromptFolder())
    seconds = time.monotonic() - began
    ledger = read_table(Path("data/ledger") / bench.model.id)
    tokens, cached = (sum(ledger[name].to_pylist()) for name in ("prompt_tokens", "cached_tokens"))
    at_once = bench.runtime.max_concurrent * bench.engine.num_replicas
    return Result(tokens, cached, seconds, speed_while_full(engine.spans, at_once))
