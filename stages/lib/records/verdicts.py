"""The rows of data/verdicts/<dgm>."""

import pyarrow as pa

VERDICT = pa.schema([
    ("conversation_hash", pa.string()),
    ("identity", pa.string()),
    ("keep", pa.bool_()),
    ("reasons", pa.list_(pa.string())),
    ("language", pa.string()),  # of the prompt, as its source names it
    ("toxic", pa.bool_()),
    ("turns", pa.int64()),
])
