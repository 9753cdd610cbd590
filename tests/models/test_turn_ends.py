"""The tokens that end a reply: found in the chat template whatever the tokenizer calls its end of sequence."""

import json
from pathlib import Path
from typing import Any

import pytest

from stages.lib.models.chat_template import Template
from stages.lib.models.turn_ends import find_end_of_turn, reply_ends
from tests.support.conversations import MODEL
from tests.support.tokenizers import HARMONY, INST, MAKE, OBSERVED, WORDS, byte_level, gemma, llama, llama_base


def harmony() -> Any:
    """Like gpt-oss: one token ends thoughts and earlier turns, another the last turn."""
    controls = ["<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>", "<|endoftext|>"]
    return byte_level(HARMONY, controls, [], eos_token="<|endoftext|>")


def glm() -> Any:
    """Like GLM-4: nothing ends a turn but the header of the next one."""
    return byte_level(OBSERVED, ["<|user|>", "<|assistant|>", "<|endoftext|>"], [], eos_token="<|endoftext|>")


def words() -> Any:
    """A template without any control token."""
    return byte_level(WORDS, ["<|endoftext|>"], [], eos_token="<|endoftext|>")


def refuses_a_last_reply() -> Any:
    template = "{% if messages[-1]['role'] != 'user' %}{{ raise_exception('a user ends it') }}{% endif %}" + INST
    return byte_level(template, ["<s>", "</s>"], [], bos_token="<s>", eos_token="</s>")


@pytest.mark.parametrize(
    ("tokenizer", "end", "added"),
    [
        (llama(), "<|eot_id|>", ()),
        (llama_base(), "<|eot_id|>", ("<|eot_id|>",)),
        (gemma(), "<end_of_turn>", ("<end_of_turn>",)),
        (MAKE["mistral"](), "</s>", ()),
        (harmony(), "<|return|>", ("<|return|>",)),
        (glm(), "<|user|>", ("<|user|>",)),
        (words(), "", ()),
        (refuses_a_last_reply(), "</s>", ()),
    ],
    ids=["llama", "llama base", "gemma base", "mistral", "harmony", "glm", "words", "refuses a last reply"],
)
def test_the_templates_end_of_turn_ends_a_reply(tokenizer: Any, end: str, added: tuple[str, ...]) -> None:
    template = Template(tokenizer, MODEL)
    ends = reply_ends(template)
    assert (find_end_of_turn(template), ends.added) == (end, added)
    assert set(ends.ids) == {tokenizer.eos_token_id, *tokenizer.convert_tokens_to_ids(list(added))}


def test_an_end_that_generation_config_names_is_not_added(tmp_path: Path) -> None:
    tokenizer = llama_base()
    ids = tokenizer.convert_tokens_to_ids(["<|end_of_text|>", "<|eot_id|>"])
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": ids}))
    template = Template(tokenizer, MODEL.model_copy(update={"location": str(tmp_path)}))
    assert reply_ends(template) == (ids, ())


def test_a_stop_text_that_is_a_control_token_ends_a_reply_and_another_is_left_to_the_engine() -> None:
    template = Template(llama(), MODEL)
    ends = reply_ends(template, ["<|reserved_0|>", "<|eot_id|>", "User:"])
    assert ends.added == ("<|reserved_0|>",)
    assert ends.ids == sorted(template.tokenizer.convert_tokens_to_ids(["<|reserved_0|>", "<|eot_id|>"]))
