"""Axolotl as the stage `train` configures it: slots per second, model FLOPs utilisation and losses of each switch.

python -m perf.training [--variants "recipe;no checkpointing"] [--steps 4] [--gpus 1] [--folder /dev/shm]
python -m perf.training --variants "no checkpointing;fp8" --steps 200 --accumulation 1 --limit 280      losses

A model of the shape of Llama-3.1-8B with random weights is trained for a few steps on packed conversations of random
words, the frequent ones more often; then the process is killed, so nothing is saved. MFU (model FLOPs utilisation)
counts every slot, padding and prompts too: training_log.py has the arithmetic. Its peak is what bf16 matrix products
reach on the same GPU, measured first. Axolotl runs in the training environment, or in this one where there is none.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from perf.training_log import flops_utilisation, largest_loss_difference, measure_speed, most_memory
from perf.workload import SHAPES, write_shape
from stages.lib.core.process import CHECKOUT, call, last_error_line
from stages.lib.core.types import Json
from stages.lib.models.catalogue import Model
from stages.lib.models.chat_template import Template, load_tokenizer
from stages.lib.records.chats import CHAT
from stages.lib.records.shards import write_shard
from stages.lib.settings.sections import Train
from stages.lib.training.axolotl import commands, environment, find_python, prepare_work
from stages.lib.training.axolotl_config import render_config
from stages.lib.training.protocol import DATA, OUTPUT, TOKENIZER, read_log
from stages.lib.training.trained_model import steps_of
from stages.lib.training.trained_template import trained_tokenizer
from stages.train import write_examples

SHAPE, LENGTH = "llama-3.1-8b", 8192
FLEX = {"attn_implementation": "flex_attention", "optimizer": "adamw_torch_fused"}  # flash-attn has no wheel there
OPEN = FLEX | {"gradient_checkpointing": False}
COMPILED = OPEN | {"torch_compile": True}
PAIRS, BITS, SDPA = {"micro_batch_size": 2}, {"optimizer": "adamw_bnb_8bit"}, {"attn_implementation": "sdpa"}
SAVED = {"selective_checkpointing": {"save": ["aten::mm"]}}  # of a layer, the matrix products stay
NOT_COMPILED = "WON'T CONVERT"  # Dynamo's word for what it leaves as it is; Axolotl has it go on
# Changes of the paper's recipe.
VARIANTS: dict[str, dict[str, Any]] = {
    "recipe": FLEX,
    "fused linear loss": FLEX | {"liger_fused_linear_cross_entropy": True},
    "no checkpointing": OPEN,
    "no checkpointing, compiled": COMPILED,
    "fp8": COMPILED | {"fp8": True},
    "fp8, sdpa": COMPILED | SDPA | {"fp8": True},
    "fp8 by rows": COMPILED | {"fp8": True, "fp8_config": {"recipe": "rowwise"}},
    "save matrix products": FLEX | SAVED,
    "save attention, sdpa": FLEX | SDPA | {"selective_checkpointing": True},
    "micro-batch 2": FLEX | PAIRS,
    "micro-batch 2, sdpa": FLEX | PAIRS | SDPA,
    "micro-batch 2, sdpa, 8-bit": FLEX | PAIRS | SDPA | BITS,
    "micro-batch 2, sdpa, 8-bit, saved": FLEX | PAIRS | SDPA | BITS | SAVED,
    "micro-batch 2, 8-bit, open": OPEN | PAIRS | BITS,
    "sdpa, no checkpointing": OPEN | SDPA,
    "no liger": FLEX | dict.fromkeys(("liger_rope", "liger_rms_norm", "liger_glu_activation"), False),
}  # fmt: skip


class Bench(NamedTuple):
    """The model that all variants train, and how long."""

    root: Path
    template: Template
    parameters: int
    peak_flops: float
    options: argparse.Namespace


class EnoughError(Exception):
    """The steps are logged, or the time is over."""


def measure_peak() -> float:
    """Measure the FLOP/s of bf16 matrix products of 8,192 x 8,192 on this GPU."""
    import torch

    left = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    for repeats in (5, 50):  # the first to warm up
        torch.cuda.synchronize()
        began = time.monotonic()
        for _ in range(repeats):
            left @ left
        torch.cuda.synchronize()
        seconds = time.monotonic() - began
    return 50 * 2 * 8192**3 / seconds


def make_bench(root: Path, options: argparse.Namespace) -> Bench:
    """Make the model and the conversations, measure the peak, and leave the GPU empty."""
    import torch

    parameters, peak = make_model(root / "model"), measure_peak()
    torch.cuda.empty_cache()
    make_chats(root / "chats", 1.5 * options.gpus * options.steps * options.accumulation * LENGTH, SHAPES[SHAPE].words)
    print(f"{parameters / 1e9:.2f} B parameters, bf16 products at {peak / 1e12:.0f} TFLOP/s", flush=True)
    model = Model(
        id="random", name=SHAPE, location=str(root / "model"), kind="local", commit="none",
        parameters_billions=parameters / 1e9, context_window=LENGTH, dtype="bfloat16",
    )  # fmt: skip
    return Bench(root, Template(load_tokenizer(model), model), parameters, peak, options)


def make_model(folder: Path) -> int:
    """Save a model of the shape with random weights; return its number of parameters."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    write_shape(folder)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    model.save_pretrained(folder)
    return int(sum(weights.numel() for weights in model.parameters()))


