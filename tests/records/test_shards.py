"""Parquet shards: row groups and equal bytes."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.lib.core.files import new_folder, sha256_folder
from stages.lib.records.shards import read_shard, read_table, write_rows, write_table


def test_row_groups_have_a_thousand_rows_and_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    rows = [{"x": n} for n in range(2_500)]
    schema = pa.schema([("x", pa.int64())])
    write_table(tmp_path, pa.Table.from_pylist(rows, schema=schema))
    write_rows(tmp_path, 1, iter(rows), schema)
    write_rows(tmp_path, 2, iter(rows), schema)
    first, second, third = sorted(tmp_path.iterdir())
    for file in (first, second):
        assert [pq.ParquetFile(file).metadata.row_group(n).num_rows for n in range(3)] == [1_000, 1_000, 500]
        assert list(read_shard(file)) == rows
    assert second.read_bytes() == third.read_bytes()


def test_equal_tables_give_equal_bytes_and_a_failed_write_leaves_the_old_folder(tmp_path: Path) -> None:
    table = pa.table({"x": list(range(5))})
    for name in ("a", "b"):
        with new_folder(tmp_path / name) as folder:
            write_table(folder, table, rows_per_shard=2)
    assert sha256_folder(tmp_path / "a") == sha256_folder(tmp_path / "b")
    assert read_table(tmp_path / "a") == table and len(list((tmp_path / "a").iterdir())) == 3
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "a") as folder:
        write_table(folder, table.slice(0, 1))
        _ = 1 / 0
    assert read_table(tmp_path / "a") == table
