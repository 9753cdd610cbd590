"""The rows of data/judgments/<model>."""

import pyarrow as pa

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
