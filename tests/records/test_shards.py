"""Parquet shards: row groups and equal bytes."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.records.shards import read_shard, write_rows, write_table


def test_shards_hold_groups_of_a_thousand_rows_and_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
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
