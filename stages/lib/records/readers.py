"""Files of rows that others made: parquet and JSON lines, whatever their columns."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.console.errors import UserError
from stages.lib.core.files import SUMMARY
from stages.lib.records.shards import READ_BUFFER, ROWS_PER_GROUP

Row = dict[str, Any]
Naming = Callable[[list[str]], dict[str, str]]  # of the columns that a file has: our names, and which column each is

SUFFIXES = (".parquet", ".jsonl", ".json")


def files_in(source: Path, pattern: str = "", suffixes: Iterable[str] = SUFFIXES) -> list[Path]:
    """The data files of a folder and the folders in it, in the order of their names; or the one file that it is.

    `pattern` takes those whose path in the folder fits it. Raises UserError when there are none.
    """
    if not source.exists():
        raise UserError(f"{source} is not there")
    files = sorted(source.rglob("*")) if source.is_dir() else [source]
    named = [file for file in files if file == source or fnmatch(file.relative_to(source).as_posix(), pattern or "*")]
    found = [file for file in named if file.suffix in suffixes and file.name != SUMMARY]
    if not found:
        fits = f" and matches {pattern!r}" if pattern else ""
        raise UserError(f"{source}: no file there ends in {' or '.join(suffixes)}{fits}")
    return found


@contextmanager
def readable(file: Path) -> Iterator[None]:
    """Turn what pyarrow says of a file that is no parquet into one line."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{file} is not readable as parquet: {str(error).splitlines()[0]}") from None


def json_lines(file: Path) -> Iterator[Row]:
    """The objects of a file of JSON lines; raise UserError naming the first line that is none."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except ValueError:
                raise UserError(f"{file}: line {number} is not JSON") from None
            if not isinstance(row, dict):
                raise UserError(f"{file}: line {number} is no object with the columns as keys")
            yield row


def read_columns(file: Path, naming: Naming, inside: Collection[str] = ()) -> Iterator[Row]:
    """The rows of a file under our names, a thousand at a time in memory; no other column is read.

    `naming` is given the columns that there are, once, and raises UserError when they will not do. Of JSON lines those
    are the keys of the first line; what a later line lacks is None. `inside`: of columns of records in a parquet file
    only the fields of these names are read.
    """
    yield from _parquet(file, naming, inside) if file.suffix == ".parquet" else _json(file, naming)


def leaves(schema: pq.ParquetSchema, names: Collection[str], inside: Collection[str]) -> list[str]:
    """The paths of the columns to read: of columns of records only the fields that `inside` names."""
    paths = [schema.column(number).path for number in range(len(schema))]
    ends = {path: (path.split(".")[0], path.split(".")[-1]) for path in paths}
    return [path for path, (top, last) in ends.items() if path in names or (top in names and last in inside)]


def _parquet(file: Path, naming: Naming, inside: Collection[str]) -> Iterator[Row]:
    with readable(file), pq.ParquetFile(file, pre_buffer=False, buffer_size=READ_BUFFER) as source:
        empty = source.schema_arrow.empty_table()
        names = naming(unwrapped(empty).column_names)
        chosen = [*dict.fromkeys(names.values())]
        chosen = leaves(source.schema, chosen, inside) if inside else chosen
        columns = chosen if unwrapped(empty) is empty else None
        for batch in source.iter_batches(ROWS_PER_GROUP, columns=columns):
            table = pa.Table.from_batches([batch])
            table = table if columns else unwrapped(table)
            yield from table.select([*names.values()]).rename_columns([*names]).to_pylist()


def _json(file: Path, naming: Naming) -> Iterator[Row]:
    names: dict[str, str] = {}
    for line in json_lines(file):
        values = [*line.values()]
        row = values[0] if len(values) == 1 and isinstance(values[0], dict) else line
        names = names or naming([*row])
        yield {ours: row.get(theirs) for ours, theirs in names.items()}


def unwrapped(table: pa.Table) -> pa.Table:
    """A table whose only column holds records, as the table of these records; any other as it is.

    The hub has MMLU's auxiliary_train in this form: one column `train`.
    """
    only = table.schema.field(0).type if table.num_columns == 1 else None
    if only is None or not pa.types.is_struct(only):
        return table
    return table.flatten().rename_columns([field.name for field in only.fields])
