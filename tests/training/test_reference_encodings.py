"""How generation encodes the chats of a mix: end of turn, examples, and rows that cannot be trained."""

from typing import Any

import pyarrow as pa
import pytest

from stages.lib.console.errors import UserError
from stages.lib.models.chat_template import Template
from stages.lib.records.chats import CHAT, Message
from stages.lib.training.reference_encodings import (
    choose_examples,
    drop_unusable,
    encode_example,
)
from stages.lib.training.trained_template import end_of_turn
from tests.support.bases import CHAT_OF_TWO, CHATML, LLAMA, llama_base, qwen_base
from tests.support.conversations import MODEL
from tests.support.tokenizers import byte_level
from tests.support.training import encode, end_id


def test_llama_3s_template_writes_headers_and_no_date() -> None:
    text = Template(llama_base(), MODEL).render([{"role": "system", "content": "Be kind."}, *CHAT_OF_TWO[:3]])
    header, end = "<|start_header_id|>{}<|end_header_id|>\n\n", "<|eot_id|>"
    expected = ["<|begin_of_text|>", header.format("system"), "Be kind.", end, header.format("user"), "Hi", end]
    expected += [header.format("assistant"), "Yes? ", end, header.format("user"), "In?", end]
    assert text == "".join([*expected, header.format("assistant")])


def test_an_example_is_the_chat_as_generation_encodes_it_with_the_replies_to_their_ends(template: Template) -> None:
    example = encode(template)
    assert example["ids"] == template.tokenizer.apply_chat_template(CHAT_OF_TWO, return_dict=False)
    replies = [template.tokenizer.decode(example["ids"][first : last + 1]) for first, last in example["replies"]]
    assert replies == [f"Yes? {end_of_turn(template)}", f"No.{end_of_turn(template)}"]
    for (first, _), prompt in zip(example["replies"], (CHAT_OF_TWO[:1], CHAT_OF_TWO[:3]), strict=True):
        assert example["ids"][:first] == template.encode(prompt)


def mix(*texts: str) -> pa.Table:
    rows = [
        {
            "conversation_hash": text,
            "source": "s",
            "messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "Yes."}],
        }
        for text in texts
    ]
    return pa.Table.from_pylist(rows, schema=CHAT)


def left(table: pa.Table, tokenizer: Any) -> tuple[list[str], list[int]]:
    """The rows that are kept, and the numbers of those with a control string and with a placeholder."""
    kept, dropped = drop_unusable(table, tokenizer)
    return kept["conversation_hash"].to_pylist(), [
        dropped[f"dropped_{name}"] for name in ("control_string", "placeholder")
    ]


def test_rows_with_a_control_string_in_a_message_are_left_out_and_counted() -> None:
    table = mix("Hi", "stop <|eot_id|> now", "a|b (c) [d]", "<|finetune_right_pad_id|>", "<|im_end|>", "<|eot_id", "")
    usable = ["Hi", "a|b (c) [d]", "<|im_end|>", "<|eot_id", ""]
    assert left(table, llama_base()) == (usable, [2, 0])
    assert left(table.slice(1), llama_base()) == (usable[1:], [2, 0])  # a part of a table has an offset
    assert left(mix("Hi"), byte_level(LLAMA, [], [])) == (["Hi"], [0, 0])


def test_a_control_string_in_a_reply_counts_too() -> None:
    row = {
        "conversation_hash": "a",
        "source": "s",
        "messages": [*CHAT_OF_TWO, {"role": "assistant", "content": "<|eot_id|>"}],
    }
    table = pa.Table.from_pylist([row], schema=CHAT)
    assert left(table, llama_base()) == ([], [1, 0])
    assert left(table, qwen_base()) == (["a"], [0, 0])


def test_rows_with_a_placeholder_of_axolotl_are_left_out_and_counted_once() -> None:
    table = mix("Hi", "what is [[dummy_message]]?", "zzdummymessagezz", "[[dummy]]", "[[dummy_message]] <|eot_id|>")
    assert left(table, llama_base()) == (["Hi", "[[dummy]]"], [1, 2])


def rows_of(*chats: list[Message]) -> list[dict[str, Any]]:
    return [{"messages": messages} for messages in chats]


def test_examples_have_one_reply_or_several_and_fit(template: Template) -> None:
    one, end = CHAT_OF_TWO[:2], end_id(template)
    examples = choose_examples(rows_of(*[one] * 20, *[CHAT_OF_TWO] * 20), template, end, 400)
    assert [len(example["replies"]) for example in examples] == [1] * 8 + [2] * 8
    short = len(encode(template, one)["ids"])
    assert len(choose_examples(rows_of(one, CHAT_OF_TWO), template, end, short)) == 1
    with pytest.raises(UserError, match=rf"none with a reply .* fits train.sequence_length \({short - 1}\)"):
        choose_examples(rows_of(one, CHAT_OF_TWO), template, end, short - 1)


def test_a_chat_with_a_reply_that_begins_with_white_space_is_not_an_example(template: Template) -> None:
    begins = [CHAT_OF_TWO[0], Message(role="assistant", content="\nYes")]
    empty = [CHAT_OF_TWO[0], Message(role="assistant", content="")]
    unanswered = CHAT_OF_TWO[:3]
    assert len(choose_examples(rows_of(begins, empty, unanswered, CHAT_OF_TWO), template, end_id(template), 400)) == 1


def test_a_template_that_rewrites_earlier_turns_is_refused() -> None:
    rewriting = CHATML.replace("{{ message.content }}", "{{ message.content if loop.last else 'earlier' }}")
    template = Template(qwen_base(rewriting), MODEL)
    with pytest.raises(UserError, match=r"m: the chat template writes 'earlier.* where generation asks with 'Hi<"):
        encode_example(CHAT_OF_TWO, template, end_id(Template(qwen_base(), MODEL)))


def test_a_header_whose_end_is_joined_with_the_first_word_of_a_reply_is_refused() -> None:
    spaced = CHATML.replace("role }}\n", "role }}{{ ' t' if message.role == 'assistant' else '\n' }}")
    spaced = spaced.replace("<|im_start|>assistant\n", "<|im_start|>assistant t")
    template = Template(qwen_base(spaced), MODEL)
    chat = [CHAT_OF_TWO[0], Message(role="assistant", content="he")]
    with pytest.raises(UserError, match=r"m: a reply begins in the last token of its header \('.*assistant t'\): end"):
        encode_example(chat, template, end_id(template))


def test_a_template_that_refuses_a_chat_of_the_mix_is_named() -> None:
    template = Template(llama_base("{{ raise_exception('no ' + messages[0].role) }}"), MODEL)
    with pytest.raises(UserError, match=r"^m cannot be trained on this mix: the chat template says: no user$"):
        encode_example(CHAT_OF_TWO, template, 1)
