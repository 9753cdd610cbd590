"""Hashes that depend on content alone, never on a position or a machine."""

import hashlib
import json

from stages.lib.records.chats import Message


def keyed_hash(seed: int, *parts: str) -> int:
    """Hash a seed and strings to 63 bits.

    Rows are ordered by this hash and the first n are taken. The choice does not depend on the order of files, and a
    smaller n always takes a subset of a larger one.
    """
    digest = hashlib.blake2b("\x1f".join([str(seed), *parts]).encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "big") >> 1


def chat_sha(messages: list[Message]) -> str:
    """Hash messages in their order to 32 hex digits, to prove on what history a turn was asked."""
    return hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).hexdigest()[:32]


def content_hash(messages: list[Message]) -> str:
    """Hash a conversation that has no hash of its own to 32 hex digits."""
    text = "\x1e".join(f"{message['role']}\x1f{message['content']}" for message in messages)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
