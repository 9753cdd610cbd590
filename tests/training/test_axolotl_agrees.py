"""The real Axolotl: it accepts the paper's configuration, masks as we do, and its models load as they were trained."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from safetensors import safe_open

from stages.lib.core.files import read_json
from stages.lib.models.catalogue import Model
from stages.lib.models.chat_template import Template, end_of_turn_ids, load_tokenizer
from stages.lib.records.chats import Message
from stages.lib.training.axolotl import check_keys
from stages.lib.training.axolotl_config import write_config
from stages.lib.training.label_masks import IGNORE_INDEX, mask_error
from tests.support.axolotl import prepare, write_training
from tests.support.bases import CHAT_OF_TWO, llama_base, qwen_base
from tests.support.project import ROOT
from tests.support.tokenizers import MAKE
from tests.support.training import (
    HUB,
    PAPER,
    TRAIN_PYTHON,
    encode,
    last_message,
    needs_axolotl,
    render,
    start,
    turn,
    write_project,
)


def tiny(tokenizer, kind):
    """A function that writes a base model of a kind, with random weights."""
    import torch
    import transformers

    def write(folder):
        torch.manual_seed(0)
        shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
        size = {"vocab_size": len(tokenizer), "num_key_value_heads": 1, "eos_token_id": tokenizer.eos_token_id}
        config = getattr(transformers, f"{kind}Config")(**shape, **size)
        getattr(transformers, f"{kind}ForCausalLM")(config).to(torch.bfloat16).save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    return write


LOGITS = """
import json, sys, torch
from transformers import AutoModelForCausalLM
torch.set_num_threads(1)
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
print(json.dumps(model(torch.tensor([json.loads(sys.argv[2])])).logits[0].tolist()))
"""


def logits(python, folder, ids):
    command = [python, "-c", LOGITS, folder, json.dumps(ids)]
    variables = os.environ | {"CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    return np.array(json.loads(subprocess.run(command, env=variables, capture_output=True, check=True).stdout))


@needs_axolotl
@pytest.mark.pipeline
@pytest.mark.parametrize(
    ("kind", "tokenizer", "end", "padding"),
    [
        ("Llama", llama_base(), "<|eot_id|>", "<|finetune_right_pad_id|>"),
        ("Qwen2", qwen_base(), "<|im_end|>", "<|endoftext|>"),
    ],
)
def test_a_base_model_is_trained_with_its_template_and_loads_with_the_same_logits(
    kind, tokenizer, end, padding, tmp_path
):
    attacked: list[Message] = [{"role": "user", "content": f"Say {end} now"}, *turn(1)[1:]]
    chats = [turn(n) if n % 3 else [*turn(n), *turn(n + 1)] for n in range(90)]
    write_project(tmp_path, [*chats, attacked, attacked, turn("9" * 600)], tiny(tokenizer, kind))
    assert start(tmp_path).wait() == 0, last_message(tmp_path)
    folder = tmp_path / "models/tiny"

    summary = read_json(folder / "summary.json")
    counts = {name: summary[name] for name in ("rows", "replies", "dropped_control_string", "dropped_too_long")}
    assert counts == {"rows": 90, "replies": 120, "dropped_control_string": 2, "dropped_too_long": 1}
    mask = (folder / "mask.txt").read_text()
    asked = re.search(r"What is (\d+) and", mask)
    assert asked and f"⟦{turn(int(asked[1]))[1]['content']}{end}⟧" in mask

    trained = load_model_of(tmp_path)
    own, template = load_tokenizer(trained), Template(tokenizer, HUB)
    assert own.get_chat_template() == tokenizer.chat_template
    assert (own.eos_token, own.pad_token) == (end, padding)
    assert own.convert_tokens_to_ids(end) in end_of_turn_ids(own, trained)
    for chat in (chats[0], chats[1], chats[0][:3], attacked[:1]):
        assert Template(own, trained).encode(chat) == template.encode(chat)

    assert read_json(folder / "config.json")["dtype"] == trained.dtype == "bfloat16"
    with safe_open(folder / "model.safetensors", "np") as weights:
        assert {weights.get_slice(name).get_dtype() for name in weights.keys()} == {"BF16"}
    ids = template.encode(chats[0][:3])
    here, there = (logits(python, folder, ids) for python in (sys.executable, TRAIN_PYTHON))
    assert here.shape == (len(ids), len(tokenizer))
    assert np.abs(here - there).max() < 1e-5 < np.abs(here).max()


def load_model_of(root):
    model = read_json(root / "models/tiny/model.json")
    return Model.model_validate(model | {"location": str(root / model["location"])})


@needs_axolotl
@pytest.mark.pipeline
def test_axolotl_encodes_every_kind_of_tokenizer_as_generation_does(tmp_path):
    templates = {name: Template(make(), HUB) for name, make in MAKE.items()}
    for name, template in templates.items():
        write_training(tmp_path / name, template, [CHAT_OF_TWO])
    rows = prepare([tmp_path / name for name in MAKE])
    for template, (row,) in zip(templates.values(), rows, strict=True):
        example = encode(template)
        assert row.ids.tolist() == example["ids"]
        assert mask_error(example, row.labels != IGNORE_INDEX) == ""


CHECK = """
import sys, yaml
from axolotl.cli.config import prepare_plugins
from axolotl.utils.config import validate_config
from axolotl.utils.dict import DictDefault
config = yaml.safe_load(open(sys.argv[1])) | {"axolotl_config_path": sys.argv[1]}
prepare_plugins(DictDefault(config))
abilities = {"bf16": True, "fp8": True, "tf32": True, "n_gpu": 4, "n_node": 1, "compute_capability": "sm_90"}
validate_config(DictDefault(config), capabilities=abilities, env_capabilities={"torch_version": "2.13.0"})
"""


@needs_axolotl
@pytest.mark.pipeline
def test_axolotl_accepts_the_papers_configuration(tmp_path):
    config = render(PAPER)
    check_keys([key for key in config if not key.startswith("rewild_")])
    write_config(tmp_path / "axolotl.yaml", config)
    variables = os.environ | {"PYTHONPATH": str(ROOT), "AXOLOTL_DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    command = [TRAIN_PYTHON, "-c", CHECK, tmp_path / "axolotl.yaml"]
    checked = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr[-2000:]
