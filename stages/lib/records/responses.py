"""The rows of data/responses/<dgm>."""

from typing import TypedDict

import pyarrow as pa

TURN = pa.struct([
    ("user", pa.string()),
    ("assistant", pa.string()),
    ("raw", pa.string()),  # the reply with its thinking, if that was removed; else empty
    ("finish_reason", pa.string()),  # stop, length, one of UNANSWERED
    ("prompt_tokens", pa.int64()),
    ("completion_tokens", pa.int64()),
    ("trimmed_turns", pa.int64()),  # number of oldest turns that the prompt left out
    ("prompt_sha", pa.string()),  # of the chat that the engine was given, see chat_sha
])
UNANSWERED = ("context_overflow", "failed")  # finish reasons of turns without a reply; also the conversation's status


RESPONSE = pa.schema([
    ("identity", pa.string()),
    ("conversation_hash", pa.string()),
    ("dgm", pa.string()),
    ("turns", pa.list_(TURN)),
    ("status", pa.string()),  # ok, or why the conversation ended early
    ("reason", pa.string()),  # of the status `failed`, in the engine's words
    ("history", pa.string()),
    ("seed", pa.int64()),
    ("engine", pa.string()),
])


class Turn(TypedDict):
    """A user message and the reply to it, as in RESPONSE."""

    user: str
    assistant: str
    raw: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    trimmed_turns: int
    prompt_sha: str
