"""The external sort: rows of files by rank, in tables of a fixed number of ranks."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.lib.records.external_sort import RowSelection, read_by_rank


def test_rows_are_read_in_the_order_of_their_ranks_with_repeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pa.table({"n": pa.array(range(1000))})
    monkeypatch.chdir(tmp_path)
    Path("rows").mkdir()
    pq.write_table(source, "rows/0.parquet", row_group_size=50)
    row_indices = np.concatenate([np.arange(1000), [7, 7]])
    ranks = np.random.default_rng(0).permutation(1002)
    selection = RowSelection(Path("rows"), ["n"], pa.Table.take, row_indices, ranks)
    tables = list(read_by_rank([selection], rows_per_partition=100))
    assert [len(table) for table in tables] == [100] * 10 + [2]
    values = pa.concat_tables(tables)["n"].to_numpy()
    assert (values[ranks] == row_indices).all()
