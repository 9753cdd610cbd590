"""The rows of one model of a source, in a file on disk."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.core.types import Row
from stages.lib.generation.imports import PACKED, ImportedReplies
from stages.lib.generation.reply_formats import ROWS_PER_BATCH
from stages.lib.records.messages import ParsedTurn

MODEL_ROW = pa.schema([*PACKED, ("judged", pa.bool_()), ("score", pa.float64()), ("text", pa.string())])
MAX_PENDING = 100  # rows of a model in memory before they are written


@dataclass
class ModelRows:
    """Collects the rows of one model in a file of MODEL_ROW, and counts those that are left out."""

    file: Path
    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    keys: set[str] = field(default_factory=set)  # of the prompts that it answered
    pending: list[Row] = field(default_factory=list)
    writer: pq.ParquetWriter | None = None

    @property
    def num_replies(self) -> int:
        """The number of rows that were not left out."""
        return self.rows - self.left_out.total()

    def add(self, key: str, turns: list[ParsedTurn], judgment: Row) -> None:
        """Add a row."""
        self.keys.add(key)
        self.pending.append({"conversation_hash": key, "turns": turns, **judgment})
        if len(self.pending) == MAX_PENDING:
            self.write()

    def write(self) -> None:
        """Write the pending rows to the file."""
        self.writer = self.writer or pq.ParquetWriter(self.file, MODEL_ROW, compression="zstd")
        self.writer.write_table(pa.Table.from_pylist(self.pending, schema=MODEL_ROW))
        self.pending.clear()

    def close(self) -> None:
        """Write the pending rows and close the file."""
        self.write()
        if self.writer:
            self.writer.close()

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
        with pq.ParquetFile(self.file) as file:
            yield from file.iter_batches(ROWS_PER_BATCH, columns=columns)
