"""Rows in an order that is known only when all are read: written to a draft on disk first, then sorted."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from stages.lib.core.types import Ints, Row
from stages.lib.records.external_sort import RANK, RowSelection, read_by_rank
from stages.lib.records.shards import ROWS_PER_GROUP, write_tables

MAX_CHARS = 1 << 26  # of texts in memory at a time


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
    """Yield the rows of a draft with these indices in this order, 5,000 at a time."""
    if len(rows):
        selection = RowSelection(draft, schema.names, pa.Table.take, rows, np.arange(len(rows)))
        yield from (table.drop([RANK]) for table in read_by_rank([selection]))
