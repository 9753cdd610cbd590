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
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from perf.bench import Bench, Result, running_bench, stage, time_way, warm_up
from perf.planned_engine import TURN, command
from perf.workload import SHAPES, Plan, make_plan, write_prompts
from stages.lib.console.errors import UserError
from stages.lib.core.files import ROWS_SUMMARY, read_json
from stages.lib.engines.request import RequestConfig
from stages.lib.engines.supervisor import LOGS
from stages.lib.generation.conversations import Conversation, run_conversations
from stages.lib.generation.imports import to_imported_turn
from stages.lib.models.catalogue import Model


def bare(bench: Bench) -> Result:
    """The engine's own loop, timed where it runs."""
    reply = command(bench.engine, "bare", str(len(bench.plan.users)))
    return Result(reply.prompt_tokens, 0, float(reply.text))


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
    warm_up(bench)
    speeds: dict[str, list[float]] = {}
    for way in ways:
        speeds.setdefault(way, []).append(time_way(bench, way, WAYS[way]))
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
            compare(arguments.shape, arguments)
        except UserError as error:
            log = LOGS / "bench.log"
            sys.exit(f"{error}\n{log.read_text(errors='replace')[-3000:] if log.exists() else ''}")


def compare(shape: str, arguments: argparse.Namespace) -> None:
    """Start an engine of a shape and time the ways on it."""
    plan = make_plan(SHAPES[shape], arguments.conversations)
    write_prompts(plan)
    with running_bench(shape, plan, arguments.concurrent) as bench:
        print_ratios(measure(bench, arguments.ways.split(",")), bench.model)
        print(bench.engine.usage())


if __name__ == "__main__":
    main()
