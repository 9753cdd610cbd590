"""The columns and keys of the documentation: those of the outs, each with its type and its meaning."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from commands.columns import (
    KEYS,
    Keys,
    Rows,
    describe_columns,
    flatten,
    json_type,
    read_comments,
    read_keys,
    to_table,
)
from stages.lib.console.errors import UserError
from stages.lib.similarity.measures import COLUMNS as SCORE_COLUMNS
from tests.support.outs import link_outs, place_of
from tests.support.project import ROOT, Project

LEFT_OUT = {"kv_cache_dtype", "thinking_tags"}  # of model.json, where they are the default
TYPES: dict[str, Any] = {
    "string": str, "integer": int, "number": (int, float), "boolean": bool, "object": dict, "list": list,
    "null": type(None),
}  # fmt: skip


def write_module(root: Path, text: str) -> None:
    (root / "rows_for_tables.py").write_text(text)


def test_a_column_without_a_comment_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_module(tmp_path, 'import pyarrow as pa\n\nROW = pa.schema([\n    ("name", pa.string()),\n])\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="the column 'name' of ROW has no comment beside it"):
        list(describe_columns(Rows("data/x", "ROW", ("rows_for_tables",))))


def test_the_first_module_describes_a_column_that_two_define(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one.py").write_text('A = [\n    ("name", pa.string()),  # of one\n]\n')
    (tmp_path / "two.py").write_text(
        'B = [\n    ("name", pa.string()),  # of two\n    ("size", pa.int64()),  # in m\n]\n'
    )
    monkeypatch.chdir(tmp_path)
    assert read_comments(("one", "two")) == {"name": "of one", "size": "in m"}


def test_the_fields_of_turns_are_columns_of_their_own() -> None:
    turn = pa.struct([("user", pa.string()), ("assistant", pa.string()), ("tokens", pa.int64())])
    schema = pa.schema([
        ("turns", pa.list_(turn)),
        ("reasons", pa.list_(pa.string())),
        ("dgm", pa.dictionary(pa.int32(), pa.string())),
    ])
    assert list(flatten(schema)) == [
        ("turns", "list<struct>"),
        ("turns.user", "string"),
        ("turns.assistant", "string"),
        ("turns.tokens", "int64"),
        ("reasons", "list<string>"),
        ("dgm", "string"),
    ]


def test_a_table_has_its_heads_and_a_line_for_each_row() -> None:
    assert to_table(("a", "b"), [("1", ""), ("2", "x")]) == ["| a | b |", "|---|---|", "| 1 |  |", "| 2 | x |"]


def objects_within(content: Any, within: str) -> Iterator[dict[str, Any]]:
    """The objects at a place such as `tasks.<task>`, where `<task>` is any key, or `pairs[]`, a list."""
    head, _, rest = within.partition(".")
    if not head:
        yield content
        return
    if head.endswith("[]"):
        values = content[head.removesuffix("[]")]
    else:
        values = content.values() if head.startswith("<") else [content[head]]
    for value in values:
        yield from objects_within(value, rest)


def test_every_out_has_the_documented_keys_of_the_documented_types(
    built: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link_outs(tmp_path, built)
    documented: dict[tuple[str, str], dict[str, str]] = {}
    monkeypatch.chdir(ROOT)
    for keys in KEYS:
        for within in keys.within.split(", "):
            known = documented.setdefault((keys.place, within), {})
            known |= {name: kind for name, kind, _ in read_keys(keys)}
    for (place, within), known in documented.items():
        found = list(objects_within(json.loads((tmp_path / place_of(place)).read_text()), within))
        assert found, (place, within)
        for content in found:
            assert content.keys() - set(SCORE_COLUMNS) == known.keys() - LEFT_OUT, (place, within)
            wrong = [
                (name, kind, content[name])
                for name, kind in known.items()
                if name not in LEFT_OUT
                and not any(isinstance(content[name], TYPES[each]) for each in kind.split(" or "))
            ]
            assert wrong == [], (place, within)


def test_a_key_without_a_type_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "maker_of_keys.py").write_text(
        """def make():
    head = {"a": 1}  # integer: how many
    return {
        # string or null: its name
        "b": str(head),
        "c": 2,  # of no type
    }
"""
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    keys = read_keys(Keys("x.json", "", "maker_of_keys", "make"))
    assert next(keys) == ("a", "integer", "how many")
    assert next(keys) == ("b", "string or null", "its name")
    with pytest.raises(UserError, match="'c' needs its type and meaning beside it, such as `# integer: how many`"):
        next(keys)


def test_types_are_named_as_json_names_them() -> None:
    assert [json_type(kind) for kind in (str | None, float | int, dict[str, int], list[str], bool)] == [
        "string or null", "number or integer", "object", "list", "boolean",
    ]  # fmt: skip
