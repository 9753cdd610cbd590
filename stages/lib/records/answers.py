"""The rows of data/answers/<model>."""

import pyarrow as pa

from stages.lib.records.responses import TURN

ANSWER = pa.schema([
    ("question_id", pa.int64()),  # as in answers.questions
    ("category", pa.string()),  # as in answers.questions
    ("turns", pa.list_(TURN)),  # as in data/responses
    ("status", pa.string()),  # as in data/responses
])
