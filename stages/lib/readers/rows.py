"""The rows of one file, by our names of its columns."""

from collections.abc import Callable, Iterator
from pathlib import Path

from stages.lib.core.types import Row
from stages.lib.readers.files import PARQUET, suffix_of
from stages.lib.readers.json_rows import read_json_rows
from stages.lib.readers.parquet_rows import Columns, read_parquet_rows
from stages.lib.readers.reasons import Reason, UnreadableRows

# The names of a file's columns -> those to read; raises UserError if they do not fit.
Chooser = Callable[[list[str]], Columns]


def all_rows(row: Row) -> bool:
    """Want every row."""
    return True


def read_rows(
    file: Path, choose: Chooser, unreadable: UnreadableRows, is_wanted: Callable[[Row], bool] = all_rows
) -> Iterator[Row]:
    """Yield the rows of a file by our names, about a thousand in memory at a time; see `read_numbered`."""
    return (row for _, row in read_numbered(file, choose, unreadable, is_wanted))


def read_numbered(
    file: Path, choose: Chooser, unreadable: UnreadableRows, is_wanted: Callable[[Row], bool] = all_rows
) -> Iterator[tuple[int, Row]]:
    """Yield the rows of a file with their numbers from 1; those that cannot be read are counted in `unreadable`.

    `choose` is called once, with all columns of the file: of JSON, with the keys of all rows; a key that a row lacks is
    None. `is_wanted` gets a row's scalars alone and tells whether to read and yield it.
    """
    is_parquet = suffix_of(file) in PARQUET
    rows = read_parquet_rows(file, choose, is_wanted) if is_parquet else _json_rows(file, choose, unreadable, is_wanted)
    for number, row in rows:
        if isinstance(row, Reason):
            unreadable.add(row, file, number)
        else:
            yield number, row


def _json_rows(
    file: Path, choose: Chooser, unreadable: UnreadableRows, is_wanted: Callable[[Row], bool]
) -> Iterator[tuple[int, Row | Reason]]:
    names, has_rows = dict[str, None](), False
    for _, line in read_json_rows(file, UnreadableRows()):
        names |= dict.fromkeys(unnest_row(line))
        has_rows = True
    columns = choose([*names]) if has_rows else Columns({})
    for number, line in read_json_rows(file, unreadable):
        row = unnest_row(line)
        scalars = {ours: row.get(theirs) for ours, theirs in columns.names.items() if ours in columns.scalars}
        if any(isinstance(value, dict | list) for value in scalars.values()):
            yield number, Reason("nested_value")
        elif is_wanted(scalars):
            yield number, {ours: row.get(theirs) for ours, theirs in columns.names.items()}


def unnest_row(row: Row) -> Row:
    """Return the record that a row's only key holds; any other row as it is."""
    only = next(iter(row.values())) if len(row) == 1 else None
    return only if isinstance(only, dict) else row