def make_chats(folder: Path, num_tokens: float, words: list[str]) -> None:
    """Write conversations of about `num_tokens` tokens in all, made of words drawn by Zipf's law."""
    rng = random.Random(1)
    weights = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))
    rows: list[dict[str, Any]] = []
    while num_tokens > 0:
        lengths = [min(2000, max(4, int(rng.lognormvariate(mean, 0.8)))) for mean in (5.0, 5.7)]
        num_tokens -= sum(lengths)
        texts = [" ".join(rng.choices(words, cum_weights=weights, k=length)) for length in lengths]
        messages = [{"role": "user", "content": texts[0]}, {"role": "assistant", "content": texts[1]}]
        rows.append({"conversation_hash": str(len(rows)), "source": "random", "messages": messages})
    folder.mkdir()
    write_shard(folder, 0, pa.Table.from_pylist(rows, schema=CHAT))


def paper_settings(changes: dict[str, Any], options: argparse.Namespace) -> Train:
    """Return the paper's recipe for these GPUs, with changed Axolotl keys."""
    axolotl = {"max_steps": options.steps, "save_strategy": "no", "saves_per_epoch": None, **changes}
    micro_batch_size = axolotl.pop("micro_batch_size", 1)
    return Train(
        device="gpu", num_gpus=options.gpus, sequence_length=LENGTH, learning_rate=2e-5, num_epochs=1,
        lr_scheduler="cosine", warmup_ratio=0.03, micro_batch_size=micro_batch_size, min_steps=1, seed=42,
        axolotl=axolotl, gradient_accumulation_steps=max(1, options.accumulation // micro_batch_size),
    )  # fmt: skip


def run_variant(bench: Bench, changes: dict[str, Any]) -> list[Json]:
    """Train until all steps are logged or the time is over; return the log entries of the steps."""
    work, options = bench.root / "work", bench.options
    shutil.rmtree(work, ignore_errors=True)
    chats = sorted((bench.root / "chats").iterdir())
    files = [work / DATA / file.name for file in chats]
    num_rows = sum(pq.read_metadata(file).num_rows for file in chats)
    config = render_config(paper_settings(changes, options), bench.template, files, num_rows, work)
    prepare_work(work, config, "random")
    shutil.copytree(bench.root / "chats", work / DATA)
    trained_tokenizer(bench.template).save_pretrained(work / TOKENIZER)
    write_examples(work, bench.template, LENGTH)
    deadline = time.monotonic() + options.limit

    def stop_when_enough() -> None:
        if time.monotonic() > deadline or len(steps_of(read_log(work))) >= options.steps:
            raise EnoughError

    python = find_python() or Path(sys.executable)
    try:
        for command in commands(python, work, options.gpus):
            if call(command, variables(python, work, options.gpus), work / OUTPUT, stop_when_enough):
                break
    except EnoughError:
        pass
    return steps_of(read_log(work))


def variables(python: Path, work: Path, num_gpus: int) -> dict[str, str]:
    """Return the stage's variables; libraries may lie in $PYTHONPATH, and only the layers of the model are compiled."""
    paths = [str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]
    changes = {"PYTHONPATH": os.pathsep.join(paths), "ACCELERATE_DYNAMO_USE_REGIONAL_COMPILATION": "true"}
    return environment(python, work, num_gpus, offline=True) | changes


def describe(steps: list[Json], bench: Bench) -> str:
    """Return what a variant reached; for one that failed, why."""
    speed = measure_speed(steps)
    if not speed:
        return f"{len(steps)} steps: {last_error_line(bench.root / 'work' / OUTPUT)}"
    utilisation = flops_utilisation(speed.slots, bench.parameters, bench.peak_flops)
    is_partial = NOT_COMPILED in (bench.root / "work" / OUTPUT).read_text(encoding="utf-8", errors="replace")
    return (
        f"{speed.slots:7.0f} slots/s ({speed.least_slots:.0f} to {speed.most_slots:.0f})  MFU {utilisation:.3f}  "
        f"{speed.trained:6.0f} trained tokens/s  {most_memory(steps):5.1f} GiB  "
        f"loss {steps[0]['loss']:.4f} to {steps[-1]['loss']:.4f} in {len(steps)} steps"
        f"{', not all was compiled' if is_partial else ''}"
    )


def measure(bench: Bench) -> None:
    """Measure the variants one after the other, and compare the losses of each with those of the first."""
    first: list[Json] = []
    for name in map(str.strip, bench.options.variants.split(";")):
        began = time.monotonic()
        steps = run_variant(bench, VARIANTS[name])
        print(f"{name:34} {describe(steps, bench)} ({time.monotonic() - began:.0f} s)", flush=True)
        first = first or steps
        if steps and steps is not first and "micro_batch_size" not in VARIANTS[name]:  # which packs other batches
            print(f"{'':34} its losses differ by {largest_loss_difference(first, steps):.4f} at most", flush=True)


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", default=";".join(VARIANTS), help=f"of {'; '.join(VARIANTS)}")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--accumulation", type=int, default=4, help="sequences of a step on one GPU")
    parser.add_argument("--gpus", type=int, default=1)
    parser.add_argument("--limit", type=float, default=120, help="seconds until a variant is stopped")
    parser.add_argument("--folder", default="/dev/shm", help="a folder with 20 GB of free space")  # noqa: S108
    options = parser.parse_args()
    if unknown := [name for name in map(str.strip, options.variants.split(";")) if name not in VARIANTS]:
        parser.error(f"no variant {unknown[0]!r}; there are: {'; '.join(VARIANTS)}")
    return options


def main() -> None:
    """Measure in a temporary folder."""
    options = parse_arguments()
    root = Path(tempfile.mkdtemp(prefix="training-", dir=options.folder))
    try:
        measure(make_bench(root, options))
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
