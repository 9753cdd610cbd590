"""The rows of data/verdicts/<dgm>."""

import pyarrow as pa

VERDICT = pa.schema([
    ("conversation_hash", pa.string()),  # the prompt
    ("identity", pa.string()),  # of the response
    ("keep", pa.bool_()),  # whether a mix may use it
    ("reasons", pa.list_(pa.string())),  # every reason found, also those of validate.report_only
    ("language", pa.string()),  # of the prompt, as its source names it
    ("toxic", pa.bool_()),  # of the prompt, as its source marks it
    ("turns", pa.int64()),  # number of turns
])
