"""How generation encodes the chats of a mix, for training to compare: special tokens, example chats, unusable rows."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.console.errors import UserError
from stages.lib.models.chat_template import Template
from stages.lib.models.control_tokens import any_of, control_strings
from stages.lib.models.turn_ends import find_end_of_turn
from stages.lib.records.chats import Message
from stages.lib.training.label_masks import Example

EXAMPLES_OF_EACH = 8  # with one reply, and with several
MAX_ROWS_READ = 2_000  # of the mix, in its order, to choose the examples from
PADDING = "<|finetune_right_pad_id|>"  # Llama 3.1's vocabulary has it, but its tokenizer does not name it
HINT = "write another one to a file and name it as `chat_template` in the catalogue"


def end_of_turn(template: Template) -> str:
    """Return the control token that ends a reply (see find_end_of_turn); raise UserError when there is none."""
    token = find_end_of_turn(template)
    if not token:
        raise UserError(f"{template.model.id}: its chat template ends no reply with a control token: {HINT}")
    return token


def special_tokens(template: Template) -> dict[str, str]:
    """Return the tokens that training sets: the end of turn as the end of sequence, and padding if there is one."""
    tokenizer = template.tokenizer
    padding = tokenizer.pad_token or (PADDING if PADDING in tokenizer.get_vocab() else "")
    return {"eos_token": end_of_turn(template), **({"pad_token": padding} if padding else {})}


def drop_control_strings(table: pa.Table, tokenizer: Any) -> pa.Table:
    """Return the rows of a mix whose messages hold no control string of the tokenizer.

    Axolotl encodes a rendered chat whole, so that such a string becomes a command; generation encodes it as text. These
    rows cannot be trained as they were generated.
    """
    messages = table["messages"].combine_chunks()
    content = pc.struct_field(messages.flatten(), "content")
    has_control = pc.fill_null(pc.match_substring_regex(content, any_of(control_strings(tokenizer))), False)
    is_kept = np.ones(table.num_rows, dtype=bool)
    is_kept[pc.list_parent_indices(messages).filter(has_control).to_numpy()] = False
    return table.filter(pa.array(is_kept))


def choose_examples(rows: Iterable[dict[str, Any]], template: Template, end: int, length: int) -> list[Example]:
    """Return the first chats of at most `length` tokens as generation encodes them, with one reply and with several.

    `end` is the id of the end-of-turn token. Raises UserError when the template refuses a chat, or when no chat fits.
    """
    num_missing = {False: EXAMPLES_OF_EACH, True: EXAMPLES_OF_EACH}  # by whether there are several replies
    examples = []
    for row in islice(rows, MAX_ROWS_READ):
        has_several = sum(message["role"] == "assistant" for message in row["messages"]) > 1
        if num_missing[has_several] and is_comparable(row["messages"]):
            example = encode_example(row["messages"], template, end)
            if len(example["ids"]) <= length:
                examples.append(example)
                num_missing[has_several] -= 1
    if not examples:
        raise UserError(
            f"among the first {MAX_ROWS_READ} conversations of the mix none with a reply that begins with text fits "
            f"train.sequence_length ({length})"
        )
    return examples


def is_comparable(messages: list[Message]) -> bool:
    """Return whether a chat ends with a reply and no reply is empty or begins with white space.

    A tokenizer may join such white space with that at the end of the header.
    """
    replies = [message["content"] for message in messages if message["role"] == "assistant"]
    return messages[-1]["role"] == "assistant" and all(reply[:1].strip() for reply in replies)


def encode_example(messages: list[Message], template: Template, end: int) -> Example:
    """Encode a whole chat, and find its replies in it.

    Raises UserError when the template refuses the chat, or renders the prompt of a reply differently in generation.
    """
    try:
        ids = encode_whole(messages, template)
        prompts = [
            template.encode(messages[:n]) for n, message in enumerate(messages) if message["role"] == "assistant"
        ]
    except ValueError as error:
        raise UserError(f"{template.model.id} cannot be trained on this mix: {error}") from None
    if any(ids[: len(prompt)] != prompt or end not in ids[len(prompt) :] for prompt in prompts):
        raise UserError(
            f"{template.model.id}: the chat template renders the prompt differently in training than in generation: "
            f"{HINT}"
        )
    return {"ids": ids, "replies": [(len(prompt), ids.index(end, len(prompt))) for prompt in prompts]}


def encode_whole(messages: list[Message], template: Template) -> list[int]:
    """Return the token ids of a chat that ends with a reply; raise ValueError if the template refuses it."""
    ids: list[int] = template.tokenizer.encode(template.render(messages, reply=False), add_special_tokens=False)
    return ids
