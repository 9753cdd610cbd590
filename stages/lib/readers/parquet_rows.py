"""Rows of parquet files, whatever the types of their columns."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.console.errors import UserError
from stages.lib.core.types import Row
from stages.lib.readers.reasons import Reason
from stages.lib.records.shards import READ_BUFFER, ROWS_PER_GROUP

BATCH_BYTES = 1 << 26  # about as many bytes of rows are in memory at a time
_NOT_A_VALUE = (ValueError, OverflowError, TypeError, LookupError, pa.ArrowException)  # LookupError: of time zones


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a file are read."""

    names: dict[str, str]  # our name -> the file's
    fields: Collection[str] = ()  # of columns that hold records, the fields to read; empty: all
    scalars: Collection[str] = ()  # our names of those that hold one value per row


@contextmanager
def parquet_errors(file: Path) -> Iterator[None]:
    """Turn pyarrow's errors about a file that is not parquet into a UserError of one line."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{file} is not readable as parquet: {str(error).splitlines()[0]}") from None


def read_parquet_rows(
    file: Path, choose: Callable[[list[str]], Columns], is_wanted: Callable[[Row], bool]
) -> Iterator[tuple[int, Row | Reason]]:
    """Yield the rows of a file by our names, with their numbers from 1; a Reason for one that is unreadable.

    `choose` gets the names of the file's columns. `is_wanted` gets the scalars of a row; of a row that is not wanted
    nothing else is read into Python.
    """
    with parquet_errors(file), pq.ParquetFile(file, pre_buffer=False, buffer_size=READ_BUFFER) as source:
        records = records_of(source.schema_arrow)
        schema = source.schema_arrow if records is None else records
        columns = choose(schema.names)
        check_columns(file, schema, columns)
        leaves = leaf_columns(source.schema, {*columns.names.values()}, columns.fields)
        wanted = leaves if records is None else None
        first = 1
        for batch in source.iter_batches(rows_per_batch(source.metadata), columns=wanted):
            table = pa.Table.from_batches([batch])
            yield from batch_rows(table if records is None else unnest(table), columns, is_wanted, first)
            first += batch.num_rows


def rows_per_batch(metadata: pq.FileMetaData) -> int:
    """Return how many rows to read at a time: a thousand, or fewer that are long."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    row_bytes = max((group.total_byte_size / group.num_rows for group in groups if group.num_rows), default=1)
    return max(1, min(ROWS_PER_GROUP, int(BATCH_BYTES / max(row_bytes, 1))))


def check_columns(file: Path, schema: pa.Schema, columns: Columns) -> None:
    """Raise UserError for a column to read whose name is not the only one, or that nests values where one belongs."""
    counts = Counter(schema.names)
    for ours, theirs in columns.names.items():
        if counts[theirs] > 1:
            kinds = ", ".join(str(field.type) for field in schema if field.name == theirs)
            raise UserError(f"{file} has {counts[theirs]} columns {theirs!r} ({kinds}); rename all but one")
        kind = schema.field(theirs).type
        if ours in columns.scalars and pa.types.is_nested(kind):
            raise UserError(
                f"{file}: column {theirs!r} has the type {kind}; it needs one value per row, such as a text"
            )
        if name := duplicate_field(kind):
            raise UserError(f"{file}: column {theirs!r} has the type {kind}, which has the field {name!r} twice")


def duplicate_field(kind: pa.DataType) -> str:
    """Return a name that two fields of a record share, at any depth of a type; empty if there is none."""
    if not pa.types.is_nested(kind):
        return ""
    fields = [kind.field(number) for number in range(kind.num_fields)]
    names = Counter(field.name for field in fields)
    repeated = [name for name, count in names.items() if count > 1 and pa.types.is_struct(kind)]
    return next(filter(None, [*repeated, *(duplicate_field(field.type) for field in fields)]), "")


def leaf_columns(schema: pq.ParquetSchema, names: Collection[str], fields: Collection[str]) -> list[str]:
    """List the paths of the leaf columns to read: the columns `names`, and of those with records only `fields`."""
    paths = [schema.column(number).path for number in range(len(schema))]
    tops = {path: next((name for name in names if path == name or path.startswith(f"{name}.")), None) for path in paths}
    parts = {path: set(path.removeprefix(f"{top}.").split(".")) for path, top in tops.items() if top is not None}
    read = [path for path in parts if path in names or not fields or parts[path] & {*fields}]
    unread = {*tops.values()} - {tops[path] for path in read} - {None}  # records without any of the fields
    return [path for path in parts if path in read or tops[path] in unread]


def batch_rows(
    table: pa.Table, columns: Columns, is_wanted: Callable[[Row], bool], first: int
) -> Iterator[tuple[int, Row | Reason]]:
    """Yield the rows of a batch with their numbers."""
    scalars = [name for name in columns.names if name in columns.scalars]
    known = to_rows({name: to_values(table.column(columns.names[name])) for name in scalars}, table.num_rows)
    wanted = [number for number, row in enumerate(known) if isinstance(row, Reason) or is_wanted(row)]
    others = {
        name: to_values(table.column(columns.names[name]), wanted) for name in columns.names if name not in scalars
    }
    for number, rest in zip(wanted, to_rows(others, len(wanted)), strict=True):
        row = known[number]
        yield first + number, row if isinstance(row, Reason) else rest if isinstance(rest, Reason) else row | rest


def to_rows(values: dict[str, list[object]], num_rows: int) -> list[Row | Reason]:
    """Make rows of columns; a row with a Reason in any is that Reason."""
    rows: list[Row | Reason] = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    rows = rows or [{} for _ in range(num_rows)]
    for column in values.values():
        for number, value in enumerate(column):
            if isinstance(value, Reason):
                rows[number] = value
    return rows


def to_values(column: pa.ChunkedArray, indices: list[int] | None = None) -> list[object]:
    """Return the values of a column, or those at some indices, as Python's; a Reason for one that cannot be had.

    Times become text: no type of Python holds all that Arrow's hold.
    """
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.string())
    if indices is not None and len(indices) < len(column):
        return [to_value(column[index]) for index in indices]
    try:
        values: list[object] = column.to_pylist()
    except _NOT_A_VALUE:
        return [to_value(scalar) for scalar in column]
    return values


def to_value(scalar: pa.Scalar) -> object:
    """Return a scalar as Python's value, or a Reason."""
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return Reason("not_utf8")
    except _NOT_A_VALUE:
        return Reason("unreadable_value")


def records_of(schema: pa.Schema) -> pa.Schema | None:
    """Return the schema of the records of a table's only column; None of any other table."""
    kind = schema.field(0).type if len(schema) == 1 else None
    return pa.schema([*kind]) if kind is not None and pa.types.is_struct(kind) else None


def unnest(table: pa.Table) -> pa.Table:
    """Replace a table whose only column holds records by the table of these records; return any other unchanged.

    The hub has MMLU's auxiliary_train in this form: one column `train`.
    """
    schema = records_of(table.schema)
    return table if schema is None else table.flatten().rename_columns(schema.names)
