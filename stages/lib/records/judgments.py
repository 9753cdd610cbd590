"""The rows of data/judgments/<model>."""

import pyarrow as pa

JUDGMENT = pa.schema([  # a judge's score of one turn of one model
    ("question_id", pa.int64()),
    ("category", pa.string()),
    ("turn", pa.int64()),  # from 1
    ("score", pa.float64()),  # 1 to 10; null if the judge gave none
    ("text", pa.string()),  # the judge's whole reply
    ("chars", pa.int64()),  # length of the judged reply
    ("status", pa.string()),  # ok; failed: the judge gave no score; unanswered: no reply to judge
    ("reason", pa.string()),
])
