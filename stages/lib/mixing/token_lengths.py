"""Count and truncate texts in tokens of the model that will be trained."""

import sys
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from stages.lib.console.errors import UserError
from stages.lib.models.catalogue import Model
from stages.lib.models.chat_template import Template, load_tokenizer
from stages.lib.records.chats import CHAT, Message
from stages.lib.records.external_sort import RANK
from stages.lib.records.shards import chunks

TEXTS_PER_CALL = 512  # that are encoded in one call, on all cores


class TokenCounter:
    """Counts and truncates texts in a model's tokens."""

    def __init__(self, model: Model) -> None:
        self._tokenizer = load_tokenizer(model)
        self._tokenizer.model_max_length = sys.maxsize  # otherwise it warns of each longer chat
        self._template = Template(self._tokenizer, model)
        self._lock = threading.Lock()  # a tokenizer uses all cores in one call, and cannot handle two
        self._encode([""])  # it ends what tokenizer.json says of padding and truncation
        self._backend = plain_backend(self._tokenizer)

    @property
    def has_system_role(self) -> bool:
        """Whether the model's chat template takes a system message."""
        return self._template.has_system_role

    def count(self, chats: pa.ChunkedArray) -> np.ndarray:
        """Count the tokens of each chat as it is trained, with all that the chat template adds."""
        texts = (self._template.render(chat.as_py(), reply=False) for chat in chats)
        lengths = (length for batch in chunks(texts, TEXTS_PER_CALL) for length in self._lengths(batch))
        return np.fromiter(lengths, np.int64, len(chats))

    def truncate(self, texts: list[str], references: list[str]) -> list[str]:
        """Truncate each text to the number of tokens of its reference, at the end of a token."""
        limits = [len(ids) for ids in self._encode_all(references)]
        return [self._first_tokens(text, limit) for text, limit in zip(texts, limits, strict=True)]

    def _lengths(self, texts: list[str]) -> list[int]:
        """Count the tokens of each of a batch of texts; without their ids, where that is safe: a third less time."""
        if not self._backend:
            return [len(ids) for ids in self._encode(texts)]
        with self._lock:
            encodings = self._backend.encode_batch_fast(texts, add_special_tokens=False)
        return [len(encoding) for encoding in encodings]

    def _encode_all(self, texts: Iterable[str]) -> Iterable[list[int]]:
        """Yield the token ids of each text."""
        for batch in chunks(texts, TEXTS_PER_CALL):
            yield from self._encode(batch)

    def _encode(self, texts: list[str]) -> list[list[int]]:
        """Encode a batch of texts to token ids."""
        with self._lock:
            encoding: dict[str, Any] = self._tokenizer(texts, add_special_tokens=False, return_attention_mask=False)
        ids: list[list[int]] = encoding["input_ids"]
        return ids

    def _first_tokens(self, text: str, limit: int) -> str:
        """Return the longest beginning of a text that ends with a token and has at most `limit` tokens."""
        with self._lock:
            encoding = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ends = [stop for _, stop in encoding["offset_mapping"]]
        for number in range(min(limit, len(ends)), 0, -1):
            kept = text if number == len(ends) else text[: ends[number - 1]]
            # A truncated text may take more tokens than it had as a part of the whole.
            if len(self._encode([kept])[0]) <= limit:
                return kept
        return ""


def plain_backend(tokenizer: Any) -> Any | None:
    """Return the tokenizer in Rust behind one of transformers; None if there is none, or a class that adds to it."""
    from transformers import PreTrainedTokenizerFast

    adds_nothing = getattr(type(tokenizer), "_encode_plus", None) is PreTrainedTokenizerFast._encode_plus
    return tokenizer.backend_tokenizer if adds_nothing else None


def truncate_to_reference(table: pa.Table, counter: TokenCounter) -> tuple[pa.Table, int]:
    """Truncate replies to those of the reference; return the rows and how many replies became shorter.

    A row of the mix has an even rank; its reference, if it has one, has the next rank.
    """
    ranks = table[RANK].to_numpy()
    chats = table["messages"].to_pylist()
    is_row = ranks % 2 == 0
    with_reference = np.flatnonzero(is_row[:-1] & (ranks[1:] == ranks[:-1] + 1))
    pairs = [pair for index in with_reference for pair in pair_replies(chats[index], chats[index + 1])]
    texts = [message["content"] for message, _ in pairs]
    truncated = counter.truncate(texts, [reference for _, reference in pairs])
    for (message, _), text in zip(pairs, truncated, strict=True):
        message["content"] = text
    column = CHAT.get_field_index("messages")
    messages = pa.array([chats[index] for index in np.flatnonzero(is_row)], CHAT.field(column).type)
    rows = table.filter(is_row).set_column(column, CHAT.field(column), messages)
    return rows, sum(before != after for before, after in zip(texts, truncated, strict=True))


def pair_replies(chat: list[Message], reference: list[Message]) -> list[tuple[Message, str]]:
    """Pair each reply of a chat with the reference's reply to the same turn; UserError if their lengths differ."""
    if len(chat) != len(reference):
        raise UserError(
            f"the reference has {len(reference) // 2} turns of a conversation of {len(chat) // 2} that begins with "
            f"{chat[0]['content'][:40]!r}: let validate drop such conversations, or take another reference"
        )
    return [
        (message, other["content"])
        for message, other in zip(chat, reference, strict=True)
        if message["role"] == "assistant"
    ]
