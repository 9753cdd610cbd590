"""The rows of data/prompts."""

import pyarrow as pa

PROMPT = pa.schema([
    ("conversation_hash", pa.string()),
    ("source", pa.string()),
    ("language", pa.string()),
    ("toxic", pa.bool_()),
    ("turns", pa.list_(pa.struct([("user", pa.string()), ("reference", pa.string())]))),
])
