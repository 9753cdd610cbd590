"""Samples: the prompt, the right answer, the response and the score of every row of a task."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.core.types import Json
from stages.lib.records.chats import CHAT

SAMPLE = pa.schema([
    ("task", pa.string()),  # the task, or the task of a group
    ("id", pa.int64()),  # number of the row in the task
    ("turn", pa.int8()),  # from 1; null for tasks of one turn
    ("prompt", pa.string()),  # what the model was given
    ("response", pa.string()),  # the reply; for multiple choice the choice that the main metric counts
    ("score", pa.float64()),  # by the main metric
    ("num_scores", pa.int64()),  # of which it is the mean: the instructions of a prompt, else 1; 0 without a score
    ("judge_text", pa.string()),  # the judge reply; null without a judge
    ("messages", CHAT.field("messages").type),  # the chat that `prompt` renders; null without a chat template
    ("target", pa.string()),  # the right answer; null where the task has none
    ("answer", pa.string()),  # what was found in the reply to be scored; empty: nothing; null: all of it was scored
])


def write_samples(path: Path, rows: list[Json]) -> None:
    """Write a task's samples, whole or not at all; rows without `num_scores` have one score, or none."""
    draft = path.with_name(path.name + ".tmp")
    counted = [{"num_scores": int(row["score"] is not None)} | row for row in rows]
    pq.write_table(pa.Table.from_pylist(counted, schema=SAMPLE), draft, compression="zstd")
    draft.rename(path)
