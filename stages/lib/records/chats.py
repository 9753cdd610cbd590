"""Chats: their messages, and the rows of a mix and of data/auxiliary/<set>."""

from typing import TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


CHAT = pa.schema([("conversation_hash", pa.string()), ("source", pa.string()), ("messages", _MESSAGES)])


class Message(TypedDict):
    """One message of a chat."""

    role: str
    content: str


def chat(users: list[str], replies: list[str], system_prompt: str = "") -> list[Message]:
    """The chat up to the last of the user turns, each earlier one with its reply."""
    messages: list[Message] = [{"role": "system", "content": system_prompt}] if system_prompt else []
    for user, reply in zip(users[:-1], replies, strict=False):
        messages += [{"role": "user", "content": user}, {"role": "assistant", "content": reply}]
    return [*messages, {"role": "user", "content": users[-1]}]


def without_oldest(messages: list[Message], turns: int) -> list[Message]:
    """A chat without so many of its oldest turns; a system prompt stays."""
    first = 1 if messages[0]["role"] == "system" else 0
    return messages[:first] + messages[first + 2 * turns :]


def num_turns(messages: pa.ChunkedArray) -> pa.Array:
    """Of each chat, how many messages are a user's."""
    chats = messages.combine_chunks()
    is_user = pc.equal(chats.flatten().field("role"), "user").to_numpy(zero_copy_only=False)
    ends = chats.offsets.to_numpy() - chats.offsets[0].as_py()
    total = np.concatenate([[0], np.cumsum(is_user)])
    return pa.array(total[ends[1:]] - total[ends[:-1]])
