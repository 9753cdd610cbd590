"""Imports of odd files: types of columns, shapes of chats, shards that differ, rows with equal keys."""

import gzip
import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.generate import write_responses
from stages.lib.console.errors import UserError
from stages.lib.core.files import read_json
from stages.lib.core.types import Row
from stages.lib.generation.imports import ImportedConversations, ImportedReplies, read_replies
from stages.lib.models.catalogue import Model, import_digest
from tests.support.conversations import CONFIG
from tests.support.generation import make_prompt, messages

REPLY = pa.array(["Hello."])
CHAT = messages(("user", "Hi?"), ("assistant", "Hello."))
UID = UUID("12345678-1234-5678-1234-567812345678")


def model_of(source: Path, **keys: Any) -> Model:
    own = {"id": "m", "name": "M", "kind": "import", "parameters_billions": 0.0, "context_window": 0}
    return Model(**{**own, "location": str(source), "commit": import_digest(source), **keys})


def read(source: Path, *keys: str, **options: Any) -> ImportedReplies:
    """What is imported for prompts of these keys."""
    return read_replies(model_of(source, **options), set(keys))


def reply_of(replies: ImportedReplies, key: str = "a") -> str | None:
    """The reply of the first turn."""
    return replies.turns_of(key)[0]["reply"]


