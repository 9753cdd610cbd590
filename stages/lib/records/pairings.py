"""The rows of data/pairwise."""

import pyarrow as pa

TIE = "tie"  # the `winner` when the judge prefers neither reply

PAIRING = pa.schema([  # a judge's choice between two models' replies to one turn; each pair in both orders
    ("one", pa.string()),
    ("other", pa.string()),
    ("question_id", pa.int64()),
    ("category", pa.string()),
    ("turn", pa.int64()),
    ("first", pa.string()),  # the model whose reply was shown first: `one` or `other`
    ("winner", pa.string()),  # a model, or TIE; null if the judge chose none
    ("text", pa.string()),
    ("status", pa.string()),  # as in JUDGMENT
    ("reason", pa.string()),
])
