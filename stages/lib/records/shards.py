"""Folders of parquet shards: equal rows give equal bytes."""

from collections.abc import Iterable, Iterator
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.console.errors import UserError

T = TypeVar("T")
ROWS_PER_SHARD = 20_000
ROWS_PER_GROUP = 1_000  # per row group of a shard: in memory at a time when rows are read or written one by one
READ_BUFFER = 1 << 16  # bytes; without a buffer pyarrow reads a row group whole, however large its writer made it


def write_table(folder: Path, table: pa.Table, rows_per_shard: int = ROWS_PER_SHARD) -> None:
    """Write a table as shard-00000.parquet, shard-00001.parquet …; equal tables give equal bytes."""
    for number, start in enumerate(range(0, max(table.num_rows, 1), rows_per_shard)):
        write_shard(folder, number, table.slice(start, rows_per_shard))


def write_shard(folder: Path, number: int, table: pa.Table) -> None:
    """Write one shard of a folder."""
    pq.write_table(table, shard_path(folder, number), compression="zstd", row_group_size=ROWS_PER_GROUP)


def write_rows(folder: Path, number: int, rows: Iterable[dict[str, Any]], schema: pa.Schema) -> None:
    """Write one shard of a folder from a stream of rows; equal rows give equal bytes."""
    with pq.ParquetWriter(shard_path(folder, number), schema, compression="zstd") as writer:
        for chunk in chunks(rows, ROWS_PER_GROUP):
            writer.write_table(pa.Table.from_pylist(chunk, schema=schema))


def write_tables(folder: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
    """Write tables one after the other as shards: with tables of 5,000 rows, the bytes of `write_table` of all."""
    remaining = iter(tables)
    for number in count():
        if (first := next(remaining, None)) is None:
            return
        with pq.ParquetWriter(shard_path(folder, number), schema, compression="zstd") as writer:
            num_rows = 0
            for table in chain([first], remaining):
                writer.write_table(table, row_group_size=ROWS_PER_GROUP)
                num_rows += table.num_rows
                if num_rows >= ROWS_PER_SHARD:
                    break


def shard_path(folder: Path, number: int) -> Path:
    """Return the path of a folder's shard with this number."""
    return folder / f"shard-{number:05d}.parquet"


def chunks(items: Iterable[T], length: int = ROWS_PER_SHARD) -> Iterator[list[T]]:
    """Yield the items in lists of `length`; the last may be shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, length)):
        yield chunk


def parquet_files(path: Path) -> list[Path]:
    """List the parquet files of a folder by name, or the one file given; raise UserError if there is none."""
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise UserError(f"{path}: no parquet file there")
    return files


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a parquet file, or all parquet files of a folder by name, into one table."""
    files = parquet_files(path)
    try:
        return pa.concat_tables([pq.read_table(file, columns=columns) for file in files])
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise UserError(f"{path} is not readable as parquet: {str(error).splitlines()[0]}") from None


def read_rows(path: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of a folder's parquet files by name, with a thousand rows in memory at a time."""
    for file in sorted(path.glob("*.parquet")):
        yield from read_shard(file, columns)


def read_shard(file: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of one parquet file, with a thousand rows in memory at a time."""
    with pq.ParquetFile(file, buffer_size=READ_BUFFER) as shard:
        for batch in shard.iter_batches(ROWS_PER_GROUP, columns=columns):
            yield from batch.to_pylist()
