"""The rows of data/prompts."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

PROMPT = pa.schema([
    ("conversation_hash", pa.string()),  # names the conversation, as its source does
    ("source", pa.string()),  # where it comes from
    ("language", pa.string()),  # as the source names it
    ("toxic", pa.bool_()),  # as the source marks it
    ("system", pa.string()),  # the system message of the chat; empty if it has none
    ("turns", pa.list_(pa.struct([("user", pa.string()), ("reference", pa.string())]))),  # users' messages, replies
])


def system_of(prompt: Mapping[str, Any]) -> str:
    """Return the system message of a row of PROMPT, or of a response to it; empty if it has none."""
    return prompt.get("system") or ""
