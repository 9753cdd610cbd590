"""Output tokens per second of several ways to ask the same multi-turn conversations, with equal token counts.

python -m perf.schedules                                                  the demo's model, on any machine
python -m perf.schedules --shape llama-3.1-8b --conversations 1500        that shape, dummy weights, on a GPU

bare        the engine's own loop over lists of token ids, in the engine's process: no text, no template, no records
stage       what `generate` does: conversations, own history, records, store, responses, ledger
barrier     the same questions, but every conversation waits until all have ended their turn; no records
in_batches  the released code's way: the original replies as history, all turns of a quarter at once; no records
reference   the original replies as history, without a barrier; no records

Every reply is exactly as long as planned (the end of turn is ignored), and the prefix cache is emptied before each way,
so the ratios are of speed alone. (Where a model's odd tokens read again as other tokens, prompts differ a little: see
`input`.)
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from perf.planned_engine import TURN, PlannedEngine, command
from perf.workload import DEMO, SHAPES, Plan, Shape, make_plan, write_prompts, write_shape
from stages.generate import PromptFolder, write_responses
from stages.lib.console.errors import UserError
from stages.lib.core.files import ROWS_SUMMARY, read_json
from stages.lib.core.types import Row
from stages.lib.engines.base import Engine
from stages.lib.engines.request import RequestConfig
from stages.lib.engines.supervisor import LOGS, SupervisedEngine
from stages.lib.generation.cached import CachedGeneration
from stages.lib.generation.conversations import Conversation, run_conversations
from stages.lib.generation.imports import to_imported_turn
from stages.lib.generation.store import Store, read_segment
from stages.lib.models.catalogue import Model
from stages.lib.models.sampling import Sampling
from stages.lib.records.shards import read_table
from stages.lib.settings.runtime import Runtime


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


@dataclass
class FreshGeneration(CachedGeneration):
    """Generation on a running engine of what a plan holds; nothing of an earlier run counts.

    (Replies of a planned length look as if a smaller limit had cut them, so the store would not find them.)
    """

    bench: Bench = field(kw_only=True)

    def tables(self, prompts: Iterable[Row]) -> Iterator[pa.Table]:
        """Generate the conversations of the plan and read the segments that this has made."""
        known = set(self.store.segments())
        self.generate(self.bench.engine, prompts, {name: name for name in self.bench.plan.users})
        segments = [read_segment(segment) for segment in self.store.segments() if segment not in known]
        yield pa.concat_tables(table for table in segments if table is not None)


def bare(bench: Bench) -> Result:
    """The engine's own loop, timed where it runs."""
    reply = command(bench.engine, "bare", str(len(bench.plan.users)))
    return Result(reply.prompt_tokens, 0, float(reply.text))


def stage(bench: Bench) -> Result:
    """What `generate` does, all of it."""
    began = time.monotonic()
    store = Store(Path("store"), bench.model.id)
    source = FreshGeneration(bench.model, bench.config, "vllm", store, bench.runtime, bench=bench)
    write_responses(source, PromptFolder())
    seconds = time.monotonic() - began
    ledger = read_table(Path("data/ledger") / bench.model.id)
    return Result(sum(ledger["prompt_tokens"].to_pylist()), sum(ledger["cached_tokens"].to_pylist()), seconds)


def barrier(bench: Bench) -> Result:
    """Turn by turn, all conversations together."""
    users = bench.plan.users
    conversations = {name: Conversation(name, []) for name in users}

    def rounds() -> Iterable[list[Conversation]]:
        for number in range(max(map(len, users.values()))):
            in_round = [each for name, each in conversations.items() if len(users[name]) > number]
            for conversation in in_round:
                conversation.user_messages = users[conversation.key][: number + 1]
            yield in_round

    _, seconds = run_groups(bench, rounds(), bench.config)
    whole = conversations.values()
    tokens = sum(map(prompt_tokens, whole))
    return Result(tokens, sum(conversation.cached_tokens for conversation in whole), seconds)


def in_batches(bench: Bench) -> Result:
    """All turns of a quarter of the conversations at once, on the replies of another model."""
    names = list(bench.plan.users)
    groups = (every_turn(bench.plan, names[start::4]) for start in range(4))
    turns, seconds = run_groups(bench, groups, by_reference(bench.config))
    tokens = sum(turn.turns[-1]["prompt_tokens"] for turn in turns)
    return Result(tokens, sum(turn.cached_tokens for turn in turns), seconds)


def every_turn(plan: Plan, names: list[str]) -> list[Conversation]:
    """A conversation for each turn of these conversations, with the turns before it as if they had been asked."""
    return [
        Conversation(
            f"{name}{TURN}{turn}",
            plan.users[name][: turn + 1],
            plan.references[name],
            [to_imported_turn(text, "") for text in plan.users[name][:turn]],
        )
        for name in names
        for turn in range(len(plan.users[name]))
    ]


