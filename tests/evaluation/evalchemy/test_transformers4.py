"""A checkpoint of transformers 5 for transformers 4: what is converted, and the proof that it is the same model."""

import json
import subprocess
import sys

import pytest

from stages.lib.evaluation.evalchemy.transformers4 import (
    check_same,
    config_for_4,
    downgrade,
    find_difference,
    tokenizer_for_4,
)
from tests.support.evalchemy import EVALCHEMY_PYTHON, TUNED, needs_environment

LLAMA_3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def test_a_config_of_transformers_5_gets_the_keys_of_version_4():
    config = config_for_4({"model_type": "llama", "dtype": "bfloat16", "rope_parameters": LLAMA_3})
    assert config == {
        "model_type": "llama",
        "torch_dtype": "bfloat16",
        "rope_theta": 500000.0,
        "rope_scaling": {key: value for key, value in LLAMA_3.items() if key != "rope_theta"},
    }


def test_unscaled_and_partial_rotary_embeddings_are_plain_keys():
    rope = {"rope_type": "default", "rope_theta": 1e6, "partial_rotary_factor": 0.5}
    config = config_for_4({"rope_parameters": rope})
    assert config == {"rope_theta": 1e6, "partial_rotary_factor": 0.5, "rope_scaling": None}


def test_the_two_rotary_embeddings_of_gemma_3_get_the_keys_of_version_4():
    local = {"rope_type": "default", "rope_theta": 10000.0}
    usual = {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6}
    config = config_for_4({"rope_parameters": {"sliding_attention": local, "full_attention": usual}})
    assert config == {
        "rope_theta": 1e6,
        "rope_local_base_freq": 10000.0,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    }


def test_rotary_settings_that_version_4_cannot_express_are_refused():
    with pytest.raises(ValueError, match="rope_parameters by kind of layer"):
        config_for_4({"rope_parameters": {"linear_attention": {"rope_theta": 1.0}}})


def test_a_config_of_version_4_stays_as_it_is():
    config = {"rope_theta": 1e6, "rope_scaling": None, "torch_dtype": "bfloat16"}
    assert config_for_4(config) == config


def test_the_tokenizer_class_and_the_list_of_special_tokens_get_the_names_of_version_4():
    config = tokenizer_for_4({"tokenizer_class": "TokenizersBackend", "extra_special_tokens": ["<|x|>"]})
    assert config == {"tokenizer_class": "PreTrainedTokenizerFast", "additional_special_tokens": ["<|x|>"]}


def test_the_template_of_the_catalogue_replaces_that_of_the_model(tmp_path):
    (tmp_path / "model").mkdir()
    for name, text in (("config.json", "{}"), ("tokenizer_config.json", "{}"), ("model.safetensors", "weights")):
        (tmp_path / "model" / name).write_text(text)
    with pytest.raises(ValueError, match="bare has no chat template: name one as `chat_template` in its catalogue"):
        downgrade(tmp_path / "model", tmp_path / "bare")
    (tmp_path / "model/chat_template.jinja").write_text("old")
    downgrade(tmp_path / "model", tmp_path / "given", "new")
    assert (tmp_path / "given/chat_template.jinja").read_text() == "new"
    assert (tmp_path / "model/chat_template.jinja").read_text() == "old"
    assert (tmp_path / "given/model.safetensors").is_symlink()


READING = {"transformers": "5.19.0", "ids": [1, 2], "inv_freq": [[1.0, 0.5]], "logits": [4.0, -1.0]}


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({}, None),
        ({"logits": [4.0002, -1.0]}, None),
        ({"logits": [4.1, -1.0]}, "the logits differ by 0.025 of the largest"),
        ({"logits": [float("nan"), -1.0]}, "the logits differ by nan"),
        ({"ids": [1, 3]}, "the same chat has other tokens"),
        ({"inv_freq": [[1.0, 0.4]]}, "the rotary frequencies are not the same in transformers 5.19.0 and 4.57.6"),
        ({"inv_freq": [[1.0]]}, "the rotary frequencies are not the same"),
    ],
)
def test_tokens_frequencies_and_logits_show_whether_it_is_the_same_model(change, difference):
    actual = find_difference(READING, READING | {"transformers": "4.57.6"} | change, 1e-4)
    assert actual == difference if difference is None else str(actual).startswith(difference)


MAKE_LLAMA_3 = """
import sys, torch
from pathlib import Path
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
rope = {rope}
torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=1280, hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=131072, rope_parameters=rope,
    initializer_range=0.3,
)
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
LlamaForCausalLM(config).save_pretrained(sys.argv[2])
tokenizer.save_pretrained(sys.argv[2])
"""


@pytest.fixture
def llama_3(tmp_path):
    """A tiny random model with Llama 3's rotary embedding, saved by transformers 5."""
    script = MAKE_LLAMA_3.replace("{rope}", repr(LLAMA_3))
    folder = tmp_path / "llama-3"
    subprocess.run([sys.executable, "-c", script, TUNED.location, str(folder)], check=True, capture_output=True)
    assert "rope_parameters" in json.loads((folder / "config.json").read_text())
    return folder


@needs_environment
@pytest.mark.pipeline
def test_a_llama_3_checkpoint_is_the_same_model_in_transformers_4_only_when_converted(llama_3, tmp_path):
    downgrade(llama_3, tmp_path / "models/llama-3")
    check_same(llama_3, tmp_path / "models/llama-3", EVALCHEMY_PYTHON, "float32")
    (tmp_path / "models/llama-3/config.json").write_bytes((llama_3 / "config.json").read_bytes())
    with pytest.raises(
        ValueError, match="llama-3 is not the same model there: the rotary frequencies are not the same"
    ):
        check_same(llama_3, tmp_path / "models/llama-3", EVALCHEMY_PYTHON, "float32")
