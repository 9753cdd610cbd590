"""Axolotl as the stage `train` configures it, on one GPU: tokens per second and model FLOPs utilisation of each switch.

python -m perf.training [--shape llama-3.1-8b] [--variants "flex;sdpa"] [--steps 8] [--folder /dev/shm]

A model of the shape with random weights is trained for a few steps on packed conversations of random words; then the
process is killed, so nothing is saved. MFU is 6 x parameters x tokens per second (Kaplan et al., 2020: no attention, no
recomputation) over what bf16 matrix products reach on the same GPU, measured first.
"""

import argparse
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from perf.workload import SHAPES, write_shape
from stages.lib.models.catalogue import Model
from stages.lib.models.chat_template import Template, load_tokenizer
from stages.lib.records.chats import CHAT
from stages.lib.records.shards import write_shard
from stages.lib.settings.sections import Train
from stages.lib.training.axolotl import prepare_work
from stages.lib.training.axolotl_config import render_config
from stages.lib.training.protocol import CONFIG, DATA, OUTPUT, read_log
from stages.lib.training.trained_model import steps_of
from stages.train import write_examples

LENGTH, ACCUMULATION = 8192, 8
NO_CHECKPOINTS = {"gradient_checkpointing": False, "gradient_checkpointing_kwargs": None}
NO_LIGER = dict.fromkeys(("liger_rope", "liger_rms_norm", "liger_glu_activation"), False)
FUSED = {"optimizer": "adamw_torch_fused"}
# Changes of the paper's recipe.
VARIANTS: dict[str, dict[str, Any]] = {
    "flex": {"attn_implementation": "flex_attention", **FUSED},
    "sdpa": {"attn_implementation": "sdpa", **FUSED},
    "xformers": {"attn_implementation": "xformers", **FUSED},
    "flex, adamw_torch": {"attn_implementation": "flex_attention"},
    "flex, no liger": {"attn_implementation": "flex_attention", **FUSED, **NO_LIGER},
    "flex, no checkpointing": {"attn_implementation": "flex_attention", **FUSED, **NO_CHECKPOINTS},
    "flex, compile": {"attn_implementation": "flex_attention", **FUSED, "torch_compile": True},
    "flex, no checkpointing, compile": {
        "attn_implementation": "flex_attention", **FUSED, **NO_CHECKPOINTS, "torch_compile": True,
    },
    "flex, micro-batch 2": {"attn_implementation": "flex_attention", **FUSED, "micro_batch_size": 2},
}  # fmt: skip


def peak_tflops() -> float:
    """TFLOP/s of bf16 matrix products of 8,192 x 8,192 on this GPU."""
    import torch

    left = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    for repeats in (5, 50):  # the first to warm up
        torch.cuda.synchronize()
        began = time.monotonic()
        for _ in range(repeats):
            left @ left
        torch.cuda.synchronize()
        seconds = time.monotonic() - began
    return 50 * 2 * 8192**3 / seconds / 1e12


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
    """Write conversations of about `num_tokens` tokens in all, made of random words."""
    rng = random.Random(1)
    rows: list[dict[str, Any]] = []
    while num_tokens > 0:
        lengths = [min(2000, max(4, int(rng.lognormvariate(mean, 0.8)))) for mean in (5.0, 5.7)]
        num_tokens -= sum(lengths)
        texts = [" ".join(rng.choices(words, k=length)) for length in lengths]
        messages = [{"role": "user", "content": texts[0]}, {"role": "assistant", "content": texts[1]}]
        rows.append({"conversation_hash": str(len(rows)), "source": "random", "messages": messages})
    folder.mkdir()
    write_shard(folder, 0, pa.Table.from_pylist(rows, schema=CHAT))