def lines(file: Path, *rows: Row) -> Path:
    """A file of JSON lines."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.mark.parametrize(
    ("column", "key"),
    [
        (pa.array(["a"], pa.large_string()), "a"),
        (pa.array(["a"], pa.string_view()), "a"),
        (pa.array(["a"]).dictionary_encode(), "a"),
        (pa.array([b"a"], pa.binary()), "a"),
        (pa.array([b"\xff\x01"], pa.binary(2)), "ff01"),
        (pa.array([UID.bytes], pa.uuid()), str(UID)),
        (pa.array([7], pa.uint8()), "7"),
        (pa.array([7.0]), "7"),
        (pa.array([Decimal("7.00")]), "7"),
    ],
)
def test_a_hash_of_any_type_joins_a_prompt(tmp_path: Path, column: pa.Array, key: str) -> None:
    pq.write_table(pa.table({"conversation_hash": column, "response": REPLY}), tmp_path / "x.parquet")
    assert reply_of(read(tmp_path / "x.parquet", key), key) == "Hello."


@pytest.mark.parametrize("column", [pa.array(["", "a"]), pa.array([" \u200b", "a"]), pa.array([None, "a"])])
def test_an_empty_key_is_no_key(tmp_path: Path, column: pa.Array) -> None:
    table = {"conversation_hash": column, "response": pa.array(["No.", "Yes."])}
    pq.write_table(pa.table(table), tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet", "a", "", " \u200b").left_out == {"null_hash": 1}


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (pa.array([True, False]), True),
        (pa.array([1, 0]), True),
        (pa.array([1.0, float("nan")]), True),
        (pa.array(["True", "False"]), True),
        (pa.array(["true", None]), True),
        (pa.array([2, 3], pa.int8()), 2),
        (pa.array([Decimal("0.5"), Decimal("0.7")]), 0.5),
        (pa.array(["0.5", "x"]), 0.5),
        (pa.array(["q", "r"]).dictionary_encode(), "q"),
        (pa.array([7, 8]), "7"),
        (pa.array([datetime(2024, 7, 1), datetime(2024, 7, 2)], pa.timestamp("ns")), "2024-07-01 00:00:00.000000000"),
    ],
)
def test_where_takes_the_rows_whose_value_it_is_whatever_the_columns_type(
    tmp_path: Path, values: pa.Array, wanted: Any
) -> None:
    table = {"conversation_hash": pa.array(["a", "a"]), "response": pa.array(["Right.", "Wrong."]), "is": values}
    pq.write_table(pa.table(table), tmp_path / "x.parquet")
    replies = read(tmp_path / "x.parquet", "a", where={"is": wanted})
    assert (reply_of(replies), replies.left_out) == ("Right.", {"not_in_where": 1})


@pytest.mark.parametrize(
    ("chat", "reply"),
    [
        (CHAT, "Hello."),
        ([{"from": "human", "value": "Hi?"}, {"from": "gpt", "value": "Hello."}], "Hello."),
        (json.dumps(CHAT), "Hello."),
        ({"messages": CHAT}, "Hello."),
        ([*CHAT, None], "Hello."),
        ([{"role": "system", "content": "Be brief."}, *CHAT], "Hello."),
        ([CHAT[0], {"role": "assistant", "content": [{"type": "text", "text": "Hel"}, "lo."]}], "Hel\nlo."),
    ],
)
def test_a_chat_of_any_shape_is_read(tmp_path: Path, chat: Any, reply: str) -> None:
    file = lines(tmp_path / "x.jsonl", {"conversation_hash": "a", "conversation": chat})
    assert reply_of(read(file, "a")) == reply


@pytest.mark.parametrize(
    ("chat", "reason"),
    [
        ([CHAT[0], {"role": "tool", "content": "42"}, CHAT[1]], "tool_message"),
        ([CHAT[0], {"role": "narrator", "content": "So."}, CHAT[1]], "unknown_role"),
        ([CHAT[0], {"role": "assistant", "content": [{"type": "image", "url": "x"}]}], "content_has_other_parts"),
        ("no chat", "chat_is_not_json"),
        (7, "no_messages"),
        ([CHAT[0], 7], "message_is_no_record"),
        ([CHAT[0]], "last_reply_missing"),
    ],
)
def test_a_chat_that_is_none_is_counted_under_its_reason(tmp_path: Path, chat: Any, reason: str) -> None:
    good = {"conversation_hash": "b", "conversation": CHAT}
    file = lines(tmp_path / "x.jsonl", {"conversation_hash": "a", "conversation": chat}, good)
    assert read(file, "a", "b").summary() == {"rows": 2, "imported": 1, "left_out": {reason: 1}}


def test_shards_may_differ_in_columns_and_formats(tmp_path: Path) -> None:
    lines(tmp_path / "s" / "one.jsonl", {"conversation_hash": "a", "response": "A."})
    lines(tmp_path / "s" / "deep" / "two.ndjson", {"finish_reason": "stop", "response": "B.", "conversation_hash": "b"})
    (tmp_path / "s" / "three.json.gz").write_bytes(
        gzip.compress(json.dumps([{"conversation_hash": "c", "conversation": CHAT}]).encode())
    )
    table = pa.table({"response": pa.array(["D."], pa.large_string()), "conversation_hash": ["d"], "more": [1]})
    pq.write_table(table, tmp_path / "s" / "four.PARQUET")
    replies = read(tmp_path / "s", *"abcd")
    assert [reply_of(replies, key) for key in "abcd"] == ["A.", "B.", "Hello.", "D."]
    assert [replies.turns_of(key)[0]["finish"] for key in "ab"] == ["imported", "stop"]


def test_a_column_that_only_later_lines_have_is_read(tmp_path: Path) -> None:
    first = {"conversation_hash": "a", "response": "A."}
    file = lines(tmp_path / "x.jsonl", first, {"conversation_hash": "b", "response": "B.", "finish_reason": "length"})
    replies = read(file, "a", "b")
    assert [replies.turns_of(key)[0]["finish"] for key in "ab"] == ["imported", "length"]


def test_a_line_that_cannot_be_read_is_counted_with_its_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(b'{"conversation_hash": "a", "response": "A."}\n{\n\n{"conversation_hash": "\xff"}\n')
    assert read(file, "a").summary() == {
        "rows": 4, "imported": 1, "left_out": {"not_json": 1, "blank_line": 1, "not_utf8": 1},
    }  # fmt: skip
    assert "1 rows left out as not_json: " in capsys.readouterr().err


def test_a_nested_value_where_a_key_belongs_is_one_line_that_names_it(tmp_path: Path) -> None:
    pq.write_table(pa.table({"conversation_hash": [["a"]], "response": ["A."]}), tmp_path / "x.parquet")
    with pytest.raises(UserError, match=r"x.parquet: column 'conversation_hash' has the type list<") as error:
        read(tmp_path / "x.parquet", "a")
    assert "\n" not in str(error.value)


ROWS: list[Row] = [
    {"conversation_hash": "a", "response": None},
    {"conversation_hash": "a", "response": " \u200b"},
    {"conversation_hash": "a", "response": "Partly", "finish_reason": "failed"},
    {"conversation_hash": "a", "response": "One."},
    {"conversation_hash": "a", "response": "One."},
    {"conversation_hash": "a", "response": "Two."},
]


def one_file(folder: Path, rows: list[Row]) -> Path:
    return lines(folder / "x.jsonl", *rows)


def many_files(folder: Path, rows: list[Row]) -> Path:
    for number, row in enumerate(rows):
        lines(folder / f"{number}.jsonl", {"response": None, **row})
    return folder


@pytest.mark.parametrize("write", [one_file, many_files])
def test_which_of_several_replies_to_one_prompt_is_used_depends_on_the_rows_alone(
    tmp_path: Path, write: Callable[[Path, list[Row]], Path]
) -> None:
    found = set()
    for number, rows in enumerate(list(permutations(ROWS))[::71]):
        replies = read(write(tmp_path / str(number), [*rows]), "a")
        assert replies.rows == 6 and len(replies) == 1
        found.add((reply_of(replies), json.dumps(dict(replies.left_out), sort_keys=True)))
    [(reply, counts)] = found
    repeats = (1, 3) if reply == "One." else (0, 4)
    assert reply in {"One.", "Two."}
    known = json.loads(counts)
    assert (known.get("duplicate_conversation", 0), known["conflict_conversation"], known["null_content"]) == (
        *repeats, 1,
    )  # fmt: skip


def test_replies_that_do_not_tell_how_they_ended_are_counted_and_said_where_others_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ends = {"a": "stop", "b": None, "c": "", "d": float("nan")}
    rows = [{"conversation_hash": key, "response": "Yes.", "finish_reason": end} for key, end in ends.items()]
    model = model_of(lines(tmp_path / "x.jsonl", *rows))
    prompts = [make_prompt(key, "Hi?") for key in "abcde"]
    write_responses(ImportedConversations(model, CONFIG, read_replies(model, set("abcde"))), prompts)
    summary = read_json(Path("data/responses/m/.summary.json"))
    assert summary["import"]["unknown_finish_reasons"] == 3
    assert summary["finish_reasons"] == {"stop": 1, "imported": 4}
    assert "m: 3 of 4 replies do not tell how they ended, though others do" in capsys.readouterr().err


def test_where_no_reply_tells_how_it_ended_nothing_is_said(tmp_path: Path) -> None:
    model = model_of(lines(tmp_path / "x.jsonl", {"conversation_hash": "a", "response": "Yes."}))
    source = ImportedConversations(model, CONFIG, read_replies(model, {"a"}))
    assert len(list(source.tables([make_prompt("a", "Hi?")]))) == 1
    assert "unknown_finish_reasons" not in source.summary()["import"]


def test_a_message_of_20_mb_and_a_chat_of_10000_turns_are_read(tmp_path: Path) -> None:
    long = {"conversation_hash": "a", "conversation": [CHAT[0], {"role": "assistant", "content": "wide " * 4_000_000}]}
    many = {"conversation_hash": "b", "conversation": CHAT * 10_000}
    replies = read(lines(tmp_path / "x.jsonl", long, many), "a", "b")
    assert len(reply_of(replies) or "") == 20_000_000
    assert len(replies.turns_of("b")) == 10_000
