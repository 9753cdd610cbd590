"""Folders of parquet shards: equal rows give equal bytes."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.console.errors import UserError

T = TypeVar("T")
ROWS_PER_SHARD = 20_000
ROWS_PER_GROUP = 1_000  # of a shard: what is in memory at a time where rows are read or written one after the other
READ_BUFFER = 1 << 16  # bytes; without a buffer a row group is read whole, however many rows its writer put in


def write_table(folder: Path, table: pa.Table, rows_per_shard: int = ROWS_PER_SHARD) -> None:
    """Write a table as shard-00000.parquet and so on: equal tables give equal bytes."""
    for number, start in enumerate(range(0, max(table.num_rows, 1), rows_per_shard)):
        write_shard(folder, number, table.slice(start, rows_per_shard))


def write_shard(folder: Path, number: int, table: pa.Table) -> None:
    """Write one shard of a folder."""
    pq.write_table(table, shard_path(folder, number), compression="zstd", row_group_size=ROWS_PER_GROUP)


def write_rows(folder: Path, number: int, rows: Iterable[dict[str, Any]], schema: pa.Schema) -> None:
    """Write one shard of a folder from rows as they come: equal rows give equal bytes."""
    with pq.ParquetWriter(shard_path(folder, number), schema, compression="zstd") as writer:
        for chunk in chunks(rows, ROWS_PER_GROUP):
            writer.write_table(pa.Table.from_pylist(chunk, schema=schema))


def shard_path(folder: Path, number: int) -> Path:
    """Where a folder keeps its shard of that number."""
    return folder / f"shard-{number:05d}.parquet"


def chunks(items: Iterable[T], length: int = ROWS_PER_SHARD) -> Iterator[list[T]]:
    """Cut items into lists of so many, the last one shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, length)):
        yield chunk


def parquet_files(path: Path) -> list[Path]:
    """A parquet file, or those of a folder in the order of their names; raise UserError if there is none."""
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise UserError(f"{path}: no parquet file there")
    return files


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a parquet file, or every parquet file of a folder in the order of their names."""
    files = parquet_files(path)
    try:
        return pa.concat_tables([pq.read_table(file, columns=columns) for file in files])
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise UserError(f"{path} is not readable as parquet: {str(error).splitlines()[0]}") from None


def read_rows(path: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """Read the rows of a folder's parquet files one after the other, a thousand at a time in memory."""
    for file in sorted(path.glob("*.parquet")):
        yield from read_shard(file, columns)


def read_shard(file: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """Read the rows of one parquet file, a thousand at a time in memory."""
    with pq.ParquetFile(file, buffer_size=READ_BUFFER) as shard:
        for batch in shard.iter_batches(ROWS_PER_GROUP, columns=columns):
            yield from batch.to_pylist()