def paper_settings(steps: int, changes: dict[str, Any]) -> Train:
    """Return the paper's recipe for one GPU, with changed Axolotl keys."""
    axolotl = {"max_steps": steps, "save_strategy": "no", "saves_per_epoch": None, **changes}
    micro_batch_size = axolotl.pop("micro_batch_size", 1)
    return Train(
        device="gpu", num_gpus=1, sequence_length=LENGTH, learning_rate=2e-5, num_epochs=1, lr_scheduler="cosine",
        warmup_ratio=0.03, micro_batch_size=micro_batch_size, min_steps=1, seed=42, axolotl=axolotl,
        gradient_accumulation_steps=ACCUMULATION // micro_batch_size,
    )  # fmt: skip


def run_variant(
    work: Path, config: dict[str, Any], template: Template, steps: int, limit: float
) -> list[dict[str, Any]]:
    """Train until `steps` steps are logged or `limit` seconds are over; return the log entries of the steps."""
    files = work.with_name("chats")
    prepare_work(work, config, "random")
    shutil.copytree(files, work / DATA)
    write_examples(work, template, LENGTH)
    command = [sys.executable, "-c", "from axolotl.cli.main import main; main()", "train", str(work / CONFIG)]
    variables = {**os.environ, "AXOLOTL_DO_NOT_TRACK": "1", "HF_DATASETS_CACHE": str(work / "cache")}
    with (work / OUTPUT).open("wb") as log:
        process = subprocess.Popen(
            [*command, "--launcher", "python"], env=variables, stdin=subprocess.PIPE, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        began = time.monotonic()
        while process.poll() is None and time.monotonic() - began < limit and len(steps_of(read_log(work))) < steps:
            time.sleep(0.5)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return steps_of(read_log(work))


def report(name: str, steps: list[dict[str, Any]], parameters: int, peak: float, work: Path) -> None:
    """Print one line of the table; for a variant that failed, the end of its output."""
    speeds = [float(step["tokens/train_per_sec_per_gpu"]) for step in steps[1:]]  # the first compiles
    if not speeds:
        lines = (work / OUTPUT).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        print(f"{name:34} no step: {' | '.join(lines[-3:])[-400:]}", flush=True)
        return
    speed = statistics.median(speeds)
    memory = max(float(step.get("memory/max_allocated (GiB)", 0)) for step in steps)
    print(
        f"{name:34} {speed:7.0f} tokens/s  MFU {6 * parameters * speed / peak / 1e12:.3f}  {memory:6.1f} GiB "
        f"({min(speeds):.0f} to {max(speeds):.0f} over {len(speeds)} steps)",
        flush=True,
    )


def main() -> None:
    """Measure the variants one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=["llama-3.1-8b"], default="llama-3.1-8b")
    parser.add_argument("--variants", default=";".join(VARIANTS), help=f"of {'; '.join(VARIANTS)}")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--limit", type=float, default=180, help="seconds until a variant is stopped")
    parser.add_argument("--folder", default="/dev/shm", help="a folder with 20 GB of free space")  # noqa: S108
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="training-", dir=options.folder))
    try:
        parameters, peak = make_model(root / "model"), peak_tflops()
        make_chats(root / "chats", 1.5 * options.steps * ACCUMULATION * LENGTH, SHAPES[options.shape].words)
        print(f"{parameters / 1e9:.2f} B parameters, bf16 products at {peak:.0f} TFLOP/s", flush=True)
        model = Model(
            id="random", name=options.shape, location=str(root / "model"), kind="local", commit="none",
            parameters_billions=parameters / 1e9, context_window=LENGTH, dtype="bfloat16",
        )  # fmt: skip
        template = Template(load_tokenizer(model), model)
        for name in options.variants.split(";"):
            work = root / "work"
            shutil.rmtree(work, ignore_errors=True)
            files = [work / DATA / file.name for file in sorted((root / "chats").iterdir())]
            config = render_config(paper_settings(options.steps, VARIANTS[name.strip()]), template, files, work)
            steps = run_variant(work, config, template, options.steps, options.limit)
            report(name.strip(), steps, parameters, peak, work)
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
