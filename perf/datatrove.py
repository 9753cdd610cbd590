"""`generate` beside datatrove's InferenceRunner: the same conversations, each on its own history, on one GPU.

python -m perf.datatrove --shape llama-3.1-8b --conversations 1200 --ours 2        dummy weights, on a GPU

datatrove (`pip install datatrove==0.10.0 aiofiles aiosqlite orjson`) starts its own `vllm serve`; a rollout function
asks turn by turn; its checkpoints are on. Then vLLM starts again behind `generate`, complete with store, records and
ledger. Both have the same vLLM, window, prefix cache, batched tokens and conversations at once, and every reply is as
long as planned. Neither start counts: the time begins when the first request is answered, and after a warm-up.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from commands.pilot.forecasting.steady_state import Span
from perf.bench import (
    Result,
    describe,
    print_line,
    running_bench,
    shape_folder,
    speed_while_full,
    stage,
    time_way,
    warm_up,
)
from perf.workload import SHAPES, Plan, Shape, make_plan, write_prompts
from stages.lib.console.errors import UserError
from stages.lib.core.costs import used_gib
from stages.lib.engines.supervisor import LOGS
from stages.lib.engines.vllm import on_gpu, set_environment
from stages.lib.models.sampling import Sampling
from stages.lib.settings.runtime import Runtime

BATCHED_TOKENS = 16_384  # what vLLM takes for `generate` on a large GPU; its server would take half
FREE_GIB = 4.0  # in use on a GPU whose server has ended
SERVER_LOG, RUNNER_LOG = Path("server"), Path("datatrove.log")
WARM_UP = {"messages": [{"role": "user", "content": "w5"}], "max_tokens": 16, "ignore_eos": True}


class Rollouts:
    """A rollout function that asks the turns of a conversation one after the other, and notes the span of each."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._start = asyncio.Lock()
        self.began = 0.0  # when the server had answered its first request
        self.prompt_tokens = self.completion_tokens = 0
        self.spans: list[Span] = []

    async def __call__(self, document: Any, generate: Callable[[dict[str, Any]], Awaitable[Any]]) -> list[Any]:
        """Return the messages of a document's conversation."""
        async with self._start:
            if not self.began:
                await generate(dict(WARM_UP))
                self.began = time.monotonic()
        messages: list[dict[str, str]] = []
        for user, length in zip(self._plan.users[document.id], self._plan.lengths[document.id], strict=True):
            messages.append({"role": "user", "content": user})
            began = time.monotonic()
            result = await generate({"messages": list(messages), "max_tokens": length, "ignore_eos": True})
            messages.append({"role": "assistant", "content": result.text})
            self._count(began, result.usage)
        return messages

    def _count(self, began: float, usage: dict[str, int]) -> None:
        self.prompt_tokens += usage["prompt_tokens"]
        self.completion_tokens += usage["completion_tokens"]
        self.spans.append(Span(began, time.monotonic(), usage["prompt_tokens"], usage["completion_tokens"]))


def run_datatrove(plan: Plan, shape: Shape, folder: Path, concurrent: int) -> float:
    """Generate with InferenceRunner and print its line; return its output tokens per second.

    Raises UserError when datatrove is not installed, or replies are not as long as planned.
    """
    rollouts = Rollouts(plan)
    try:
        run_runner(rollouts, plan, shape, folder, concurrent)
    except ImportError as error:
        raise UserError(f"{error}: pip install datatrove==0.10.0 aiofiles aiosqlite orjson") from None
    if rollouts.completion_tokens != plan.output_tokens:
        raise UserError(f"datatrove generated {rollouts.completion_tokens} tokens, planned are {plan.output_tokens}")
    seconds = max(span.ended for span in rollouts.spans) - rollouts.began
    speed = plan.output_tokens / seconds
    full_speed = speed_while_full(rollouts.spans, concurrent)
    print_line("datatrove", speed, Result(rollouts.prompt_tokens, 0, seconds, full_speed))
    return speed


