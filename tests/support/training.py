"""Training: the demo's and the paper's settings, a small project, and the stage `train` in a process of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from stages import train
from stages.lib.core.files import write_json
from stages.lib.core.sections import parse
from stages.lib.core.types import Json
from stages.lib.models.catalogue import Model, save_model, weights_digest
from stages.lib.models.chat_template import Template
from stages.lib.records.chats import CHAT, Message
from stages.lib.records.shards import write_table
from stages.lib.settings.sections import Train
from stages.lib.training.axolotl_config import render_config
from stages.lib.training.label_masks import Example
from stages.lib.training.protocol import LOG
from stages.lib.training.reference_encodings import encode_example
from stages.lib.training.trained_template import end_of_turn
from tests.support.bases import CHAT_OF_TWO, llama_base
from tests.support.project import ROOT

DEMO = {
    "device": "cpu",
    "sequence_length": 512,
    "learning_rate": 2e-3,
    "num_epochs": 1,
    "lr_scheduler": "cosine",
    "warmup_ratio": 0.1,
    "micro_batch_size": 1,
    "gradient_accumulation_steps": 2,
    "num_gpus": 0,
    "min_steps": 5,
    "seed": 42,
}
PAPER = DEMO | {
    "device": "gpu",
    "sequence_length": 8192,
    "learning_rate": 2e-5,
    "micro_batch_size": 2,
    "gradient_accumulation_steps": 8,
    "num_gpus": 4,
    "axolotl": {"warmup_ratio": None, "warmup_steps": 100, "val_set_size": 0.02, "evals_per_epoch": 0},
}
HUB = Model(
    id="llama",
    name="Llama",
    location="meta-llama/Llama-3.1-8B",
    kind="hub",
    commit="a" * 40,
    parameters_billions=8,
    context_window=131072,
)
TRAIN_PYTHON = ROOT / ".venv-train/bin/python"
needs_axolotl = pytest.mark.skipif(not TRAIN_PYTHON.exists(), reason="needs make env")


def render(params: Json, tokenizer: Any = None, num_rows: int = 1000) -> Json:
    """Axolotl's configuration for a section `train` and a tokenizer, by default Llama's."""
    template = Template(tokenizer or llama_base(), HUB)
    files = [Path("/mix/shard-00000.parquet")]
    return render_config(parse(Train, params, "train"), template, files, num_rows, Path("/train"))


def end_id(template: Template) -> int:
    """The id of a template's end-of-turn token."""
    return int(template.tokenizer.convert_tokens_to_ids(end_of_turn(template)))


def encode(template: Template, messages: list[Message] = CHAT_OF_TWO) -> Example:
    """A chat as an example."""
    return encode_example(messages, template, end_id(template))


def log_entry(step: int, **more: Any) -> Json:
    """A log entry of the trainer after a step."""
    return {"step": step, "max_steps": 13, "epoch": step / 13, "loss": 3.0 - step / 10, **more}


def write_log(work: Path, entries: list[Json]) -> None:
    """Write the log of a work folder."""
    work.mkdir(parents=True, exist_ok=True)
    (work / LOG).write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def turn(number: int | str) -> list[Message]:
    """A question and its reply."""
    return [
        {"role": "user", "content": f"What is {number} and {number}?"},
        {"role": "assistant", "content": f"It is {2 * number}. " * 12},
    ]


def write_mix(root: Path, chats: list[list[Message]]) -> None:
    """Write the mix `tiny`; an earlier one is deleted."""
    shutil.rmtree(root / "data/mixes/tiny", ignore_errors=True)
    (root / "data/mixes/tiny").mkdir(parents=True)
    rows = [{"conversation_hash": f"{n:032x}", "source": "test", "messages": chat} for n, chat in enumerate(chats)]
    write_table(root / "data/mixes/tiny", pa.Table.from_pylist(rows, schema=CHAT))


def write_project(
    root: Path, chats: list[list[Message]], write_base: Callable[[Path], object] | None = None, **changes: Any
) -> None:
    """Write a base model (the demo's, if no other is given), a mix, and params.yaml."""
    root.mkdir(exist_ok=True)
    if write_base:
        write_base(root / "base")
    else:
        shutil.copytree(ROOT / "demo/models/demo-base", root / "base")
    base = {"kind": "local", "location": "base", "commit": weights_digest(root / "base")}
    (root / "models/base").mkdir(parents=True)
    save_model(root / "models/base", HUB.model_copy(update={"id": "base", **base}))
    write_mix(root, chats)
    write_json(root / "params.yaml", {"train": DEMO | changes, "mix": {"runs": {"tiny": {"base": "base"}}}})


def start(root: Path) -> "subprocess.Popen[bytes]":
    """Train in a process of its own, whose messages go to a file: a pipe that nobody reads would stop it."""
    variables = os.environ | {"PYTHONPATH": str(ROOT), "REWILD_TRAIN_ENV": str(ROOT / ".venv-train")}
    command = [sys.executable, "-m", "stages.train", "tiny"]
    accept_ctrl_c = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # also where the tests run in the background
    with (root / "stderr.txt").open("w") as stderr:
        return subprocess.Popen(
            command, cwd=root, env=variables, stderr=stderr, start_new_session=True, preexec_fn=accept_ctrl_c
        )


def last_message(root: Path) -> str:
    """The last message of the stage."""
    return (root / "stderr.txt").read_text().splitlines()[-1]


def wait_until(condition: Callable[[], bool], seconds: float = 300) -> None:
    """Wait until a condition holds; fail when it takes too long."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def axolotl_of(process: "subprocess.Popen[bytes]") -> int:
    """The id of Axolotl's process."""
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    return int(children.stdout.split()[0])


def wait_for_step(root: Path, process: "subprocess.Popen[bytes]", step: int) -> None:
    """Wait until a training has logged a step."""
    log = root / train.WORK / "tiny" / LOG
    wait_until(lambda: process.poll() is not None or f'"step": {step},' in read_if_there(log))
    assert process.poll() is None, last_message(root)


def read_if_there(path: Path) -> str:
    """The text of a file, empty when there is none: a run that begins anew may delete it at any moment."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
