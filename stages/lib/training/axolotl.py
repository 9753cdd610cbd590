"""Running Axolotl in its own environment: the work folder, the commands, and why a run gave no model."""

import difflib
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Collection
from pathlib import Path

from stages.lib.console.errors import MachineError, UserError
from stages.lib.core.process import CHECKOUT, call, find_installation, last_error_line
from stages.lib.core.types import Json
from stages.lib.training.axolotl_config import write_config
from stages.lib.training.protocol import (
    COMPLETE,
    CONFIG,
    FACTS,
    FINISHED,
    MASK,
    OUT,
    OUTPUT,
    PREPARED,
    REFUSAL,
    checkpoint_name,
    read_log,
)

KEYS_PROGRAM = "stages.lib.training.axolotl_keys"
FINGERPRINT = "fingerprint"  # of the configuration and the data that the work folder is for
MAIN = "from axolotl.cli.main import main; main()"  # as a text, so that its workers import little
OFFLINE = dict.fromkeys(("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"), "1")


def prepare_work(work: Path, config: Json, data: str) -> None:
    """Make the work folder; delete what is there for another configuration or data, keep whole checkpoints of this.

    `data` is a digest of the rows and the base model.
    """
    fingerprint = hashlib.sha256(json.dumps([config, data], sort_keys=True).encode()).hexdigest()
    fingerprint_path = work / FINGERPRINT
    checkpoints = list((work / OUT).glob(checkpoint_name("*")))
    torn = [checkpoint for checkpoint in checkpoints if not (checkpoint / COMPLETE).exists()]
    for checkpoint in torn:
        shutil.rmtree(checkpoint)
    is_same = fingerprint_path.exists() and fingerprint_path.read_text(encoding="utf-8") == fingerprint
    if not is_same or len(torn) == len(checkpoints):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
    for name in (REFUSAL, FINISHED, FACTS, MASK, OUTPUT):
        (work / name).unlink(missing_ok=True)
    write_config(work / CONFIG, config)
    fingerprint_path.write_text(fingerprint, encoding="utf-8")


def describe_checkpoint(work: Path) -> str:
    """Say which checkpoint a training that is ended goes on from."""
    whole = (path.parent.name for path in (work / OUT).glob(f"{checkpoint_name('*')}/{COMPLETE}"))
    steps = [int(name.rpartition("-")[2]) for name in whole]
    kept = f"its checkpoint of step {max(steps)} is kept" if steps else "it has no whole checkpoint yet"
    return f"{kept}; run it again to go on"


def find_python() -> Path | None:
    """Return the interpreter of $REWILD_TRAIN_ENV, or of .venv-train of this or the main checkout, or None."""
    environment = find_installation("REWILD_TRAIN_ENV", ".venv-train", "bin/python")
    return environment / "bin/python" if environment else None


def train_python() -> Path:
    """Return the interpreter of the training environment; raise MachineError when there is none."""
    if python := find_python():
        return python
    raise MachineError("the training environment is missing: run `make env`")


def check_keys(keys: Collection[str]) -> None:
    """Raise UserError for a key of `train.axolotl` that Axolotl does not have: it would ignore it silently."""
    if not keys:
        return
    command = [str(train_python()), "-m", KEYS_PROGRAM]
    variables = os.environ | {"PYTHONPATH": str(CHECKOUT), "AXOLOTL_DO_NOT_TRACK": "1"}
    known = subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout.split()
    for key in keys:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UserError(f"train.axolotl.{key}: Axolotl has no such key{hint}")


def environment(python: Path, work: Path, num_gpus: int, *, offline: bool) -> dict[str, str]:
    """Return the variables that Axolotl runs with; without a GPU, also those that make the bytes reproducible."""
    changes = {
        "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": str(CHECKOUT),
        "HF_DATASETS_CACHE": str(work / "cache"),
        "AXOLOTL_DO_NOT_TRACK": "1",  # its telemetry is on by default, and hangs without a network
        "WANDB_MODE": "disabled",
        "TOKENIZERS_PARALLELISM": "false",
        **(OFFLINE if offline else {}),
        **({} if num_gpus else {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}),
    }
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return inherited | changes


def commands(python: Path, work: Path, num_gpus: int) -> list[list[str]]:
    """Return the commands of a training. One process prepares the data itself; for several it is prepared before.

    $REWILD_LAUNCHER, a program that is given the path of the configuration, replaces Axolotl's own launch.
    """
    axolotl = [str(python), "-c", MAIN]
    config = str(work / CONFIG)
    launcher = os.environ.get("REWILD_LAUNCHER")
    if num_gpus <= 1 and not launcher:
        return [[*axolotl, "train", config, "--launcher", "python"]]
    torchrun = ["--launcher", "torchrun", "--", "--standalone", "--nproc_per_node", str(num_gpus)]
    prepare = [] if list((work / PREPARED).glob("*/")) else [[*axolotl, "preprocess", config]]
    return [*prepare, [launcher, config] if launcher else [*axolotl, "train", config, *torchrun]]


def run_axolotl(python: Path, work: Path, num_gpus: int, on_poll: Callable[[], None], *, offline: bool) -> None:
    """Prepare the data and train, calling `on_poll` meanwhile; raise UserError unless a whole model comes of it."""
    variables = environment(python, work.absolute(), num_gpus, offline=offline)
    for command in commands(python, work.absolute(), num_gpus):
        code = call(command, variables, work / OUTPUT, on_poll)
        if code:
            break
    if code or not (work / FINISHED).exists():
        raise explain(code, work)


def explain(code: int, work: Path) -> UserError:
    """Return the error that says why there is no model, by Axolotl's exit code and the work folder."""
    if (work / REFUSAL).exists():
        return UserError((work / REFUSAL).read_text(encoding="utf-8"))
    log = read_log(work)
    if log and (code <= 0 or code > 128):  # Axolotl ends with 0 on Ctrl-C; above 128 or below 0 is a signal
        last = log[-1]
        return UserError(f"training stopped at step {last['step']} of {last['max_steps']}; run it again to resume")
    output = work / OUTPUT
    return UserError(
        f"Axolotl ended with exit code {code}: {last_error_line(output)} (its whole output is in {output})"
    )