def reference(bench: Bench) -> Result:
    """Conversations on the replies of another model."""
    plan = bench.plan
    group = [Conversation(name, users, plan.references[name]) for name, users in plan.users.items()]
    finished, seconds = run_groups(bench, [group], by_reference(bench.config))
    tokens = sum(map(prompt_tokens, finished))
    return Result(tokens, sum(conversation.cached_tokens for conversation in finished), seconds)


def run_groups(
    bench: Bench, groups: Iterable[list[Conversation]], config: RequestConfig
) -> tuple[list[Conversation], float]:
    """Run one group of conversations after the other; return the finished ones and the seconds."""
    began, finished = time.monotonic(), list[Conversation]()
    for group in groups:
        finished += run_conversations(bench.engine, group, config, bench.runtime.max_concurrent)
    return finished, time.monotonic() - began


def prompt_tokens(conversation: Conversation) -> int:
    """Sum the prompt tokens of all turns of a conversation."""
    return sum(turn["prompt_tokens"] for turn in conversation.turns)


def by_reference(config: RequestConfig) -> RequestConfig:
    """The same with the reference replies as history."""
    return replace(config, history="reference")


WAYS: dict[str, Callable[[Bench], Result]] = {
    "bare": bare, "stage": stage, "barrier": barrier, "in_batches": in_batches, "reference": reference
}  # fmt: skip


def measure(bench: Bench, ways: list[str]) -> dict[str, list[float]]:
    """Warm up, then time each way and print its line; return the output tokens per second of its runs."""
    plan = bench.plan
    few = {name: plan.users[name] for name in list(plan.users)[:20]}
    command(bench.engine, "forget")
    stage(replace(bench, plan=plan._replace(users=few)))
    speeds: dict[str, list[float]] = {}
    for way in ways:
        command(bench.engine, "forget")
        result = WAYS[way](bench)
        speed = plan.output_tokens / result.seconds
        speeds.setdefault(way, []).append(speed)
        print(
            f"{way:10} {speed:8.0f} output tokens/s {result.input_tokens:9} input "
            f"{result.cached_tokens:9} of it cached {result.seconds:7.1f} s",
            flush=True,
        )
    return speeds


def print_ratios(speeds: dict[str, list[float]], model: Model) -> None:
    """Print the stage's ledger and speed beside the other ways, and how far runs of one way differ."""
    mean = {way: sum(runs) / len(runs) for way, runs in speeds.items()}
    if "stage" in mean:
        ledger = read_json(Path("data/ledger") / model.id / ROWS_SUMMARY)
        print(f"stage's ledger: {', '.join(f'{name} {ledger[name]}' for name in ('vram_gib', 'kv_share', 'hardware'))}")
        print(", ".join(f"stage / {way} {mean['stage'] / mean[way]:.3f}" for way in mean if way != "stage"))
    for way, runs in speeds.items():
        if len(runs) > 1:
            print(f"the runs of {way} differ by a factor of {max(runs) / min(runs):.3f}")


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="demo")
    parser.add_argument("--conversations", type=int, default=200)
    parser.add_argument("--concurrent", type=int, default=0, help="conversations at once; 0: the shape's own")
    parser.add_argument("--ways", default="bare,stage,barrier,in_batches,reference,bare", help=f"of {', '.join(WAYS)}")
    return parser.parse_args()


def main() -> None:
    """Start an engine and compare the ways."""
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            compare(SHAPES[arguments.shape], arguments)
        except UserError as error:
            log = LOGS / "bench.log"
            sys.exit(f"{error}\n{log.read_text(errors='replace')[-3000:] if log.exists() else ''}")


def compare(shape: Shape, arguments: argparse.Namespace) -> None:
    """Start an engine of a shape and time the ways on it."""
    plan = make_plan(shape, arguments.conversations)
    write_prompts(plan)
    runtime = Runtime(max_concurrent=arguments.concurrent or shape.concurrent, stall_seconds=900)
    config = RequestConfig(Sampling(), shape.reply[2], shape.window, 1)
    model = Model(
        id="bench", name=arguments.shape, location=str(write_shape(Path("shape")) if shape.dummy else DEMO),
        kind="local", commit="none", parameters_billions=8.03, context_window=shape.window, dtype=shape.dtype,
    )  # fmt: skip
    start = partial(PlannedEngine, plan, shape.dummy, model, config)
    with closing(SupervisedEngine(start, runtime, "bench")) as engine:
        turns = sum(map(len, plan.users.values()))
        print(
            f"{engine.description}, {arguments.shape}: {arguments.conversations} conversations, {turns} turns, "
            f"{plan.output_tokens} output tokens, {runtime.max_concurrent} at once",
            flush=True,
        )
        bench = Bench(engine, plan, config, model, runtime)
        print_ratios(measure(bench, arguments.ways.split(",")), model)
        print(engine.usage())


if __name__ == "__main__":
    main()
