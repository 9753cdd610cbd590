"""Rows that are sorted by way of a draft on disk."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from stages.lib.core.files import sha256_folder
from stages.lib.readers import drafts
from stages.lib.readers.drafts import draft_of, groups_of, read_in_order, rows_per_table
from stages.lib.records.shards import write_table, write_tables

SCHEMA = pa.schema([("text", pa.string())])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_chosen_rows_are_read_in_the_given_order_and_the_draft_is_removed(folder: Path) -> None:
    rows = [{"text": str(number)} for number in range(12_345)]
    order = np.arange(12_345)[::-3]
    with draft_of(rows, SCHEMA, folder) as draft:
        tables = list(read_in_order(draft, SCHEMA, order))
        assert list(read_in_order(draft, SCHEMA, order[:0])) == []
    assert pa.concat_tables(tables)["text"].to_pylist() == [str(number) for number in order] and not draft.exists()


def test_tables_one_after_the_other_are_the_shards_of_the_whole(folder: Path) -> None:
    table = pa.table({"text": [str(number) for number in range(45_000)]}, schema=SCHEMA)
    for name in ("one", "many", "none"):
        (folder / name).mkdir()
    write_table(folder / "one", table)
    write_tables(folder / "many", (table.slice(start, 5_000) for start in range(0, 45_000, 5_000)), SCHEMA)
    write_tables(folder / "none", [], SCHEMA)
    assert sha256_folder(folder / "one") == sha256_folder(folder / "many")
    assert len(list((folder / "one").iterdir())) == 3 and list((folder / "none").iterdir()) == []


def test_long_rows_are_in_small_groups(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "MAX_CHARS", 100)
    rows = [{"turns": [{"user": "x" * length, "reference": None}]} for length in (60, 60, 300, 10)]
    assert [len(group) for group in groups_of(rows)] == [2, 1, 1]
    assert [len(group) for group in groups_of({"turns": []} for _ in range(2_500))] == [1000, 1000, 500]


def test_so_many_rows_are_sorted_at_a_time_as_fit_in_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"text": f"{number:0100d}"} for number in range(100)]
    with draft_of(rows, SCHEMA, folder) as draft:
        assert rows_per_table(draft, 100) == 5000
        monkeypatch.setattr(drafts, "MAX_BYTES", 100 * 300)
        assert rows_per_table(draft, 100) == 200
        assert rows_per_table(draft, 200_000) == 1000
