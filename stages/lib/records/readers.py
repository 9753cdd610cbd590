"""Read the rows of files that others made: parquet and JSON lines, whatever their columns."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.console.errors import UserError
from stages.lib.core.types import Row
from stages.lib.records.shards import READ_BUFFER, ROWS_PER_GROUP

# The columns of a file -> our name of each column to read, and the file's name of it.
ColumnMapper = Callable[[list[str]], dict[str, str]]
SUFFIXES = (".parquet", ".jsonl", ".json")


def list_data_files(source: Path, pattern: str = "", suffixes: Iterable[str] = SUFFIXES) -> list[Path]:
    """List the data files of a folder and its subfolders by name; of a file, the file itself.

    `pattern` selects files by their path inside the folder. Raises UserError if there is none.
    """
    if not source.exists():
        raise UserError(f"{source} is not there")
    files = sorted(source.rglob("*")) if source.is_dir() else [source]
    named = [file for file in files if file == source or fnmatch(file.relative_to(source).as_posix(), pattern or "*")]
    data_files = [file for file in named if file.suffix in suffixes and not file.name.startswith(".")]
    if not data_files:
        matches = f" and matches {pattern!r}" if pattern else ""
        raise UserError(f"{source}: no file there ends in {' or '.join(suffixes)}{matches}")
    return data_files


@contextmanager
def parquet_errors(file: Path) -> Iterator[None]:
    """Turn pyarrow's errors about a file that is not parquet into a UserError of one line."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{file} is not readable as parquet: {str(error).splitlines()[0]}") from None


def read_json_lines(file: Path) -> Iterator[Row]:
    """Yield the objects of a JSON-lines file; raise UserError with the number of the first line that is not one."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except ValueError:
                raise UserError(f"{file}: line {number} is not JSON") from None
            if not isinstance(row, dict):
                raise UserError(f"{file}: line {number} is not an object with the columns as keys")
            yield row


def read_columns(file: Path, mapper: ColumnMapper, fields: Collection[str] = ()) -> Iterator[Row]:
    """Yield the rows of a file under our column names, reading no other column, a thousand rows at a time.

    `mapper` is called once, with the file's columns (of JSON lines, the keys of the first line; a key that a later line
    lacks is None), and raises UserError if they do not fit. `fields`: of parquet columns that hold records, read only
    these fields.
    """
    yield from _read_parquet(file, mapper, fields) if file.suffix == ".parquet" else _read_json(file, mapper)


def leaf_columns(schema: pq.ParquetSchema, names: Collection[str], fields: Collection[str]) -> list[str]:
    """List the paths of the leaf columns to read: the columns `names`, and of those with records only `fields`."""
    paths = [schema.column(number).path for number in range(len(schema))]
    ends = {path: (path.split(".")[0], path.split(".")[-1]) for path in paths}
    return [path for path, (top, last) in ends.items() if path in names or (top in names and last in fields)]


def _read_parquet(file: Path, mapper: ColumnMapper, fields: Collection[str]) -> Iterator[Row]:
    with parquet_errors(file), pq.ParquetFile(file, pre_buffer=False, buffer_size=READ_BUFFER) as source:
        empty = source.schema_arrow.empty_table()
        names = mapper(unnest(empty).column_names)
        wanted = [*dict.fromkeys(names.values())]
        wanted = leaf_columns(source.schema, wanted, fields) if fields else wanted
        columns = wanted if unnest(empty) is empty else None
        for batch in source.iter_batches(ROWS_PER_GROUP, columns=columns):
            table = pa.Table.from_batches([batch])
            table = table if columns else unnest(table)
            yield from table.select([*names.values()]).rename_columns([*names]).to_pylist()


def _read_json(file: Path, mapper: ColumnMapper) -> Iterator[Row]:
    names: dict[str, str] = {}
    for line in read_json_lines(file):
        values = [*line.values()]
        row = values[0] if len(values) == 1 and isinstance(values[0], dict) else line
        names = names or mapper([*row])
        yield {ours: row.get(theirs) for ours, theirs in names.items()}


def unnest(table: pa.Table) -> pa.Table:
    """Replace a table whose only column holds records by the table of these records; return any other unchanged.

    The hub has MMLU's auxiliary_train in this form: one column `train`.
    """
    only = table.schema.field(0).type if table.num_columns == 1 else None
    if only is None or not pa.types.is_struct(only):
        return table
    return table.flatten().rename_columns([field.name for field in only.fields])
