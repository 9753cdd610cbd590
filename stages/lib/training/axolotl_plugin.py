"""Axolotl's ear: runs inside Axolotl and keeps what the `train` stage wants to know, in the folder `rewild_folder`.

log.jsonl       one line per log entry, flushed at once: step, max_steps and what the trainer says
mask.txt        before the first step: the first conversation, and what of it is trained
facts.json      then: rows and tokens as they will be trained, and the versions in use
refusal.txt     why training was not begun, in one line
finished.json   written last: training went to its end and the model is saved

It reads examples.json: what generation would make of some of the chats.
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

from stages.lib.core.process import exit_with_parent
from stages.lib.training.label_masks import batches, count, find, marked, objection

LOG, FACTS, MASK, EXAMPLES = "log.jsonl", "facts.json", "mask.txt", "examples.json"
REFUSAL, FINISHED = "refusal.txt", "finished.json"
COMPLETE = "complete"  # in every checkpoint that was written to its end


class PluginArgs(BaseModel):
    """The keys that this plugin adds to Axolotl's configuration."""

    rewild_folder: str
    rewild_min_steps: int = 1


class Plugin(BasePlugin):  # type: ignore[misc]
    """Ends with the stage, listens to the trainer, says when all is done."""

    def get_input_args(self) -> str:
        """Where Axolotl finds the plugin's keys."""
        return f"{__name__}.PluginArgs"

    def register(self, cfg: dict[str, Any]) -> None:
        """Axolotl's first call."""
        threading.Thread(target=exit_with_parent, daemon=True).start()

    def post_model_load(self, cfg: Any, model: Any) -> None:  # noqa: ANN401
        """Axolotl's trainer is imported next."""
        if cfg.device == "cpu":
            import_without_triton("axolotl.monkeypatch.trainer.utils")

    def add_callbacks_post_trainer(self, cfg: Any, trainer: Any) -> list[TrainerCallback]:  # noqa: ANN401
        """Listen to this trainer."""
        return [Ear(Path(cfg.rewild_folder), cfg.rewild_min_steps, trainer)]

    def post_train_unload(self, cfg: Any) -> None:  # noqa: ANN401
        """Axolotl's last call: everything is on disk, when the process that saves it has come here."""
        if os.environ.get("RANK", "0") == "0":
            write(Path(cfg.rewild_folder) / FINISHED, {})


class Ear(TrainerCallback):  # type: ignore[misc]
    """Writes what the trainer says, and stops a training that could not do what it is for."""

    def __init__(self, folder: Path, min_steps: int, trainer: Any) -> None:  # noqa: ANN401
        self.folder, self.min_steps, self.trainer = folder, min_steps, trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
        """Look at what is to be trained; drop log lines that a resumed training will write again."""
        restore_token_counts(Path(args.output_dir) / f"checkpoint-{state.global_step}", state)
        if not state.is_world_process_zero:
            return
        log = self.folder / LOG
        lines = log.read_text(encoding="utf-8").split("\n")[:-1] if log.exists() else []  # a kill may cut the last
        kept = [line for line in lines if json.loads(line)["step"] <= state.global_step]
        log.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        self.look(state.max_steps)

    def look(self, max_steps: int) -> None:
        """Hold the prepared data against what generation makes of the same chats, and refuse what cannot do."""
        asked = json.loads((self.folder / EXAMPLES).read_text(encoding="utf-8"))
        sets = [data for data in (self.trainer.train_dataset, self.trainer.eval_dataset) if data is not None]
        total = count(batches(sets[0]), asked["end"])
        rows = find((part for data in sets for part in batches(data)), asked["examples"])
        if reason := objection(total, asked["examples"], rows) or too_few(total, max_steps, self.min_steps):
            refuse(self.folder, reason)
        first = next(batches(sets[0])).row(0)
        (self.folder / MASK).write_text(marked(first, self.trainer.processing_class.decode) + "\n", encoding="utf-8")
        held_out = sum(map(len, sets[1:]))
        write(self.folder / FACTS, {**total, **versions(), "held_out_rows": held_out, "max_steps": max_steps})

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:  # noqa: ANN401
        """Append one line."""
        if state.is_world_process_zero:
            with (self.folder / LOG).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": state.global_step, "max_steps": state.max_steps, **logs}) + "\n")

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
        """Mark the checkpoint as whole: a killed training may leave half of one."""
        if state.is_world_process_zero:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE).touch()


def import_without_triton(module: str) -> None:
    """Import a module that defines GPU kernels; on a CPU they are never called, and triton (0.7 GB) is not there."""
    stand_ins = {name: MagicMock(__spec__=None) for name in ("triton", "triton.language")}
    if importlib.util.find_spec("triton") is None:
        sys.modules.update(stand_ins)
        try:
            importlib.import_module(module)
        finally:
            for name in stand_ins:
                del sys.modules[name]


def restore_token_counts(checkpoint: Path, state: Any) -> None:  # noqa: ANN401
    """Go on counting where the checkpoint ended; Axolotl does so only where the config names the checkpoint."""
    if (file := checkpoint / "tokens_state.json").exists():
        import torch

        counts = json.loads(file.read_text(encoding="utf-8"))
        state.tokens = {name: torch.tensor(value) for name, value in counts.items()}


def too_few(total: dict[str, int], max_steps: int, min_steps: int) -> str:
    """Why there are not enough steps to learn anything, or nothing."""
    if max_steps >= min_steps:
        return ""
    return (
        f"{total['rows']} conversations of {total['tokens']} tokens make {max_steps} steps, fewer than "
        f"train.min_steps ({min_steps}): mix more rows, or lower train.gradient_accumulation_steps"
    )


def versions() -> dict[str, str]:
    """What the training ran on."""
    return {name: importlib.metadata.version(name) for name in ("axolotl", "torch", "transformers")}


def refuse(folder: Path, reason: str) -> None:
    """Leave the reason for the stage, and end."""
    (folder / REFUSAL).write_text(reason, encoding="utf-8")
    raise SystemExit(2)


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a small JSON file, whole: the stage reads it as soon as it is there."""
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(content), encoding="utf-8")
    draft.rename(path)
