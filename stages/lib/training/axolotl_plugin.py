"""A plugin that runs inside Axolotl and writes what the stage `train` needs to know into the folder `rewild_folder`.

It compares the prepared data with generation's encodings (examples.json) and refuses to train data that differ. The
files are those of protocol.py.
"""

import importlib.metadata
import importlib.util
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

from axolotl.integrations.base import BasePlugin
from pydantic import BaseModel
from transformers import TrainerCallback

from stages.lib.core.files import write_json, write_text
from stages.lib.core.process import exit_with_parent
from stages.lib.training.label_masks import count_tokens, find_examples, find_problem, mark_trained, read_batches
from stages.lib.training.protocol import (
    COMPLETE,
    EXAMPLES,
    FACTS,
    FINISHED,
    MASK,
    REFUSAL,
    append_log,
    checkpoint_name,
    truncate_log,
)
from stages.lib.training.step_limits import too_few_steps


class PluginArgs(BaseModel):
    """The keys that this plugin adds to Axolotl's configuration."""

    rewild_folder: str
    rewild_min_steps: int = 1


class Plugin(BasePlugin):  # type: ignore[misc]
    """Ends Axolotl with the stage, adds a callback to its trainer, and marks the end of the training."""

    def get_input_args(self) -> str:
        """Return the class in which Axolotl finds the plugin's keys."""
        return f"{__name__}.PluginArgs"

    def register(self, cfg: dict[str, Any]) -> None:
        """Watch the stage from here on: this is Axolotl's first call."""
        threading.Thread(target=exit_with_parent, daemon=True).start()

    def post_model_load(self, cfg: Any, model: Any) -> None:
        """Import Axolotl's trainer for a CPU, before Axolotl does."""
        if cfg.device == "cpu":
            import_without_triton("axolotl.monkeypatch.trainer.utils")

    def add_callbacks_post_trainer(self, cfg: Any, trainer: Any) -> list[TrainerCallback]:
        """Return the callback for this trainer."""
        return [TrainingCallback(Path(cfg.rewild_folder), cfg.rewild_min_steps, trainer)]

    def post_train_unload(self, cfg: Any) -> None:
        """Mark the training as finished: this is Axolotl's last call, in the process that has saved the model."""
        if os.environ.get("RANK", "0") == "0":
            write_json(Path(cfg.rewild_folder) / FINISHED, {})


class TrainingCallback(TrainerCallback):  # type: ignore[misc]
    """Checks the data before the first step, and writes the trainer's log."""

    def __init__(self, folder: Path, min_steps: int, trainer: Any) -> None:
        self.folder = folder
        self.min_steps = min_steps
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Check the data; drop the log entries that a resumed training writes again."""
        restore_token_counts(Path(args.output_dir) / checkpoint_name(state.global_step), state)
        if state.is_world_process_zero:
            truncate_log(self.folder, state.global_step)
            self.check_data(state.max_steps)

    def check_data(self, max_steps: int) -> None:
        """Compare the prepared data with generation's encodings; write mask.txt and facts.json, or refuse."""
        expected = json.loads((self.folder / EXAMPLES).read_text(encoding="utf-8"))
        datasets = [data for data in (self.trainer.train_dataset, self.trainer.eval_dataset) if data is not None]
        total = count_tokens(read_batches(datasets[0]), expected["end"])
        rows = find_examples((batch for data in datasets for batch in read_batches(data)), expected["examples"])
        too_few = too_few_steps(total["rows"], total["tokens"], max_steps, self.min_steps)
        if problem := find_problem(total, expected["examples"], rows) or too_few:
            refuse(self.folder, problem)
        first = next(read_batches(datasets[0])).row(0)
        write_text(self.folder / MASK, mark_trained(first, self.trainer.processing_class.decode) + "\n")
        num_held_out = sum(map(len, datasets[1:]))
        write_json(self.folder / FACTS, {**total, **versions(), "held_out_rows": num_held_out, "max_steps": max_steps})

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        """Append one entry to the log."""
        if state.is_world_process_zero:
            append_log(self.folder, {"step": state.global_step, "max_steps": state.max_steps, **logs})

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the checkpoint as whole: a killed training may leave half of one."""
        if state.is_world_process_zero:
            (Path(args.output_dir) / checkpoint_name(state.global_step) / COMPLETE).touch()


def import_without_triton(module: str) -> None:
    """Import a module that defines GPU kernels, which a CPU never calls: triton (0.7 GB) is not installed there."""
    stand_ins = {name: MagicMock(__spec__=None) for name in ("triton", "triton.language")}
    if importlib.util.find_spec("triton") is None:
        sys.modules.update(stand_ins)
        try:
            importlib.import_module(module)
        finally:
            for name in stand_ins:
                del sys.modules[name]


def restore_token_counts(checkpoint: Path, state: Any) -> None:
    """Continue the token counts of a checkpoint; Axolotl does so only where the configuration names the checkpoint."""
    if (file := checkpoint / "tokens_state.json").exists():
        import torch

        counts = json.loads(file.read_text(encoding="utf-8"))
        state.tokens = {name: torch.tensor(value) for name, value in counts.items()}


def versions() -> dict[str, str]:
    """Return the versions of the libraries that train."""
    return {name: importlib.metadata.version(name) for name in ("axolotl", "torch", "transformers")}


def refuse(folder: Path, reason: str) -> None:
    """Leave the reason for the stage, and end."""
    write_text(folder / REFUSAL, reason)
    raise SystemExit(2)
