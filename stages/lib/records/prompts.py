"""The rows of data/prompts."""

import pyarrow as pa

PROMPT = pa.schema([
    ("conversation_hash", pa.string()),  # names the conversation, as its source does
    ("source", pa.string()),  # where it comes from
    ("language", pa.string()),  # as the source names it
    ("toxic", pa.bool_()),  # as the source marks it
    ("turns", pa.list_(pa.struct([("user", pa.string()), ("reference", pa.string())]))),  # messages, source replies
])
