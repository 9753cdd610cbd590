"""The files through which the stage `train` and its plugin inside Axolotl exchange data, in the work folder of a run.

Standard library only: the environments of both sides import it.
"""

import json
from pathlib import Path
from typing import Any

# Written by the stage.
CONFIG = "axolotl.yaml"  # Axolotl's configuration
DATA = "data"  # the rows to train
TOKENIZER = "tokenizer"  # the tokenizer, with the end of turn as its end of sequence
EXAMPLES = "examples.json"  # the end-of-turn token, and some chats as generation encodes them

# Written by Axolotl.
OUTPUT = "axolotl.txt"  # all that it prints
PREPARED = "prepared"  # the tokenized rows
OUT = "out"  # the model, and checkpoints

# Written by the plugin.
LOG = "log.jsonl"  # one line per log entry of the trainer, flushed at once: step, max_steps and its numbers
MASK = "mask.txt"  # before the first step: the first conversation, with the trained tokens in brackets
FACTS = "facts.json"  # after that: counts of rows and tokens, and the versions in use
REFUSAL = "refusal.txt"  # one line that says why training was not begun
FINISHED = "finished.json"  # written last: training went to its end and the model is saved
COMPLETE = "complete"  # in every checkpoint that was written to its end


def checkpoint_name(step: int | str) -> str:
    """Return the name of a checkpoint's folder under OUT; of all with `*`."""
    return f"checkpoint-{step}"


def read_log(work: Path) -> list[dict[str, Any]]:
    """Read the trainer's log entries in order, without a last line that was cut short."""
    path = work / LOG
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def append_log(work: Path, entry: dict[str, Any]) -> None:
    """Append one entry to the log."""
    with (work / LOG).open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def truncate_log(work: Path, step: int) -> None:
    """Drop the log entries after a step, which a resumed training writes again."""
    entries = [entry for entry in read_log(work) if entry["step"] <= step]
    (work / LOG).write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
