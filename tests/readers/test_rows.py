"""Rows of parquet and JSON files, whatever their types: read exactly, or counted with their places."""

import gzip
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.lib.console.errors import UserError
from stages.lib.core.types import Row
from stages.lib.readers import json_rows
from stages.lib.readers.parquet_rows import Columns
from stages.lib.readers.reasons import UnreadableRows
from stages.lib.readers.rows import read_rows

CHAT = [{"role": "user", "content": "q", "extra": 1}]


def read(
    file: Path, *scalars: str, others: tuple[str, ...] = (), **more: Any
) -> tuple[list[Row], dict[str, list[str]]]:
    """The rows of a file, and the places of those that cannot be read by reason."""
    unreadable = UnreadableRows()
    names = {name: name for name in (*scalars, *others)}
    rows = list(read_rows(file, lambda _: Columns(names, ("role", "content"), scalars), unreadable, **more))
    return rows, {name: [place.rpartition(":")[2] for place in places] for name, places in unreadable.places.items()}


def read_lines(tmp_path: Path, content: bytes, name: str = "x.jsonl") -> tuple[list[Row], dict[str, list[str]]]:
    (tmp_path / name).write_bytes(content)
    return read(tmp_path / name, "a")


def read_column(tmp_path: Path, array: pa.Array) -> list[object]:
    pq.write_table(pa.table({"a": array}), tmp_path / "x.parquet")
    rows, unreadable = read(tmp_path / "x.parquet", "a")
    return [*(row["a"] for row in rows), *unreadable]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())], ids=str
)
def test_text_of_every_type_is_text(tmp_path: Path, kind: pa.DataType) -> None:
    assert read_column(tmp_path, pa.array(["a", None, "ü"], pa.string()).cast(kind)) == ["a", None, "ü"]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_times_of_every_unit_are_text_also_outside_of_pythons_years(
    tmp_path: Path, unit: str, zone: str | None
) -> None:
    year, late = read_column(tmp_path, pa.array([0, 2**56 if unit == "us" else 1], pa.timestamp(unit, zone)))
    assert str(year).startswith("1970-01-01 0") and isinstance(late, str)


def test_a_record_with_a_time_in_a_zone_that_is_not_known_is_counted(tmp_path: Path) -> None:
    chats = pa.array([[{"role": 0}], [{"role": None}]], pa.list_(pa.struct([("role", pa.timestamp("s", "Nowhere/X"))])))
    pq.write_table(pa.table({"a": chats}), tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet", others=("a",)) == ([{"a": [{"role": None}]}], {"unreadable_value": ["1"]})


def test_ids_of_other_types_are_read(tmp_path: Path) -> None:
    name = UUID(int=5)
    assert read_column(tmp_path, pa.array([name.bytes], pa.uuid())) == [name]
    assert read_column(tmp_path, pa.array([b"\xff"], pa.binary_view())) == [b"\xff"]


def test_a_text_that_is_no_utf8_is_counted_and_the_rows_beside_it_are_kept(tmp_path: Path) -> None:
    broken = pa.array([b"a", b"\xff", b"c"]).view(pa.string())
    assert read_column(tmp_path, broken) == ["a", "c", "not_utf8"]


@pytest.mark.parametrize("kind", [pa.list_, pa.large_list, pa.list_view, lambda value: pa.list_(value, 1)])
@pytest.mark.parametrize("text", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_lists_of_every_type_are_lists_and_only_the_wanted_fields_are_read(
    tmp_path: Path, kind: Any, text: Any
) -> None:
    message = pa.struct([("role", text), ("content", text), ("extra", pa.int64())])
    pq.write_table(pa.table({"chat": pa.array([CHAT], kind(message))}), tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet", others=("chat",))[0] == [{"chat": [{"role": "user", "content": "q"}]}]


def test_of_rows_that_are_not_wanted_only_scalars_are_read(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1, 2, 3], "chat": [CHAT] * 3}), tmp_path / "x.parquet")
    rows, _ = read(tmp_path / "x.parquet", "a", others=("chat",), is_wanted=lambda row: row == {"a": 2})
    assert rows == [{"a": 2, "chat": [{"role": "user", "content": "q"}]}]
    (tmp_path / "x.jsonl").write_text('{"a": 1, "chat": []}\n{"a": 2, "chat": 5}\n')
    rows, _ = read(tmp_path / "x.jsonl", "a", others=("chat",), is_wanted=lambda row: row == {"a": 2})
    assert rows == [{"a": 2, "chat": 5}]


@pytest.mark.parametrize("value", [[1], {"b": 1}], ids=str)
def test_a_nested_value_where_one_belongs_is_named_in_parquet_and_counted_in_json(
    tmp_path: Path, value: object
) -> None:
    pq.write_table(pa.table({"a": [value], "b": [1]}), tmp_path / "x.parquet")
    with pytest.raises(
        UserError, match=r"x.parquet: column 'a' has the type (list|struct)<.*it needs one value per row"
    ):
        read(tmp_path / "x.parquet", "a")
    assert read_lines(tmp_path, json.dumps({"a": value, "b": 1}).encode()) == ([], {"nested_value": ["1"]})


def test_two_columns_or_fields_of_one_name_are_an_error_that_names_them(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array(["x"])], ["a", "a"]), tmp_path / "x.parquet")
    with pytest.raises(UserError, match=r"x.parquet has 2 columns 'a' \(int64, string\); rename all but one"):
        read(tmp_path / "x.parquet", "a")
    record = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["role", "role"])
    pq.write_table(pa.table({"chat": pa.ListArray.from_arrays([0, 1], record)}), tmp_path / "x.parquet")
    with pytest.raises(UserError, match=r"x.parquet: column 'chat' has the type list<.*has the field 'role' twice"):
        read(tmp_path / "x.parquet", others=("chat",))


