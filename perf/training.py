"""Axolotl as the stage `train` configures it, on one GPU: tokens per second and model FLOPs utilisation of each switch.

python -m perf.training [--shape llama-3.1-8b] [--variants paper,no-checkpointing] [--steps 8] [--folder /dev/shm]

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

from perf.schedules import SHAPES, write_shape
from stages.lib.models.catalogue import Model
from stages.lib.models.chat_template import Template, load_tokenizer
from stages.lib.records.chats import CHAT
from stages.lib.records.shards import write_shard
from stages.lib.settings.sections import Train
from stages.lib.training.axolotl import CONFIG, WORDS, prepare_work, read_log, steps_of
from stages.train import render, write_examples

LENGTH, ACCUMULATION = 8192, 8
NO_CHECKPOINTS = {"gradient_checkpointing": False, "gradient_checkpointing_kwargs": None}
NO_LIGER = dict.fromkeys(("liger_rope", "liger_rms_norm", "liger_glu_activation"), False)
FUSED = {"optimizer": "adamw_torch_fused"}
VARIANTS: dict[str, dict[str, Any]] = {  # what is changed of the paper's recipe
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
    """Save a model of the shape with random weights; its number of parameters."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    write_shape(folder)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    model.save_pretrained(folder)
    return int(sum(weights.numel() for weights in model.parameters()))


def make_chats(folder: Path, tokens: float, words: list[str]) -> list[Path]:
    """Write conversations of about so many tokens together."""
    rng = random.Random(1)
    rows = []
    while tokens > 0:
        asked, said = (min(2000, max(4, int(rng.lognormvariate(mean, 0.8)))) for mean in (5.0, 5.7))
        tokens -= asked + said
        texts = [" ".join(rng.choices(words, k=count)) for count in (asked, said)]
        messages = [{"role": "user", "content": texts[0]}, {"role": "assistant", "content": texts[1]}]
        rows.append({"conversation_hash": str(len(rows)), "source": "random", "messages": messages})
    folder.mkdir()
    write_shard(folder, 0, pa.Table.from_pylist(rows, schema=CHAT))
    return sorted(folder.glob("*.parquet"))


def paper(steps: int, changes: dict[str, Any]) -> Train:
    """The paper's recipe on one GPU."""
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
    """Train until so many steps are logged or the time is over; what the trainer said of each."""
    files = work.with_name("chats")
    prepare_work(work, config, "random")
    shutil.copytree(files, work / "data")
    write_examples(work, template, LENGTH)
    command = [sys.executable, "-c", "from axolotl.cli.main import main; main()", "train", str(work / CONFIG)]
    variables = {**os.environ, "AXOLOTL_DO_NOT_TRACK": "1", "HF_DATASETS_CACHE": str(work / "cache")}
    with (work / WORDS).open("wb") as log:
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


def report(name: str, found: list[dict[str, Any]], parameters: int, peak: float, work: Path) -> None:
    """Print one line of the table; of a variant that failed, its last words."""
    speeds = [float(step["tokens/train_per_sec_per_gpu"]) for step in found[1:]]  # the first compiles
    if not speeds:
        said = (work / WORDS).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        print(f"{name:34} no step: {' | '.join(said[-3:])[-400:]}", flush=True)
        return
    speed = statistics.median(speeds)
    memory = max(float(step.get("memory/max_allocated (GiB)", 0)) for step in found)
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
    parser.add_argument("--limit", type=float, default=180, help="seconds until a variant is given up")
    parser.add_argument("--folder", default="/dev/shm", help="where 20 GB have room")  # noqa: S108
    asked = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="training-", dir=asked.folder))
    try:
        parameters, peak = make_model(root / "model"), peak_tflops()
        make_chats(root / "chats", 1.5 * asked.steps * ACCUMULATION * LENGTH, SHAPES[asked.shape].words)
        print(f"{parameters / 1e9:.2f} B parameters, bf16 products at {peak:.0f} TFLOP/s", flush=True)
        model = Model(
            id="random", name=asked.shape, location=str(root / "model"), kind="local", commit="none",
            parameters_billions=parameters / 1e9, context_window=LENGTH, dtype="bfloat16",
        )  # fmt: skip
        template = Template(load_tokenizer(model), model)
        for name in asked.variants.split(";"):
            work = root / "work"
            shutil.rmtree(work, ignore_errors=True)
            files = [work / "data" / file.name for file in sorted((root / "chats").iterdir())]
            config = render(paper(asked.steps, VARIANTS[name.strip()]), template, files, work)
            found = run_variant(work, config, template, asked.steps, asked.limit)
            report(name.strip(), found, parameters, peak, work)
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
