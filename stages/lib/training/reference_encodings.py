"""The side of generation in training: which token ends a turn, which chats can be trained, and their token ids."""

import re
from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.console.errors import UserError
from stages.lib.models.chat_template import Template
from stages.lib.models.control_tokens import control_strings
from stages.lib.records.chats import Message, build_chat
from stages.lib.training.label_masks import Example

EACH = 8  # examples with one reply, and as many with several
LOOKED_AT = 2_000  # conversations, in the mix's order, to take them from
PADDING = "<|finetune_right_pad_id|>"  # Llama 3.1's vocabulary has it, its tokenizer does not say so
HINT = "write another one to a file and name it as `chat_template` in the catalogue"


def end_of_turn(template: Template) -> str:
    """The first control token after a reply in a rendered chat; raise UserError when there is none."""
    rendered = template.render(build_chat(["first-question", "second-question"], ["the-reply"]))
    found = re.search(any_of(control_strings(template.tokenizer)), rendered.partition("the-reply")[2])
    if not found:
        raise UserError(f"{template.model.id}: its chat template ends no reply with a control token: {HINT}")
    return found[0]


def special_tokens(template: Template) -> dict[str, str]:
    """The tokens that training sets: the end of turn as the end of sequence, and padding if there is a token for it."""
    tokenizer = template.tokenizer
    padding = tokenizer.pad_token or (PADDING if PADDING in tokenizer.get_vocab() else "")
    return {"eos_token": end_of_turn(template), **({"pad_token": padding} if padding else {})}


def any_of(texts: list[str]) -> str:
    """A regular expression for any of these texts, for none when there are none."""
    return "|".join(map(re.escape, texts)) or r"[^\s\S]"


def without_controls(table: pa.Table, tokenizer: Any) -> pa.Table:  # noqa: ANN401
    """The rows of a mix in whose messages no control string of the tokenizer stands.

    Axolotl encodes a rendered chat whole, and would train on what somebody wrote as on a command; generation encodes it
    as text. So such rows cannot be trained as they were generated.
    """
    messages = table["messages"].combine_chunks()
    content = pc.struct_field(messages.flatten(), "content")
    found = pc.fill_null(pc.match_substring_regex(content, any_of(control_strings(tokenizer))), False)
    keep = np.ones(table.num_rows, dtype=bool)
    keep[pc.list_parent_indices(messages).filter(found).to_numpy()] = False
    return table.filter(pa.array(keep))


def choose(rows: Iterable[dict[str, Any]], template: Template, end: int, length: int) -> list[Example]:
    """The first chats of at most `length` tokens as generation makes them, some with one reply and some with several.

    Replies that are empty or begin with white space are passed over: a tokenizer may join it to the header, which ends
    with white space. Raises UserError when the template refuses a chat, or when there is none to take.
    """
    open_places = {False: EACH, True: EACH}
    found = []
    for row in islice(rows, LOOKED_AT):
        several = sum(message["role"] == "assistant" for message in row["messages"]) > 1
        if open_places[several] and is_plain(row["messages"]):
            made = example(row["messages"], template, end)
            if len(made["ids"]) <= length:
                found.append(made)
                open_places[several] -= 1
    if not found:
        raise UserError(
            f"among the first {LOOKED_AT} conversations of the mix none with a reply that begins with text fits "
            f"train.sequence_length ({length})"
        )
    return found


def is_plain(messages: list[Message]) -> bool:
    """Whether a chat ends with a reply, and each of its replies begins with something else than white space."""
    replies = [message["content"] for message in messages if message["role"] == "assistant"]
    return messages[-1]["role"] == "assistant" and all(reply[:1].strip() for reply in replies)


def example(messages: list[Message], template: Template, end: int) -> Example:
    """The token ids of a whole chat, and where its replies are; raise UserError when a reply is asked for otherwise."""
    try:
        ids = whole(messages, template)
        asked = [template.encode(messages[:n]) for n, message in enumerate(messages) if message["role"] == "assistant"]
    except ValueError as error:
        raise UserError(f"{template.model.id} cannot be trained on this mix: {error}") from None
    if any(ids[: len(prompt)] != prompt or end not in ids[len(prompt) :] for prompt in asked):
        raise UserError(
            f"{template.model.id}: its chat template writes a chat otherwise than the beginning that a reply was asked "
            f"for with, so training would not be what generation does: {HINT}"
        )
    return {"ids": ids, "replies": [(len(prompt), ids.index(end, len(prompt))) for prompt in asked]}


def whole(messages: list[Message], template: Template) -> list[int]:
    """The token ids of a chat that ends with a reply; raise ValueError if the template refuses it."""
    ids: list[int] = template.tokenizer.encode(template.render(messages, reply=False), add_special_tokens=False)
    return ids
