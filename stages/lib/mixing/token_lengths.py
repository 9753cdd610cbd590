"""Lengths in tokens of the model that will be trained."""

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

CHATS_AT_ONCE = 512  # that are encoded in one call, on all cores


class Lengths:
    """Counts and cuts text in a model's tokens."""

    def __init__(self, model: Model) -> None:
        self._tokenizer = load_tokenizer(model)
        self._tokenizer.model_max_length = sys.maxsize  # else it warns of each longer chat
        self._template = Template(self._tokenizer, model)
        self._lock = threading.Lock()  # a tokenizer uses all cores in one call, and does not take two

    def of_chats(self, chats: pa.ChunkedArray) -> np.ndarray:
        """The tokens of whole chats as they are trained, with all that the chat template adds."""
        texts = (self._template.render(chat.as_py(), reply=False) for chat in chats)
        return np.fromiter((len(ids) for ids in self._encoded(texts)), np.int64, len(chats))

    def cut(self, texts: list[str], references: list[str]) -> list[str]:
        """The texts, none of more tokens than the reference beside it; what is longer is cut at the end of a token."""
        limits = [len(ids) for ids in self._encoded(references)]
        return [self._first_tokens(text, limit) for text, limit in zip(texts, limits, strict=True)]

    def _encoded(self, texts: Iterable[str]) -> Iterable[list[int]]:
        """The token ids of each text."""
        for batch in chunks(texts, CHATS_AT_ONCE):
            yield from self._ids(batch)

    def _ids(self, texts: list[str]) -> list[list[int]]:
        """The token ids of a few texts."""
        with self._lock:
            found: dict[str, Any] = self._tokenizer(texts, add_special_tokens=False, return_attention_mask=False)
        ids: list[list[int]] = found["input_ids"]
        return ids

    def _first_tokens(self, text: str, limit: int) -> str:
        """As much of a text as so many tokens hold."""
        with self._lock:
            found = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ends = [stop for _, stop in found["offset_mapping"]]
        for number in range(min(limit, len(ends)), 0, -1):
            kept = text if number == len(ends) else text[: ends[number - 1]]
            if len(self._ids([kept])[0]) <= limit:  # what is cut may be encoded anew in more tokens
                return kept
        return ""


def cut_to_reference(table: pa.Table, lengths: Lengths) -> tuple[pa.Table, int]:
    """The rows with even ranks, each reply cut to the one in the row with the next rank, if there is one.

    Also how many replies became shorter.
    """
    ranks, chats = table[RANK].to_numpy(), table["messages"].to_pylist()
    is_row = ranks % 2 == 0
    pairs = np.flatnonzero(is_row[:-1] & (ranks[1:] == ranks[:-1] + 1))
    replies = [reply for place in pairs for reply in replies_beside(chats[place], chats[place + 1])]
    texts = [message["content"] for message, _ in replies]
    cut = lengths.cut(texts, [other for _, other in replies])
    for (message, _), text in zip(replies, cut, strict=True):
        message["content"] = text
    column = CHAT.get_field_index("messages")
    messages = pa.array([chats[place] for place in np.flatnonzero(is_row)], CHAT.field(column).type)
    rows = table.filter(is_row).set_column(column, CHAT.field(column), messages)
    return rows, sum(before != after for before, after in zip(texts, cut, strict=True))


def replies_beside(chat: list[Message], other: list[Message]) -> list[tuple[Message, str]]:
    """The replies of a chat, each with the other chat's reply to the same turn; UserError if turns are missing."""
    if len(chat) != len(other):
        raise UserError(
            f"the reference has {len(other) // 2} turns of a conversation of {len(chat) // 2} that begins with "
            f"{chat[0]['content'][:40]!r}: let validate drop such, or take another reference"
        )
    return [(mine, its["content"]) for mine, its in zip(chat, other, strict=True) if mine["role"] == "assistant"]
