"""All rows of a store, and which of them repeat others."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.generation.store import SEGMENT, Store, read_segment


def read_all(store: Store) -> tuple[pa.Table, list[Path], list[Path]]:
    """Read all rows of a store; return them, its segments, and which of these are corrupt."""
    tables = {segment: read_segment(segment) for segment in store.segments()}
    corrupt = [segment for segment, table in tables.items() if table is None]
    intact = [table for table in tables.values() if table is not None]
    return pa.concat_tables([SEGMENT.empty_table(), *intact]), list(tables), corrupt


def row_keys(table: pa.Table) -> pa.ChunkedArray:
    """Return a text for each row that is equal for repeated rows: the same identity, status and number of tokens."""
    tokens = table["completion_tokens"].cast(pa.string())
    return pc.binary_join_element_wise(table["identity"], table["status"], tokens, "/")


def first_rows(table: pa.Table) -> pa.Table:
    """Drop the rows of a table that repeat an earlier one."""
    _, rows = np.unique(row_keys(table).to_numpy(), return_index=True)
    return table.take(np.sort(rows))
