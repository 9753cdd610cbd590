"""The rows of one model of a source, in a file on disk."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.core.types import Row
from stages.lib.generation.imports import PACKED, ImportedReplies, add_to, count_repeats
from stages.lib.readers.chats import Chat
from stages.lib.readers.drafts import count_chars
from stages.lib.readers.keys import KeyedRows

Bools = npt.NDArray[np.bool_]
MODEL_ROW = pa.schema([*PACKED, ("judged", pa.bool_()), ("score", pa.float64()), ("text", pa.string())])
MAX_PENDING = 100  # rows of a model in memory before they are written
MAX_PENDING_CHARS = 1 << 22  # of their texts


@dataclass
class ModelRows:
    """Collects the rows of one model in a file of MODEL_ROW, and counts those that are left out."""

    file: Path
    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    keyed: KeyedRows = field(default_factory=KeyedRows)  # which row is used for which prompt
    pending: list[Row] = field(default_factory=list)
    pending_chars: int = 0
    used: Bools = field(default_factory=lambda: np.zeros(0, bool))  # which rows of the file are used, once it is closed
    writer: pq.ParquetWriter | None = None

    @property
    def num_replies(self) -> int:
        """The number of rows that were not left out."""
        return self.rows - self.left_out.total()

    def add(self, key: str, chat: Chat, judgment: Row) -> None:
        """Add a row. Of several with one key a row with a reply and a score is preferred."""
        row = {"conversation_hash": key, "turns": chat.turns, **judgment}
        rest = "\x1f".join(str(value) for value in judgment.values())
        add_to(self.keyed, key, chat, rest, missing=judgment["score"] is None)
        self.pending.append(row)
        self.pending_chars += count_chars(row)
        if len(self.pending) == MAX_PENDING or self.pending_chars > MAX_PENDING_CHARS:
            self.write()

    def write(self) -> None:
        """Write the pending rows to the file."""
        self.writer = self.writer or pq.ParquetWriter(self.file, MODEL_ROW, compression="zstd")
        self.writer.write_table(pa.Table.from_pylist(self.pending, schema=MODEL_ROW))
        self.pending.clear()
        self.pending_chars = 0

    def close(self) -> None:
        """Write the pending rows, close the file, and choose the rows that are used; count the others."""
        self.write()
        if self.writer:
            self.writer.close()
        choice = self.keyed.choose()
        self.left_out.update(count_repeats(choice))
        self.used = np.zeros(len(self.keyed), bool)
        self.used[choice.rows] = True

    def replies(self) -> ImportedReplies:
        """Read the replies, for an import; memory holds the texts of this one model."""
        replies = ImportedReplies()
        replies.rows, replies.left_out = self.rows, Counter(self.left_out)
        for batch in self._batches(PACKED.names):
            replies.add(batch.to_pylist())
        return replies

    def summary(self) -> dict[str, Any]:
        """Return how many rows were read, and how many were left out by reason."""
        return {"rows": self.rows, "imported": self.num_replies, "left_out": dict(self.left_out)}

    def judgments(self) -> Iterator[Row]:
        """Yield the rows that have a column for a score, with `chars`, the length of the replies."""
        for batch in self._batches(MODEL_ROW.names):
            for row in batch.to_pylist():
                if row["judged"]:
                    yield {**row, "chars": sum(len(turn["reply"]) for turn in row["turns"])}

    def _batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Yield the rows that are used."""
        first = 0
        with pq.ParquetFile(self.file) as file:
            for number in range(file.num_row_groups):  # each holds no more than MAX_PENDING rows
                for batch in file.read_row_group(number, columns=columns).to_batches():
                    yield batch.filter(pa.array(self.used[first : first + batch.num_rows]))
                    first += batch.num_rows
