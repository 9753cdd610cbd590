"""The records that flow through the pipeline, as Arrow schemas, and how rows are chosen from them."""

import hashlib
import json
from typing import TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))

PROMPT = pa.schema([
    ("conversation_hash", pa.string()),
    ("source", pa.string()),
    ("language", pa.string()),
    ("toxic", pa.bool_()),
    ("turns", pa.list_(pa.struct([("user", pa.string()), ("reference", pa.string())]))),
])
_TURN = pa.struct([
    ("user", pa.string()),
    ("assistant", pa.string()),
    ("raw", pa.string()),  # the reply with its thinking, when that was taken away; else empty
    ("finish_reason", pa.string()),  # stop, length, one of UNANSWERED
    ("prompt_tokens", pa.int64()),
    ("completion_tokens", pa.int64()),
    ("trimmed_turns", pa.int64()),  # how many of the oldest turns the prompt left out
    ("prompt_sha", pa.string()),  # of the chat that the engine was given, see chat_sha
])
UNANSWERED = ("context_overflow", "failed")  # finishes of turns without a reply; the status is then the same
RESPONSE = pa.schema([
    ("identity", pa.string()),
    ("conversation_hash", pa.string()),
    ("dgm", pa.string()),
    ("turns", pa.list_(_TURN)),
    ("status", pa.string()),  # ok, or why the conversation ended early
    ("reason", pa.string()),  # of the status `failed`, in the engine's words
    ("history", pa.string()),
    ("seed", pa.int64()),
    ("engine", pa.string()),
])
VERDICT = pa.schema([
    ("conversation_hash", pa.string()),
    ("identity", pa.string()),
    ("keep", pa.bool_()),
    ("reasons", pa.list_(pa.string())),
    ("language", pa.string()),  # of the prompt, as it was told
    ("toxic", pa.bool_()),
    ("turns", pa.int64()),
])
CHAT = pa.schema([("conversation_hash", pa.string()), ("source", pa.string()), ("messages", _MESSAGES)])
ANSWER = pa.schema([
    ("question_id", pa.int64()),
    ("category", pa.string()),
    ("turns", pa.list_(_TURN)),
    ("status", pa.string()),
])
JUDGMENT = pa.schema([  # a judge's score of one turn of one model
    ("question_id", pa.int64()),
    ("category", pa.string()),
    ("turn", pa.int64()),  # from 1
    ("score", pa.float64()),  # 1 to 10; null without a verdict
    ("text", pa.string()),  # all that the judge said
    ("chars", pa.int64()),  # of the judged reply
    ("status", pa.string()),  # ok; failed: no verdict; unanswered: no reply to judge
    ("reason", pa.string()),
])
PAIRING = pa.schema([  # a judge's choice between two models' replies to one turn; each pair in both orders
    ("one", pa.string()),
    ("other", pa.string()),
    ("question_id", pa.int64()),
    ("category", pa.string()),
    ("turn", pa.int64()),
    ("first", pa.string()),  # the model whose reply was shown first: `one` or `other`
    ("winner", pa.string()),  # a model, or `tie`; null without a verdict
    ("text", pa.string()),
    ("status", pa.string()),  # as in JUDGMENT
    ("reason", pa.string()),
])


class Message(TypedDict):
    """One message of a chat."""

    role: str
    content: str


class Turn(TypedDict):
    """One user turn and the reply to it, as in RESPONSE."""

    user: str
    assistant: str
    raw: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    trimmed_turns: int
    prompt_sha: str


def keyed_hash(seed: int, *parts: str) -> int:
    """A 63-bit number that is the same on every machine for the same seed and parts.

    Rows are ordered by it and the smallest are taken: a choice that does not depend on the order of files,
    and in which fewer rows are always a subset of more.
    """
    digest = hashlib.blake2b("\x1f".join([str(seed), *parts]).encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "big") >> 1


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


def chat_sha(messages: list[Message]) -> str:
    """A name for exactly these messages in this order: 32 hex digits. It proves on what history a turn was asked."""
    return hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).hexdigest()[:32]


def content_hash(messages: list[Message]) -> str:
    """A name for a conversation that has none of its own: 32 hex digits of its content."""
    text = "\x1e".join(f"{message['role']}\x1f{message['content']}" for message in messages)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def num_turns(messages: pa.ChunkedArray) -> pa.Array:
    """Of each chat, how many messages are a user's."""
    chats = messages.combine_chunks()
    is_user = pc.equal(chats.flatten().field("role"), "user").to_numpy(zero_copy_only=False)
    ends = chats.offsets.to_numpy() - chats.offsets[0].as_py()
    total = np.concatenate([[0], np.cumsum(is_user)])
    return pa.array(total[ends[1:]] - total[ends[:-1]])
