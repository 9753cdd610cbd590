"""Chats as Axolotl prepares them for training: in one process, by its own tokenizer loader and prompt strategy."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np

from stages.lib.core.files import write_json
from stages.lib.core.sections import parse
from stages.lib.models.chat_template import Template
from stages.lib.records.chats import Message
from stages.lib.settings.sections import Train
from stages.lib.training.axolotl_config import render_config, write_config
from stages.lib.training.label_masks import PreparedRow, mark_trained
from stages.lib.training.protocol import CONFIG, TOKENIZER
from stages.lib.training.trained_template import trained_tokenizer
from tests.support.project import ROOT
from tests.support.training import DEMO, TRAIN_PYTHON

CHATS = "chats.json"
PREPARE = f"""
import json, sys, yaml
from axolotl.loaders.tokenizer import load_tokenizer
from axolotl.prompt_strategies.chat_template import load
from axolotl.utils.dict import DictDefault
for folder in sys.argv[1:]:
    config = yaml.safe_load(open(folder + "/{CONFIG}"))
    cfg = DictDefault(config | {{"base_model_config": config["base_model"]}})
    strategy = load(load_tokenizer(cfg), cfg, config["datasets"][0])
    rows = [strategy.tokenize_prompt({{"messages": chat}}) for chat in json.load(open(folder + "/{CHATS}"))]
    print("ROWS", json.dumps([[row["input_ids"], row["labels"]] for row in rows]))
"""


def write_training(folder: Path, template: Template, chats: list[list[Message]]) -> None:
    """Write into a folder what the stage `train` gives Axolotl, and chats to prepare."""
    folder.mkdir(exist_ok=True)
    base = template.model.model_copy(update={"location": str(folder), "kind": "local"})
    here = Template(template.tokenizer, base)
    write_config(folder / CONFIG, render_config(parse(Train, DEMO, "train"), here, [folder / "rows"], 1, folder))
    write_json(folder / "config.json", {"model_type": "llama"})
    trained_tokenizer(template).save_pretrained(folder / TOKENIZER)
    write_json(folder / CHATS, chats)


def prepare(folders: list[Path]) -> list[list[PreparedRow]]:
    """Let one process of Axolotl prepare the chats of each folder."""
    variables = os.environ | {"PYTHONPATH": str(ROOT), "AXOLOTL_DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    command = [str(TRAIN_PYTHON), "-c", PREPARE, *map(str, folders)]
    output = subprocess.run(command, env=variables, stdout=subprocess.PIPE, text=True, check=True).stdout
    lines = [json.loads(line.removeprefix("ROWS ")) for line in output.splitlines() if line.startswith("ROWS ")]
    return [[PreparedRow(np.array(ids), np.array(labels)) for ids, labels in rows] for rows in lines]


def marked(row: PreparedRow, template: Template) -> str:
    """A prepared chat as text, with ⟦brackets⟧ around what is trained."""
    return mark_trained(row, lambda ids: str(template.tokenizer.decode(ids)))
