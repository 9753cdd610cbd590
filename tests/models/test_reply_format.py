"""What a tokenizer and its template say of a model's replies."""

from typing import Any

import pytest

from stages.lib.models.chat_template import Template
from stages.lib.models.reply_format import UNKNOWN, ReplyFormat, describe_replies
from tests.support.conversations import MODEL
from tests.support.tokenizers import CHATML, WORDS, byte_level, gemma, llama, llama_base, qwen

MAGISTRAL = ["<|im_start|>", "<|im_end|>", "[THINK]", "[/THINK]"]


def describe(tokenizer: Any, **keys: Any) -> ReplyFormat:
    return describe_replies(Template(tokenizer, MODEL.model_copy(update=keys)))


@pytest.mark.parametrize("tokenizer", [llama(), qwen()], ids=["llama", "qwen"])
def test_of_a_model_whose_files_say_all_there_is_nothing_to_say(tokenizer: Any) -> None:
    assert describe(tokenizer) == UNKNOWN


def test_an_end_of_turn_that_the_models_files_do_not_name_is_added() -> None:
    assert describe(llama_base()).added_ends == ("<|eot_id|>",)
    assert describe(llama(), stop=["<|reserved_0|>", "User:"]).added_ends == ("<|reserved_0|>",)
    assert describe(llama(), stop=["<|reserved_0|>\n"]).added_ends == ("<|reserved_0|>\n",)


def test_tags_of_thoughts_are_named_where_they_are_special_tokens() -> None:
    tokenizer = byte_level(CHATML, MAGISTRAL, [], eos_token="<|im_end|>")
    assert describe(tokenizer).thinking_tokens == ("[/THINK]", "[THINK]")
    own = byte_level(CHATML, [*MAGISTRAL[:2], "<muse>", "</muse>"], [], eos_token="<|im_end|>")
    assert describe(own).thinking_tokens == ()
    assert describe(own, thinking_tags={"<muse>": "</muse>"}).thinking_tokens == ("</muse>", "<muse>")


def test_special_tokens_of_an_unusual_form_are_named() -> None:
    assert describe(gemma()).control_tokens == ("<bos>", "<eos>", "<pad>", "<unk>")


def test_the_header_of_the_users_turn_is_named_where_it_is_plain_text() -> None:
    words = byte_level(WORDS, ["<|endoftext|>"], [], eos_token="<|endoftext|>")
    assert describe(words).user_header == "\nUSER:"
    ended = byte_level(WORDS.replace("\n{% endfor", "</s>\n{% endfor"), ["</s>"], [], eos_token="</s>")
    assert describe(ended).user_header == "\nUSER:"


def test_a_format_is_the_same_after_json() -> None:
    known = describe(gemma(), stop=["<pad>"])
    assert ReplyFormat.from_json(known.to_json()) == known
    assert (UNKNOWN.to_json(), ReplyFormat.from_json({})) == ({}, UNKNOWN)