def run_runner(rollouts: Rollouts, plan: Plan, shape: Shape, folder: Path, concurrent: int) -> None:
    """Run datatrove's InferenceRunner with its own server, checkpoints and JSON lines."""
    from datatrove.data import Document
    from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
    from datatrove.pipeline.writers import JsonlWriter
    from loguru import logger

    logger.remove()
    logger.add(RUNNER_LOG)
    config = InferenceConfig(
        server_type="vllm", model_name_or_path=str(folder), model_max_context=shape.window,
        default_generation_params=Sampling().model_dump(), max_concurrent_generations=concurrent,
        model_kwargs=server_options(shape, concurrent), server_log_folder=str(SERVER_LOG), server_ready_delay_sec=1.0,
    )  # fmt: skip
    writer = JsonlWriter("datatrove", output_filename="${rank}_chunk_${chunk_index}.jsonl", compression=None)
    runner = InferenceRunner(rollouts, config, writer, checkpoints_local_dir="checkpoints", records_per_chunk=500)
    runner.run(iter([Document(text=users[0], id=name) for name, users in plan.users.items()]))


def server_options(shape: Shape, concurrent: int) -> dict[str, Any]:
    """Return the options of `vllm serve` that make it the engine of `generate`."""
    return {
        "dtype": shape.dtype,
        "max-num-seqs": concurrent,
        "gpu-memory-utilization": Runtime().gpu_memory_utilization,
        "enable-prefix-caching": True,
        "generation-config": "vllm",
        **({"load-format": "dummy"} if shape.dummy else {}),
        **({"max-num-batched-tokens": BATCHED_TOKENS} if on_gpu() else {"enforce-eager": True}),
    }


def put_vllm_on_path() -> None:
    """Make the command `vllm`, which datatrove starts, that of this interpreter."""
    command = Path("bin/vllm").absolute()
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m vllm.entrypoints.cli.main "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    os.environ["PATH"] = f"{command.parent}{os.pathsep}{os.environ['PATH']}"


def wait_for_memory(limit: float = 60.0) -> None:
    """Wait until the server's memory is free."""
    deadline = time.monotonic() + limit
    while on_gpu() and used_gib(1) > FREE_GIB and time.monotonic() < deadline:
        time.sleep(1)


def compare(options: argparse.Namespace) -> None:
    """Run datatrove, then `generate`, and print the ratio."""
    shape, plan = SHAPES[options.shape], make_plan(SHAPES[options.shape], options.conversations)
    concurrent = options.concurrent or shape.concurrent
    write_prompts(plan)
    print(f"{options.shape}: {describe(plan)}, {concurrent} at once", flush=True)
    theirs = 0.0
    if options.theirs:
        put_vllm_on_path()
        set_environment(Runtime(), offline=True)
        theirs = run_datatrove(plan, shape, shape_folder(options.shape), concurrent)
        wait_for_memory()
    with running_bench(options.shape, plan, concurrent) as bench:
        warm_up(bench)
        for _ in range(options.ours):
            ours = time_way(bench, "generate", stage)
            print(f"generate / datatrove {ours / theirs:.3f}" if theirs else "", flush=True)


def main() -> None:
    """Compare in a temporary folder; when one of them fails, print the end of its log."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="demo")
    parser.add_argument("--conversations", type=int, default=60)
    parser.add_argument("--concurrent", type=int, default=0, help="conversations at once; 0: the shape's own")
    parser.add_argument("--ours", type=int, default=1, help="how often `generate` runs")
    parser.add_argument("--theirs", type=int, choices=(0, 1), default=1, help="0: without datatrove")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            compare(options)
        except UserError as error:
            sys.exit(str(error))
        except Exception:
            for log in (*SERVER_LOG.glob("*"), RUNNER_LOG, LOGS / "bench.log"):
                print(log.read_text(errors="replace")[-1500:] if log.exists() else "", file=sys.stderr)
            raise


if __name__ == "__main__":
    main()