def test_torn_parquet_is_an_error_of_one_line(tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": [str(number) * 50 for number in range(1000)]}), file)
    whole = file.read_bytes()
    for broken in (b"", whole[:100], whole[:-4], whole[:200] + bytes(400) + whole[600:]):
        file.write_bytes(broken)
        with pytest.raises(UserError, match=r"x.parquet is not readable as parquet: ") as error:
            read(file, "a")
        assert "\n" not in str(error.value)


def test_columns_of_json_are_those_of_all_rows(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n{"b": 2, "a": 3}\n')
    seen: list[list[str]] = []
    list(read_rows(tmp_path / "x.jsonl", lambda names: seen.append(names) or Columns({}), UnreadableRows()))  # type: ignore[func-returns-value]
    assert seen == [["a", "b"]]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "blank_line"),
        (b" \t\r", "blank_line"),
        (b"{", "not_json"),
        (b'{"a": 1} {"a": 2}', "not_json"),
        (b"{'a': 1}", "not_json"),
        (b'{"a": "\xff"}', "not_utf8"),
        (b"[1]", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b'{"b": 1e999}', "number_out_of_range"),
        (b'{"b": -Infinity}', "number_out_of_range"),
        (b'{"b": ' + b"9" * 5000 + b"}", "number_out_of_range"),
        (b'{"b": ' + b"[" * 100_000, "nested_too_deep"),
        (b'{"b": "\\ud83d"}', "lone_surrogate"),
        (b'{"a": 1, "a": 2}', "duplicate_names"),
        (b'{"b": [{"c": 1, "c": 2}]}', "duplicate_names"),
        (b'{"a": {}, "b": 1}', "nested_value"),
    ],
)
def test_a_line_that_cannot_be_read_is_counted_with_its_number_and_the_others_are_kept(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    rows, unreadable = read_lines(tmp_path, b'{"a": 1}\n' + line + b'\n{"a": 3, "b": "\\ud83d\\ude00"}')
    assert ([row["a"] for row in rows], unreadable) == ([1, 3], {reason: ["2"]})


def test_nan_is_a_missing_number_and_large_whole_numbers_are_exact(tmp_path: Path) -> None:
    rows, unreadable = read_lines(tmp_path, b'{"a": NaN, "b": 1}\n{"a": 123456789012345678901234567890, "b": 1}\n')
    assert unreadable == {} and rows[0]["a"] != rows[0]["a"] and rows[1]["a"] == 123456789012345678901234567890


def test_a_file_may_begin_with_a_byte_order_mark_and_end_without_a_line_end(tmp_path: Path) -> None:
    assert read_lines(tmp_path, b'\xef\xbb\xbf{"a": 1, "b": 1}\r\n{"a": 2}') == ([{"a": 1}, {"a": 2}], {})
    joined = b'{"a": 1}\n\xef\xbb\xbf{"a": 2}\n\xef\xbb\xbf\n'  # of files that begin with a mark
    assert read_lines(tmp_path, joined) == ([{"a": 1}, {"a": 2}], {"blank_line": ["3"]})
    assert read_lines(tmp_path, b'\xef\xbb\xbf [{"a": 1}]', "x.json") == ([{"a": 1}], {})


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1 << 20])
def test_an_array_is_split_into_its_elements_wherever_its_bytes_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(json_rows, "CHUNK", chunk)
    rows: list[Row] = [{"a": 'x"]\\,[{', "b": [[1], {"c": "}"}]}, {"a": "ü\\", "b": []}, {"a": "", "b": None}]
    assert read_lines(tmp_path, json.dumps(rows, indent=1).encode(), "x.json")[0] == [{"a": row["a"]} for row in rows]


def test_an_element_of_an_array_that_cannot_be_read_is_counted(tmp_path: Path) -> None:
    content = b'[{"a": 1}, 2, {"a": 1e999}, {"a": 4, }, {"a": "\xff"}, {"a": 6}, {"a": 7'
    rows, unreadable = read_lines(tmp_path, content, "x.json")
    assert [row["a"] for row in rows] == [1, 6]
    assert unreadable == {
        "not_an_object": ["2"],
        "number_out_of_range": ["3"],
        "not_json": ["4", "7"],
        "not_utf8": ["5"],
    }
    assert read_lines(tmp_path, b" [ ] \n", "x.json") == ([], {})
    with pytest.raises(UserError, match=r"x.json: there is text after the end of the array"):
        read_lines(tmp_path, b'[{"a": 1}] {"a": 2}', "x.json")


def test_compressed_json_is_read_and_a_torn_stream_is_an_error_of_one_line(tmp_path: Path) -> None:
    lines = b'{"a": 1, "b": 2}\n' * 3
    whole = gzip.compress(lines)
    assert len(read_lines(tmp_path, whole + whole, "x.jsonl.gz")[0]) == 6
    assert len(read_lines(tmp_path, pa.compress(lines, "zstd", asbytes=True), "x.jsonl.ZST")[0]) == 3
    for broken in (whole[:-9], b"hello"):
        with pytest.raises(UserError, match=r"x.jsonl.gz cannot be read: "):
            read_lines(tmp_path, broken, "x.jsonl.gz")


def test_a_line_without_end_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "MAX_ROW_BYTES", 100)
    for name, content in (("x.jsonl", b'{"a": "' + b"x" * 200), ("x.json", b'[{"a": "' + b"x" * 200)):
        with pytest.raises(UserError, match=r"is longer than"):
            read_lines(tmp_path, content, name)
