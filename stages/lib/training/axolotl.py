"""Running Axolotl in its own environment: the work folder, the command, its log, and what it leaves behind."""

import csv
import difflib
import hashlib
import io
import json
import os
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from stages.lib.console.errors import UserError
from stages.lib.core.files import read_json, write_json, write_text
from stages.lib.core.process import CHECKOUT, last_error_line, main_checkout

KEPT = ("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "*token*", "*.jinja")
CURVE = ["step", "epoch", "loss", "learning_rate", "grad_norm", "tokens/total", "tokens/trainable"]
CONFIG, WORDS = "axolotl.yaml", "axolotl.txt"  # what it is given to do, and all that it says


def write_config(path: Path, config: dict[str, Any]) -> None:
    """Write YAML 1.1, which is what Axolotl reads: elsewhere 2e-05 would be a word, not a number."""
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 1)
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(config, file)


def prepare_work(work: Path, config: dict[str, Any], data: str) -> None:
    """Make the work folder: what was done for other parameters or data goes, whole checkpoints of this stay."""
    fingerprint = hashlib.sha256(json.dumps([config, data], sort_keys=True).encode()).hexdigest()
    mark = work / "fingerprint"
    for checkpoint in work.glob("out/checkpoint-*"):
        if not (checkpoint / "complete").exists():
            shutil.rmtree(checkpoint)
    same = mark.exists() and mark.read_text(encoding="utf-8") == fingerprint
    if not (same and list(work.glob("out/checkpoint-*"))):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
    for name in ("refusal.txt", "finished.json", "facts.json", "mask.txt", WORDS):
        (work / name).unlink(missing_ok=True)
    write_config(work / CONFIG, config)
    mark.write_text(fingerprint, encoding="utf-8")


def find_python() -> Path | None:
    """The interpreter of the training environment: $REWILD_TRAIN_ENV, or .venv-train of this or the main checkout."""
    if "REWILD_TRAIN_ENV" in os.environ:
        roots = [Path(os.environ["REWILD_TRAIN_ENV"])]
    else:
        roots = [Path(".venv-train"), main_checkout() / ".venv-train"]
    return next((root.absolute() / "bin/python" for root in roots if (root / "bin/python").exists()), None)


def train_python() -> Path:
    """The same; raise UserError when there is none."""
    if found := find_python():
        return found
    raise UserError("the training environment is missing: run `make env`")


def check_keys(given: Collection[str]) -> None:
    """Raise UserError for a key of `train.axolotl` that Axolotl does not have: it would pass over it in silence."""
    if not given:
        return
    command = [str(train_python()), "-m", "stages.lib.training.axolotl_keys"]
    variables = os.environ | {"PYTHONPATH": str(CHECKOUT), "AXOLOTL_DO_NOT_TRACK": "1"}
    known = subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout.split()
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UserError(f"train.axolotl.{key}: Axolotl has no such key{hint}")


def environment(python: Path, work: Path, num_gpus: int, *, offline: bool) -> dict[str, str]:
    """The variables that Axolotl runs with; without a GPU, also those that make equal bytes each time."""
    changes = {
        "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": str(CHECKOUT),
        "HF_DATASETS_CACHE": str(work / "cache"),
        "AXOLOTL_DO_NOT_TRACK": "1",  # its telemetry is on by default, and hangs without a network
        "WANDB_MODE": "disabled",
        "TOKENIZERS_PARALLELISM": "false",
        **(dict.fromkeys(("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"), "1") if offline else {}),
        **({} if num_gpus else {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}),
    }
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return inherited | changes


def commands(python: Path, work: Path, num_gpus: int) -> list[list[str]]:
    """What to call. One process prepares the data itself; several need them prepared.

    $REWILD_LAUNCHER, a program that is given the path of the configuration, takes the place of Axolotl's own launch.
    """
    axolotl = [str(python), "-c", "from axolotl.cli.main import main; main()"]  # so its workers import little
    config = str(work / CONFIG)
    launcher = os.environ.get("REWILD_LAUNCHER")
    if num_gpus <= 1 and not launcher:
        return [[*axolotl, "train", config, "--launcher", "python"]]
    torchrun = ["--launcher", "torchrun", "--", "--standalone", "--nproc_per_node", str(num_gpus)]
    prepare = [] if list(work.glob("prepared/*/")) else [[*axolotl, "preprocess", config]]
    return [*prepare, [launcher, config] if launcher else [*axolotl, "train", config, *torchrun]]


def read_log(work: Path) -> list[dict[str, Any]]:
    """What the trainer said, in order; a last line that was cut short is left out."""
    log = work / "log.jsonl"
    lines = log.read_text(encoding="utf-8").split("\n")[:-1] if log.exists() else []
    return [json.loads(line) for line in lines]


def steps_of(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries that a step made; not those of an evaluation or of the end."""
    return [entry for entry in log if "loss" in entry]


def explain(code: int, work: Path) -> UserError:
    """Why there is no model."""
    if (work / "refusal.txt").exists():
        return UserError((work / "refusal.txt").read_text(encoding="utf-8"))
    log = read_log(work)
    if log and (code <= 0 or code > 128):  # Axolotl ends with 0 on Ctrl-C; above 128 or below 0 is a signal
        last = log[-1]
        return UserError(f"training stopped at step {last['step']} of {last['max_steps']}; run it again to resume")
    words = work / WORDS
    return UserError(f"Axolotl ended with exit code {code}: {last_error_line(words)} (all that it said is in {words})")


def write_curve(path: Path, steps: list[dict[str, Any]]) -> None:
    """Write the loss of every step as CSV, for plots."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([name.replace("/", "_") for name in CURVE])
    writer.writerows([step.get(name, "") for name in CURVE] for step in steps)
    write_text(path, text.getvalue())


def change_json(path: Path, drop: str = "", **changes: object) -> None:
    """Change a JSON file in place."""
    content = read_json(path)
    content.pop(drop, None)
    write_json(path, content | changes)


def copy_as_bfloat16(source: Path, target: Path) -> None:
    """Copy weights in bfloat16, in which a model is kept whatever precision it was trained in."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(source)
    kept = {name: value.to(torch.bfloat16) if value.is_floating_point() else value for name, value in tensors.items()}
    save_file(kept, target, metadata={"format": "pt"})


def collect(work: Path, folder: Path) -> list[dict[str, Any]]:
    """Copy what makes the model, and nothing that holds paths or times; return the steps."""
    for file in sorted({file for pattern in KEPT for file in (work / "out").glob(pattern)}):
        copy = copy_as_bfloat16 if file.suffix == ".safetensors" else shutil.copyfile
        copy(file, folder / file.name)
    if (index := folder / "model.safetensors.index.json").exists():
        change_json(index, metadata={})  # it has the bytes of before
    change_json(folder / "config.json", use_cache=True, dtype="bfloat16")
    change_json(folder / "generation_config.json", drop="do_sample")  # Axolotl's, not the model's
    shutil.copyfile(work / "mask.txt", folder / "mask.txt")
    steps = steps_of(read_log(work))
    write_curve(folder / "loss.csv", steps)
    return steps
