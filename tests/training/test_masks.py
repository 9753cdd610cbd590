"""What is trained: which chats, as which token ids, with which of them marked; held against generation's own."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stages.lib.console.errors import UserError
from stages.lib.models.chat_template import Template
from stages.lib.records.chats import CHAT, Message
from stages.lib.training.label_masks import UNTRAINED, Batch, Example, Prepared, count, find, marked, objection
from stages.lib.training.reference_encodings import choose, end_of_turn, example, special_tokens, without_controls
from tests.support.bases import CHAT_OF_TWO, CHATML, LLAMA, llama_base, qwen_base
from tests.support.conversations import MODEL
from tests.support.tokenizers import byte_level


@pytest.fixture(scope="module", params=[llama_base, qwen_base])
def template(request: pytest.FixtureRequest) -> Template:
    return Template(request.param(), MODEL)


def end_id(template: Template) -> int:
    return int(template.tokenizer.convert_tokens_to_ids(end_of_turn(template)))


def made(template: Template, messages: list[Message] = CHAT_OF_TWO) -> Example:
    return example(messages, template, end_id(template))


def prepared(shown: Example, trained: list[tuple[int, int]] | None = None) -> Prepared:
    """The example as prepared, with these tokens trained; by default its replies."""
    ids = np.array(shown["ids"])
    labels = np.full(len(ids), UNTRAINED)
    for first, last in shown["replies"] if trained is None else trained:
        labels[first : last + 1] = ids[first : last + 1]
    return Prepared(ids, labels)


def batch(*rows: Prepared) -> Batch:
    starts = np.cumsum([0, *(len(row.ids) for row in rows)])
    return Batch(np.concatenate([row.ids for row in rows]), np.concatenate([row.labels for row in rows]), starts)


def judged(shown: Example, row: Prepared, end: int) -> str:
    return objection(count([batch(row)], end), [shown], find([batch(row)], [shown]))


def test_llama_3_is_written_with_headers_and_without_a_date() -> None:
    text = Template(llama_base(), MODEL).render([{"role": "system", "content": "Be kind."}, *CHAT_OF_TWO[:3]])
    header, end = "<|start_header_id|>{}<|end_header_id|>\n\n", "<|eot_id|>"
    expected = ["<|begin_of_text|>", header.format("system"), "Be kind.", end, header.format("user"), "Hi", end]
    expected += [header.format("assistant"), "Yes? ", end, header.format("user"), "In?", end]
    assert text == "".join([*expected, header.format("assistant")])


def test_the_end_of_turn_is_found_in_the_template_and_padding_is_the_tokenizers_own_if_it_has_one() -> None:
    llama, qwen = (special_tokens(Template(make(), MODEL)) for make in (llama_base, qwen_base))
    assert llama == {"eos_token": "<|eot_id|>", "pad_token": "<|finetune_right_pad_id|>"}
    assert qwen == {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}


def test_a_vocabulary_without_a_token_for_padding_is_given_none() -> None:
    tokenizer = byte_level("{{ messages[1].content if messages[1:] }}<|end|>", ["<|end|>"], [])
    assert special_tokens(Template(tokenizer, MODEL)) == {"eos_token": "<|end|>"}


def test_a_template_that_ends_no_reply_is_refused() -> None:
    plain = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    with pytest.raises(UserError, match=r"^m: its chat template ends no reply with a control token: write another"):
        end_of_turn(Template(qwen_base(plain), MODEL))


def test_an_example_is_the_chat_that_generation_asks_with_the_replies_to_their_ends(template: Template) -> None:
    shown = made(template)
    assert shown["ids"] == template.tokenizer.apply_chat_template(CHAT_OF_TWO, return_dict=False)
    replies = [template.tokenizer.decode(shown["ids"][first : last + 1]) for first, last in shown["replies"]]
    assert replies == [f"Yes? {end_of_turn(template)}", f"No.{end_of_turn(template)}"]
    for (first, _), asked in zip(shown["replies"], (CHAT_OF_TWO[:1], CHAT_OF_TWO[:3]), strict=True):
        assert shown["ids"][:first] == template.encode(asked)


def test_replies_to_their_ends_and_nothing_else_may_be_trained(template: Template) -> None:
    shown, end = made(template), end_id(template)
    (a, b), (c, d) = shown["replies"]
    assert judged(shown, prepared(shown), end) == ""
    assert judged(shown, prepared(shown, []), end).startswith("nothing would be trained")
    assert judged(shown, prepared(shown, [(a, b), (b + 1, b + 5), (c, d)]), end).startswith("what a user or the system")
    assert judged(shown, prepared(shown, [(a - 1, b), (c, d)]), end).startswith(
        "what a user or the system says, or a h"
    )
    assert judged(shown, prepared(shown, [(a, b - 1), (c, d - 1)]), end).startswith("the end of turn would never be")
    assert judged(shown, prepared(shown, [(a, b), (c, d - 1)]), end).startswith(
        "the end of turn would never be trained"
    )
    assert judged(shown, prepared(shown, [(a + 1, b), (c + 1, d)]), end) == ""  # a space of the template's
    assert judged(shown, prepared(shown, [(a, b), (d, d)]), end).startswith(
        "a reply would not be trained, or not whole"
    )


def test_other_token_ids_than_generations_are_refused(template: Template) -> None:
    shown, end = made(template), end_id(template)
    other = made(template, [*CHAT_OF_TWO[:3], {"role": "assistant", "content": "No!"}])
    assert judged(shown, prepared(other), end).startswith("1 of 1 conversations have other token ids in training")


def test_one_conversation_among_others_whose_end_is_not_trained_is_counted(template: Template) -> None:
    shown, end = made(template), end_id(template)
    first, last = shown["replies"][0]
    rows = batch(prepared(shown), prepared(shown, [(first, last - 1)]), prepared(shown))
    total = count([rows, rows], end)
    trained = 2 * (2 * sum(b - a + 1 for a, b in shown["replies"]) + last - first)
    tokens = 6 * len(shown["ids"])
    assert total == {"rows": 6, "tokens": tokens, "trained_tokens": trained, "replies": 8, "endless_rows": 2}
    reason = objection(total, [shown], find([rows], [shown]))
    assert reason == "in 2 of 6 conversations no end of turn would be trained"


def test_a_conversation_is_shown_with_what_is_trained_in_brackets() -> None:
    template = Template(llama_base(), MODEL)
    shown = made(template)
    assert marked(prepared(shown), template.tokenizer.decode) == (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n⟦Yes? <|eot_id|>⟧"
        "<|start_header_id|>user<|end_header_id|>\n\nIn?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n⟦No.<|eot_id|>⟧"
    )


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


def test_rows_with_a_control_string_in_a_message_are_left_out() -> None:
    table = mix("Hi", "stop <|eot_id|> now", "a|b (c) [d]", "<|finetune_right_pad_id|>", "<|im_end|>", "<|eot_id", "")
    kept = without_controls(table, llama_base())
    assert kept["conversation_hash"].to_pylist() == ["Hi", "a|b (c) [d]", "<|im_end|>", "<|eot_id", ""]
    assert without_controls(table.slice(1), llama_base()).num_rows == 4  # a part of a table has an offset
    assert without_controls(mix("Hi"), byte_level(LLAMA, [], [])).num_rows == 1


def test_a_control_string_in_a_reply_counts_too() -> None:
    row = {
        "conversation_hash": "a",
        "source": "s",
        "messages": [*CHAT_OF_TWO, {"role": "assistant", "content": "<|eot_id|>"}],
    }
    table = pa.Table.from_pylist([row], schema=CHAT)
    assert without_controls(table, llama_base()).num_rows == 0
    assert without_controls(table, qwen_base()).num_rows == 1


def rows_of(*chats: list[Message]) -> list[dict[str, Any]]:
    return [{"messages": messages} for messages in chats]


def test_examples_are_of_one_reply_and_of_several_and_fit(template: Template) -> None:
    one, end = CHAT_OF_TWO[:2], end_id(template)
    found = choose(rows_of(*[one] * 20, *[CHAT_OF_TWO] * 20), template, end, 400)
    assert [len(shown["replies"]) for shown in found] == [1] * 8 + [2] * 8
    short = len(made(template, one)["ids"])
    assert len(choose(rows_of(one, CHAT_OF_TWO), template, end, short)) == 1
    with pytest.raises(UserError, match=rf"none with a reply .* fits train.sequence_length \({short - 1}\)"):
        choose(rows_of(one, CHAT_OF_TWO), template, end, short - 1)


def test_a_reply_that_begins_with_white_space_is_no_example_for_it_joins_the_header(template: Template) -> None:
    begins = [CHAT_OF_TWO[0], Message(role="assistant", content="\nYes")]
    empty = [CHAT_OF_TWO[0], Message(role="assistant", content="")]
    unanswered = CHAT_OF_TWO[:3]
    assert len(choose(rows_of(begins, empty, unanswered, CHAT_OF_TWO), template, end_id(template), 400)) == 1


def test_a_template_that_rewrites_earlier_turns_is_refused() -> None:
    rewriting = CHATML.replace("{{ message.content }}", "{{ message.content if loop.last else 'earlier' }}")
    template = Template(qwen_base(rewriting), MODEL)
    with pytest.raises(UserError, match=r"m: its chat template writes a chat otherwise than the beginning"):
        example(CHAT_OF_TWO, template, end_id(Template(qwen_base(), MODEL)))


def test_a_template_that_refuses_a_chat_of_the_mix_is_named() -> None:
    template = Template(llama_base("{{ raise_exception('no ' + messages[0].role) }}"), MODEL)
    with pytest.raises(UserError, match=r"^m cannot be trained on this mix: the chat template says: no user$"):
        example(CHAT_OF_TWO, template, 1)
