"""From Axolotl's output folder to a model: weights in bfloat16, tokenizer, template, and the loss of every step."""

import csv
import io
import shutil
from pathlib import Path
from typing import Any

from stages.lib.core.files import read_json, write_json, write_text
from stages.lib.training.protocol import MASK, OUT, read_log

KEPT = ("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "*token*", "*.jinja")
LOSS_CURVE = "loss.csv"
CURVE = ["step", "epoch", "loss", "learning_rate", "grad_norm", "tokens/total", "tokens/trainable"]


def collect_model(work: Path, folder: Path) -> list[dict[str, Any]]:
    """Copy a trained model from the work folder, without paths or times in it; return the log entries of its steps."""
    for file in sorted({file for pattern in KEPT for file in (work / OUT).glob(pattern)}):
        copy = copy_as_bfloat16 if file.suffix == ".safetensors" else shutil.copyfile
        copy(file, folder / file.name)
    if (index := folder / "model.safetensors.index.json").exists():
        change_json(index, metadata={})  # it has the size of the weights before the copy
    change_json(folder / "config.json", use_cache=True, dtype="bfloat16")
    change_json(folder / "generation_config.json", drop="do_sample")  # Axolotl's, not the model's
    shutil.copyfile(work / MASK, folder / MASK)
    steps = steps_of(read_log(work))
    write_curve(folder / LOSS_CURVE, steps)
    return steps


def copy_as_bfloat16(source: Path, target: Path) -> None:
    """Copy weights in bfloat16, the precision that models are kept in whatever precision they were trained in."""
    import torch
    from safetensors.torch import load_file, save_file

    weights = {
        name: value.to(torch.bfloat16) if value.is_floating_point() else value
        for name, value in load_file(source).items()
    }
    save_file(weights, target, metadata={"format": "pt"})


def change_json(path: Path, drop: str = "", **changes: object) -> None:
    """Change keys of a JSON file in place, and drop one."""
    content = read_json(path)
    content.pop(drop, None)
    write_json(path, content | changes)


def steps_of(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the log entries of steps, without those of evaluations and of the end."""
    return [entry for entry in log if "loss" in entry]


def write_curve(path: Path, steps: list[dict[str, Any]]) -> None:
    """Write the loss of every step as CSV, for plots."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([name.replace("/", "_") for name in CURVE])
    writer.writerows([step.get(name, "") for name in CURVE] for step in steps)
    write_text(path, text.getvalue())
