"""The rows of data/pairwise."""

import pyarrow as pa

TIE = "tie"  # the `winner` when the judge prefers neither reply

PAIRING = pa.schema([  # a judge's choice between two models' replies to one turn; each pair in both orders
    ("one", pa.string()),  # a model
    ("other", pa.string()),  # the model it is compared with
    ("question_id", pa.int64()),  # as in answers.questions
    ("category", pa.string()),  # as in answers.questions
    ("turn", pa.int64()),  # from 1
    ("first", pa.string()),  # the model whose reply was shown first: `one` or `other`
    ("winner", pa.string()),  # a model, or `tie`; null if no choice could be read
    ("text", pa.string()),  # the judge reply
    ("status", pa.string()),  # as in data/judgments
    ("reason", pa.string()),  # why there is no choice
])
