"""The rows of data/responses/<dgm>."""

from collections.abc import Iterable
from typing import Literal, TypedDict

import pyarrow as pa

TURN = pa.struct([
    ("user", pa.string()),  # the user's message, byte for byte
    ("assistant", pa.string()),  # the reply
    ("raw", pa.string()),  # the reply with its thinking, if that was stripped; else empty
    ("finish_reason", pa.string()),  # stop, length, imported; without a reply context_overflow, failed, no_system_role
    ("prompt_tokens", pa.int64()),  # tokens of the chat that was asked
    ("completion_tokens", pa.int64()),  # tokens of the reply
    ("trimmed_turns", pa.int64()),  # how many of the oldest turns were left out of the chat
    ("prompt_sha", pa.string()),  # hash of the chat that was asked
])
IMPORTED = "imported"  # finish reason of an imported reply whose own is unknown
NO_SYSTEM_ROLE = "no_system_role"  # of a chat with a system message: the model's chat template has no place for it
# Finish reasons of turns without a reply; also the conversation's status.
UNANSWERED = ("context_overflow", "failed", NO_SYSTEM_ROLE)
TokenKind = Literal["prompt_tokens", "completion_tokens"]


RESPONSE = pa.schema([
    ("identity", pa.string()),  # hash of all that decides the conversation
    ("conversation_hash", pa.string()),  # the prompt
    ("dgm", pa.string()),  # id of the DGM
    ("turns", pa.list_(TURN)),  # user messages with their replies
    ("status", pa.string()),  # ok, not_imported, or the finish reason of a turn without a reply
    ("reason", pa.string()),  # the engine's message, if the status is failed
    ("history", pa.string()),  # own or reference: which replies later turns saw
    ("seed", pa.int64()),  # generate.seed
    ("engine", pa.string()),  # the engine and its version
])
SYSTEM = pa.field("system", pa.string())  # the prompt's: a last column, where some prompt has a system message


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


def count_tokens(turns: Iterable[Turn], kind: TokenKind) -> int:
    """Sum the tokens of the turns that an engine worked on: a prompt without a reply took none of its time.

    That is a chat that never fitted the window, whose `prompt_tokens` only say how long it was, or one that failed.
    """
    return sum(turn[kind] for turn in turns if turn["finish_reason"] not in UNANSWERED)
