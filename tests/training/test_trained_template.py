"""What training makes of a chat template: its end of turn, its special tokens, and reasons why it cannot be trained."""

import json
import os
import subprocess
from typing import Any

import pytest

from stages.lib.console.errors import UserError
from stages.lib.models.chat_template import Template
from stages.lib.training.reference_encodings import PLACEHOLDERS
from stages.lib.training.trained_template import (
    check_beginnings,
    end_of_turn,
    special_tokens,
    trained_text,
    trained_tokenizer,
)
from tests.support.bases import CHAT_OF_TWO, CHATML, LLAMA, llama_base, qwen_base
from tests.support.conversations import MODEL
from tests.support.tokenizers import byte_level
from tests.support.training import TRAIN_PYTHON, needs_axolotl


def test_the_end_of_turn_comes_from_the_template_and_padding_from_the_tokenizer_if_it_has_any() -> None:
    llama, qwen = (special_tokens(Template(make(), MODEL)) for make in (llama_base, qwen_base))
    assert llama == {"eos_token": "<|eot_id|>", "pad_token": "<|finetune_right_pad_id|>"}
    assert qwen == {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}


def test_a_vocabulary_without_a_padding_token_gets_none() -> None:
    tokenizer = byte_level("{% for m in messages %}{{ m.content }}<|end|>{% endfor %}", ["<|end|>"], [])
    assert special_tokens(Template(tokenizer, MODEL)) == {"eos_token": "<|end|>"}


def test_a_template_that_ends_no_reply_is_refused() -> None:
    plain = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    with pytest.raises(UserError, match=r"^m: its chat template ends no reply with a control token: write another"):
        end_of_turn(Template(qwen_base(plain), MODEL))


def test_a_template_with_two_ends_of_turn_is_refused() -> None:
    two = CHATML.replace("<|im_end|>\n{% endfor", "{{ '<|endoftext|>' if loop.last else '<|im_end|>' }}\n{% endfor")
    with pytest.raises(UserError) as refusal:
        end_of_turn(Template(qwen_base(two), MODEL))
    assert str(refusal.value).startswith(
        "m: its chat template ends the last reply of a chat with <|endoftext|> and earlier ones with <|im_end|>, but "
        "training needs one end of turn: write another one"
    )


REPLY = "{{ message.content }}"
BEGINNINGS = {
    "a space": (" " + REPLY, ""),
    "a channel": (
        "{{ '<|channel|>final<|message|>' if message.role == 'assistant' }}" + REPLY,
        "writes '<|channel|>final<|message|>' before the last reply of a trained chat, but does not ask for a reply",
    ),
    "thoughts that earlier replies lack": (
        "{{ '<think>' if loop.index == 2 }}" + REPLY,
        "writes '<think>' before an earlier reply of a trained chat, but does not ask for a reply with it: write one",
    ),
    "another question": (
        "{{ 'Q: ' if loop.last and message.role == 'user' }}" + REPLY,
        "writes 'second-question<|im_end|>\\n<|im_start|>assistant\\n' before the last reply of a trained chat, where "
        "generation asks with 'Q: second-question<|im_end|>\\n<|im_start|>assistant\\n': write one that begins",
    ),
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_a_reply_begins_in_a_trained_chat_as_generation_asks_for_it(name: str) -> None:
    content, problem = BEGINNINGS[name]
    template = Template(qwen_base(CHATML.replace(REPLY, content)), MODEL)
    if not problem:
        check_beginnings(template)
        return
    with pytest.raises(UserError) as refusal:
        check_beginnings(template)
    assert str(refusal.value).startswith(f"m: its chat template {problem}")


def test_a_template_prints_the_tokens_that_it_had_before_training_changed_them() -> None:
    printing = LLAMA + "{{ eos_token }}{{ pad_token }}"
    template = Template(llama_base(printing), MODEL)
    assert trained_text(template) == (
        '{%- set eos_token = "<|end_of_text|>" %}\n{%- set pad_token = "" %}\n' + printing
    )
    trained = Template(trained_tokenizer(template), MODEL)
    for chat in (CHAT_OF_TWO, CHAT_OF_TWO[:1]):
        assert trained.render(chat, reply=False) == template.render(chat, reply=False)
    assert template.render(CHAT_OF_TWO).endswith("<|end_header_id|>\n\n<|end_of_text|>")
    assert (template.tokenizer.eos_token, trained.tokenizer.eos_token) == ("<|end_of_text|>", "<|eot_id|>")


@pytest.mark.parametrize("make", [llama_base, qwen_base])
def test_a_template_that_prints_no_token_that_training_changes_stays_as_it_is(make: Any) -> None:
    template = Template(make(), MODEL)
    assert trained_text(template) == template.text


PRINT = "import json; from axolotl.prompt_strategies.chat_template import ChatTemplateStrategy as strategy; "


@needs_axolotl
@pytest.mark.pipeline
def test_these_are_the_placeholders_of_the_installed_axolotl() -> None:
    variables = os.environ | {"AXOLOTL_DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    command = [str(TRAIN_PYTHON), "-c", PRINT + "print(json.dumps(strategy._SENTINELS))"]
    output = subprocess.run(command, env=variables, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert json.loads(output.splitlines()[-1]) == list(PLACEHOLDERS)
