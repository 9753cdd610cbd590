"""Rows in an order that is known only when all are read: written to a draft on disk first, then sorted."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.core.types import Ints, Row
from stages.lib.records.external_sort import RANK, RowSelection, read_by_rank
from stages.lib.records.shards import ROWS_PER_GROUP, parquet_files, write_tables

MAX_CHARS = 1 << 26  # of texts in memory at a time, when rows are written
MAX_BYTES = 1 << 28  # of rows in memory at a time, when they are sorted
MAX_PARTITIONS = 500  # files that are open at a time
ROWS_PER_TABLE = (5000, 1000, 200, 40, 8)  # each divides the rows of a shard


@contextmanager
def draft_of(rows: Iterable[Row], schema: pa.Schema, folder: Path) -> Iterator[Path]:
    """Write rows to a folder inside `folder` that is there for the block."""
    with TemporaryDirectory(dir=folder) as draft:
        write_tables(Path(draft), (pa.Table.from_pylist(group, schema=schema) for group in groups_of(rows)), schema)
        yield Path(draft)


def groups_of(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield rows in groups of a thousand, or of fewer that are long."""
    group, num_chars = list[Row](), 0
    for row in rows:
        group.append(row)
        num_chars += count_chars(row)
        if len(group) == ROWS_PER_GROUP or num_chars > MAX_CHARS:
            yield group
            group, num_chars = [], 0
    if group:
        yield group


def count_chars(value: object) -> int:
    """Count the characters of all texts in a row."""
    if isinstance(value, str):
        return len(value)
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(map(count_chars, parts))


def read_in_order(draft: Path, schema: pa.Schema, rows: Ints) -> Iterator[pa.Table]:
    """Yield the rows of a draft with these indices in this order, 5,000 at a time, or fewer that are long."""
    if len(rows):
        selection = RowSelection(draft, schema.names, pa.Table.take, rows, np.arange(len(rows)))
        tables = read_by_rank([selection], rows_per_table(draft, len(rows)))
        yield from (table.drop([RANK]) for table in tables)


def rows_per_table(draft: Path, num_rows: int) -> int:
    """Return how many rows to hold at a time: as many as fit in MAX_BYTES, but not so few that there are many files."""
    metadata = [pq.read_metadata(file) for file in parquet_files(draft)]
    groups = [file.row_group(number) for file in metadata for number in range(file.num_row_groups)]
    row_bytes = sum(group.total_byte_size for group in groups) / max(1, sum(file.num_rows for file in metadata))
    allowed = [rows for rows in ROWS_PER_TABLE if num_rows <= rows * MAX_PARTITIONS] or [ROWS_PER_TABLE[0]]
    return max((rows for rows in allowed if rows * row_bytes <= MAX_BYTES), default=min(allowed))
