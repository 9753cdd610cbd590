"""The rows of data/judgments/<model>."""

import pyarrow as pa

JUDGMENT = pa.schema([  # a judge's score of one turn of one model
    ("question_id", pa.int64()),  # as in answers.questions
    ("category", pa.string()),  # as in answers.questions
    ("turn", pa.int64()),  # from 1
    ("score", pa.float64()),  # 1 to 10; null if none could be read
    ("text", pa.string()),  # the judge reply
    ("chars", pa.int64()),  # length of the judged reply
    ("status", pa.string()),  # ok; failed: no score; unanswered: no reply to judge
    ("reason", pa.string()),  # why there is no score
])
