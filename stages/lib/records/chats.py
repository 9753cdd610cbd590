"""Chat messages, and the schema of a mix and of data/auxiliary/<set>."""

from typing import TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


CHAT = pa.schema([
    ("conversation_hash", pa.string()),  # the prompt, or a hash of an auxiliary chat's content
    ("source", pa.string()),  # the DGM or auxiliary set
    ("messages", _MESSAGES),  # a chat as training reads it
])


class Message(TypedDict):
    """One message of a chat."""

    role: str
    content: str


def build_chat(users: list[str], replies: list[str], system_prompt: str = "") -> list[Message]:
    """Build the chat that ends with the last of `users`; each earlier user message is followed by its reply."""
    messages: list[Message] = [{"role": "system", "content": system_prompt}] if system_prompt else []
    for user, reply in zip(users[:-1], replies, strict=False):
        messages += [{"role": "user", "content": user}, {"role": "assistant", "content": reply}]
    return [*messages, {"role": "user", "content": users[-1]}]


def join_systems(*texts: str) -> str:
    """Join the texts of a system message, such as the catalogue's and a prompt's, with a blank line between them."""
    return "\n\n".join(filter(None, texts))


def drop_oldest_turns(messages: list[Message], turns: int) -> list[Message]:
    """Drop the oldest `turns` turns of a chat; a system message stays."""
    first = 1 if messages[0]["role"] == "system" else 0
    return messages[:first] + messages[first + 2 * turns :]


def count_turns(messages: pa.ChunkedArray) -> pa.Array:
    """Count the user messages of each chat."""
    chats = messages.combine_chunks()
    is_user = pc.equal(chats.flatten().field("role"), "user").to_numpy(zero_copy_only=False)
    ends = chats.offsets.to_numpy() - chats.offsets[0].as_py()
    total = np.concatenate([[0], np.cumsum(is_user)])
    return pa.array(total[ends[1:]] - total[ends[:-1]])
