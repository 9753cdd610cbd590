"""Prompts of lm-eval: rendered as generation renders chats, and counted where a template leaves something out."""

from typing import Any
from unittest.mock import MagicMock

import pytest

from stages.lib.evaluation.lm_eval_prompts import ChatPrompts
from stages.lib.models.chat_template import Template
from stages.lib.records.chats import Message
from tests.support.conversations import MODEL
from tests.support.tokenizers import HEADERS, gemma, llama

TASK: list[Message] = [{"role": "system", "content": "Choose. "}, {"role": "user", "content": "A or B?"}]
CLOCK = "{{ strftime_now('%-d %B') }} {{ enable_thinking is defined }} {{ date_string is defined }} " + HEADERS


def prompts_of(tokenizer: Any) -> ChatPrompts:
    return ChatPrompts(Template(tokenizer, MODEL))


def test_the_clock_stands_still_and_no_option_is_set() -> None:
    assert prompts_of(llama(CLOCK)).render(TASK).startswith("26 July False False <|begin|>")


def test_a_prompt_may_end_within_a_reply() -> None:
    begun = [*TASK, Message(role="assistant", content="The answer is")]
    rendered = prompts_of(llama()).render(begun, add_generation_prompt=False)
    assert rendered.endswith("<|start_header_id|>assistant<|end_header_id|>\n\nThe answer is")


@pytest.mark.parametrize(
    "tokenizer", [gemma(), llama(HEADERS.replace("in messages", "in messages if m.role != 'system'"))]
)
def test_a_system_message_that_the_template_refuses_or_drops_is_left_out_and_counted(tokenizer: Any) -> None:
    prompts = prompts_of(tokenizer)
    assert prompts.render(TASK) == prompts.render(TASK[1:])
    assert +prompts.counts == {"rendered": 2, "without_system": 1}


def test_the_chat_of_a_prompt_is_remembered_until_the_next_task() -> None:
    prompts = prompts_of(llama())
    rendered = prompts.render(TASK)
    assert prompts.chats == {rendered: TASK}
    prompts.clear()
    assert (prompts.chats, +prompts.counts) == ({}, {})


def test_of_a_chat_whose_system_message_is_refused_the_others_are_remembered() -> None:
    prompts = prompts_of(gemma())
    assert prompts.chats.get(prompts.render(TASK)) == TASK[1:]


def test_prompts_that_hold_a_control_string_are_counted_for_there_it_is_a_control_token() -> None:
    prompts = prompts_of(llama())
    prompts.render([Message(role="user", content="What is <|eot_id|>? <|eot_id|>!")])
    prompts.render(TASK)
    assert +prompts.counts == {"rendered": 2, "with_control_string": 1}


def test_a_template_that_refuses_a_prompt_without_a_system_message_fails_the_task() -> None:
    with pytest.raises(ValueError, match=r"the chat template says: no$"):
        prompts_of(llama("{{ raise_exception('no') }}")).render(TASK[1:])


def test_no_second_token_is_put_before_a_prompt() -> None:
    lm, prompts = MagicMock(), prompts_of(llama())
    assert prompts.attach(lm) is prompts.counts
    assert lm.add_bos_token is False and lm.apply_chat_template == prompts.render
