"""Names and numbers that depend on content alone, never on a position or a machine."""

import hashlib
import json

from stages.lib.records.chats import Message


def keyed_hash(seed: int, *parts: str) -> int:
    """A 63-bit number that is the same on every machine for the same seed and parts.

    Rows are ordered by it and the smallest are taken: a choice that does not depend on the order of files,
    and in which fewer rows are always a subset of more.
    """
    digest = hashlib.blake2b("\x1f".join([str(seed), *parts]).encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "big") >> 1


def chat_sha(messages: list[Message]) -> str:
    """A name for exactly these messages in this order: 32 hex digits. It proves on what history a turn was asked."""
    return hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).hexdigest()[:32]


def content_hash(messages: list[Message]) -> str:
    """A name for a conversation that has none of its own: 32 hex digits of its content."""
    text = "\x1e".join(f"{message['role']}\x1f{message['content']}" for message in messages)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
