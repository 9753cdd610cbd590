"""How generation encodes the chats of a mix, for training to compare: example chats, and rows that cannot be used."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.console.errors import UserError
from stages.lib.models.chat_template import HINT, Template
from stages.lib.models.control_tokens import any_of, control_strings
from stages.lib.records.chats import Message
from stages.lib.training.label_masks import Example
from stages.lib.training.trained_template import describe_difference

EXAMPLES_OF_EACH = 8  # with one reply, and with several
MAX_ROWS_READ = 2_000  # of the mix, in its order, to choose the examples from
PLACEHOLDERS = ("[[dummy_message]]", "zzdummymessagezz")  # Axolotl's, instead of a reply (see drop_unusable)


def drop_unusable(table: pa.Table, tokenizer: Any) -> tuple[pa.Table, dict[str, int]]:
    """Return the rows of a mix that can be trained as they were generated, and how many are left out, and why.

    Axolotl encodes a rendered chat whole, so that a control string of the tokenizer becomes a command; generation
    encodes it as text. And it finds a reply by rendering the chat with a placeholder instead: where a message holds the
    placeholder itself, it can take the user's text for the reply.
    """
    has_control = rows_with(table, control_strings(tokenizer))
    has_placeholder = rows_with(table, PLACEHOLDERS) & ~has_control
    counts = {"dropped_control_string": has_control, "dropped_placeholder": has_placeholder}
    kept = table.filter(pa.array(~(has_control | has_placeholder)))
    return kept, {name: int(is_dropped.sum()) for name, is_dropped in counts.items()}


def rows_with(table: pa.Table, texts: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return which rows of a mix have a message that holds one of the texts."""
    messages = table["messages"].combine_chunks()
    content = pc.struct_field(messages.flatten(), "content")
    holds = pc.fill_null(pc.match_substring_regex(content, any_of(texts)), False)
    found = np.zeros(table.num_rows, dtype=bool)
    found[pc.list_parent_indices(messages).filter(holds).to_numpy()] = True
    return found


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
    for prompt in prompts:
        if ids[: len(prompt)] != prompt or end not in ids[len(prompt) :]:
            raise UserError(f"{template.model.id}: {describe_mismatch(ids, prompt, template)}: {HINT}")
    return {"ids": ids, "replies": [(len(prompt), ids.index(end, len(prompt))) for prompt in prompts]}


def describe_mismatch(ids: list[int], prompt: list[int], template: Template) -> str:
    """Return how a trained chat differs from a prompt of generation that it should begin with."""
    whole, asked = (template.tokenizer.decode(each) for each in (ids, prompt))
    if ids[: len(prompt)] == prompt:
        return "the chat template ends a reply of the mix with no end of turn"
    if whole.startswith(asked):
        return f"a reply begins in the last token of its header ({asked[-20:]!r}): end the header without white space"
    return f"the chat template {describe_difference(asked, whole, 'a reply')}"


def encode_whole(messages: list[Message], template: Template) -> list[int]:
    """Return the token ids of a chat that ends with a reply; raise ValueError if the template refuses it."""
    ids: list[int] = template.tokenizer.encode(template.render(messages, reply=False), add_special_tokens=False)
    return ids
