"""The rows of data/answers/<model>."""

import pyarrow as pa

from stages.lib.records.responses import TURN

ANSWER = pa.schema([
    ("question_id", pa.int64()),
    ("category", pa.string()),
    ("turns", pa.list_(TURN)),
    ("status", pa.string()),
])
