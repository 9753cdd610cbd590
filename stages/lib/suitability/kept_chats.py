"""The kept conversations of a DGM as chats, as a mix takes them."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from stages.lib.core.types import Row
from stages.lib.mixing.selection import turns_to_chats
from stages.lib.records.chats import Message
from stages.lib.records.responses import RESPONSE, SYSTEM
from stages.lib.records.shards import read_rows

Chats = dict[str, list[Message]]  # by conversation_hash
COLUMNS = pa.schema([RESPONSE.field("conversation_hash"), RESPONSE.field("turns"), SYSTEM])


def read_kept_chats(responses: Path, verdicts: Path, number: int) -> Chats:
    """Read the first conversations that validation keeps: there is one verdict for each response, in the same order."""
    keep = (row["keep"] for row in read_rows(verdicts, ["keep"]))
    kept = (row for row, is_kept in zip(read_rows(responses), keep, strict=False) if is_kept)
    return to_chats(islice(kept, number))


def to_chats(rows: Iterable[Row]) -> Chats:
    """Convert rows of RESPONSE to chats."""
    table = pa.Table.from_pylist([{"system": "", **row} for row in rows], schema=COLUMNS)
    chats = turns_to_chats(table, np.arange(table.num_rows), "").to_pylist() if table.num_rows else []
    return {chat["conversation_hash"]: chat["messages"] for chat in chats}
