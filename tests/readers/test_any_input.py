"""Whatever a file holds, it is read, counted, or one line of an error; in any order with the same result."""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.lib.console.errors import UserError
from tests.support.reading import READERS, Read

VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2**62, 2**70, 1.0, 1.5, 1e300, float("nan"), "", " ", "a", "\u200b", "nan", "False"),
    *(
        "ü😀",
        "\x00",
        "[",
        "{}",
        "1",
        [],
        [None],
        {},
        ["a"],
        {"a": 1},
        [{"type": "text", "text": "x"}],
        [{"type": "image"}],
    ),
    "\ud800",
]
COLUMNS = (
    "conversation_hash",
    "language",
    "toxic",
    "source",
    "question",
    "answer",
    "choices",
    "category",
    "turns",
    "prompt",
)
LINES = [
    b"",
    b"{",
    b"[1]",
    b"5",
    b'{"a": 1e999}',
    b'{"a": "\xff"}',
    b"[" * 5_000,
    b'{"a": 1, "a": 2}',
    b'{"a": ' + b"1" * 5_000 + b"}",
]


def any_of(rng: random.Random, usual: Any) -> Any:
    return rng.choice(VALUES) if rng.random() < 0.15 else usual


def any_chat(rng: random.Random) -> Any:
    role, content = rng.choice([("role", "content"), ("from", "value")])
    roles = [*rng.choice([[], [], ["system"]]), *["user", "assistant"] * rng.randrange(3)]
    messages = [{role: any_of(rng, name), content: any_of(rng, name + str(rng.randrange(3)))} for name in roles]
    return any_of(rng, rng.choice([messages, [*messages, None], json.dumps(messages)]))


def any_row(rng: random.Random) -> dict[str, Any]:
    usual = {
        "conversation_hash": rng.randrange(5), "language": "English", "toxic": rng.random() < 0.5, "answer": "b",
        "choices": ["x", "y"], "model": "m", "id": rng.randrange(5), "turns": ["a", "b"],
        "question_id": rng.randrange(99),
    }  # fmt: skip
    row = {
        name: any_of(rng, usual.get(name, "text"))
        for name in (*COLUMNS, "question_id", "model", "id", "judge_score")
        if rng.random() < 0.9
    }
    return row | {name: any_chat(rng) for name in ("conversation", "messages") if rng.random() < 0.9}


def read(reader: str, source: Path) -> Read | str:
    """What is read, or the line of the error without the name of a file and a row."""
    try:
        rows, left_out = READERS[reader](source)
    except UserError as error:
        assert "\n" not in str(error)
        return "error"
    return rows, left_out


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("seed", range(8))
def test_json_lines_are_read_or_counted_in_any_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str, seed: int
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = random.Random(seed)
    lines = [json.dumps(any_row(rng)).encode() for _ in range(20)] + [line for line in LINES if rng.random() < 0.5]
    results = []
    for name in ("a", "b"):
        rng.shuffle(lines)
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jsonl").write_bytes(b"".join(line + b"\n" for line in lines[:15]))
        (tmp_path / name / "2.ndjson").write_bytes(b"".join(line + b"\n" for line in lines[15:]))
        results.append(read(reader, tmp_path / name))
    assert results[0] == results[1]
    if isinstance(results[0], tuple):
        rows, left_out = results[0]
        assert len(rows) + sum(left_out.values()) == len(lines)


KINDS: list[pa.DataType] = [
    *(
        pa.string(),
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.binary(),
    ),
    *(pa.int8(), pa.float64(), pa.bool_(), pa.null(), pa.decimal128(20, 2), pa.timestamp("ns", "UTC"), pa.date32()),
    *(pa.list_(pa.string()), pa.struct([("text", pa.string())]), pa.map_(pa.string(), pa.int8()), pa.duration("s")),
    *(pa.list_view(pa.struct([("role", pa.string()), ("content", pa.large_string())])), pa.large_list(pa.int64())),
    *(pa.list_(pa.struct([("from", pa.string()), ("value", pa.list_(pa.struct([("text", pa.string())])))]), 2),),
]


def any_array(rng: random.Random, kind: pa.DataType) -> pa.Array:
    """Five values of a type, of which some are null."""
    usual: Any = {
        "role": "user", "content": "x", "text": "x", "from": "human", "value": [{"text": "x"}, {"text": None}],
    }  # fmt: skip
    for value in ("user", 1, [usual, usual], ["x"], [1], {"text": "x"}, [("a", 1)], True, None):
        try:
            return pa.array([value if rng.random() < 0.8 else None for _ in range(5)], kind)
        except (pa.ArrowException, TypeError, ValueError):
            continue
    return pa.nulls(5, kind)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("seed", range(12))
def test_parquet_of_any_types_is_read_counted_or_an_error_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str, seed: int
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = random.Random(seed)
    names = (*COLUMNS, "question_id", "conversation", "messages", "model", "id", "judge_score", "response")
    table = pa.table({name: any_array(rng, rng.choice(KINDS)) for name in names})
    pq.write_table(table, tmp_path / "x.parquet")
    result = read(reader, tmp_path / "x.parquet")
    if isinstance(result, tuple):
        assert len(result[0]) + sum(result[1].values()) == 5
