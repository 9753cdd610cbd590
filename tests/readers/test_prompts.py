"""The prompts stage: the rows that are kept, and the reasons for which others are left out."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages import prompts
from stages.lib.console.errors import UserError
from stages.lib.core.files import read_json
from stages.lib.records.shards import read_rows
from tests.support.generation import PROMPTS as ALL
from tests.support.generation import select_prompts
from tests.support.project import conversation

PROMPTS = ALL.model_copy(update={"max_prompts": 10, "max_turns": 2})


def messages(*contents: object) -> list[dict[str, Any]]:
    roles = ("user", "assistant")
    return [{"role": roles[number % 2], "content": content} for number, content in enumerate(contents)]


def chat(*contents: object, **changes: Any) -> dict[str, Any]:
    return conversation(1, 1, conversation=messages(*contents), **changes)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (conversation(1, 3), "too_many_turns"),
        (conversation(1, 1, conversation_hash=None), "null_hash"),
        (conversation(1, 1, conversation_hash=" \u200b"), "null_hash"),
        (conversation(1, 1, conversation_hash=1.5), "inexact_id"),
        (conversation(1, 1, conversation_hash=True), "inexact_id"),
        (conversation(1, 1, conversation=[]), "no_messages"),
        (conversation(1, 1, conversation=None), "no_messages"),
        (conversation(1, 1, conversation="[{"), "chat_is_not_json"),
        (chat(" \n", "x"), "empty_user_turn"),
        (chat("\ufeff\u200b", "x"), "empty_user_turn"),
        (chat(None, "x"), "null_content"),
        (chat(1, "x"), "content_is_no_text"),
        (conversation(1, 1, conversation=messages("a", "b")[::-1]), "roles_do_not_alternate"),
        (conversation(1, 1, toxic="perhaps"), "unclear_toxic"),
        (conversation(1, 1, language=1.5), "unclear_language"),
    ],
)
def test_a_row_that_cannot_be_asked_is_counted_under_its_reason(row: dict[str, Any], reason: str) -> None:
    assert select_prompts([row], PROMPTS) == ([], {reason: 1})


@pytest.mark.parametrize("reply", [None, 1, float("nan"), "", " "])
def test_a_reference_reply_that_is_missing_is_no_fault_of_the_prompt(reply: object) -> None:
    [row], left_out = select_prompts([chat("a", reply, "b")], PROMPTS)
    references = [turn["reference"] for turn in row["turns"]]
    assert left_out == {} and references == [reply if isinstance(reply, str) else "", ""]


def test_a_leading_system_message_is_the_prompts_system() -> None:
    row = conversation(1, 1, conversation=[{"role": "system", "content": "Be brief."}, *messages("a", "b")])
    [prompt], _ = select_prompts([row], PROMPTS)
    assert prompt["system"] == "Be brief." and prompt["turns"] == [{"user": "a", "reference": "b"}]
    assert select_prompts([chat("a", "b")], PROMPTS)[0][0]["system"] == ""


@pytest.mark.parametrize(("column", "system"), [("Be kind.", "Be kind."), (None, ""), (" \u200b", "")])
def test_a_column_may_hold_the_system_message_of_a_chat_that_has_none(column: object, system: str) -> None:
    [prompt], _ = select_prompts([chat("a", "b", system=column)], PROMPTS)
    assert prompt["system"] == system
    own = [{"role": "system", "content": "Be brief."}, *messages("a", "b")]
    [prompt], _ = select_prompts([conversation(1, 1, conversation=own, system=column)], PROMPTS)
    assert prompt["system"] == "Be brief."


def test_an_equal_row_and_filtered_rows_are_counted() -> None:
    rows = [
        conversation(1, 1),
        conversation(1, 1),
        conversation(2, 1, toxic=True),
        conversation(3, 1, language="German"),
    ]
    only = PROMPTS.model_copy(update={"languages": ["English"], "exclude_toxic": True})
    kept, left_out = select_prompts(rows, only)
    assert [row["conversation_hash"] for row in kept] == [f"{1:032x}"]
    assert left_out == {"duplicate_hash": 1, "other_language": 1, "toxic": 1}


def test_which_of_two_texts_with_one_hash_is_kept_does_not_depend_on_their_order() -> None:
    rows = [chat("a", "x"), chat("b", "x"), chat("b", "x"), chat("c", "x")]
    results = [select_prompts(order, PROMPTS) for order in (rows, rows[::-1], [rows[2], rows[0], rows[3], rows[1]])]
    assert results[0] == results[1] == results[2] and len(results[0][0]) == 1
    assert sum(results[0][1].values()) == 3 and results[0][1]["conflict_hash"] >= 2


def test_a_failed_row_never_hides_a_good_one_with_its_hash() -> None:
    good = chat("a", "b")
    for failed in (chat(None, "b"), chat("a", None), chat("a", ""), chat("\u200b", "b")):
        for rows in ([failed, good], [good, failed]):
            [row], _ = select_prompts(rows, PROMPTS)
            assert row["turns"] == [{"user": "a", "reference": "b"}]


@pytest.mark.parametrize(
    ("toxic", "known"),
    [(1, True), (0, False), (0.0, False), ("False", False), ("true", True), (None, None), (float("nan"), None)],
)
def test_toxic_is_read_as_what_it_says_and_what_is_unknown_is_not_excluded(toxic: object, known: bool | None) -> None:
    kept, _ = select_prompts([conversation(1, 1, toxic=toxic)], PROMPTS)
    assert [row["toxic"] for row in kept] == [known]
    kept, left_out = select_prompts(
        [conversation(1, 1, toxic=toxic)], PROMPTS.model_copy(update={"exclude_toxic": True})
    )
    assert (len(kept), left_out) == ((0, {"toxic": 1}) if known else (1, {}))


def test_user_text_is_kept_byte_for_byte() -> None:
    text = "  <|eot_id|>\r\n\u200b tail \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16") + " "
    kept, _ = select_prompts([chat(text, "reply")], PROMPTS)
    assert kept[0]["turns"] == [{"user": text, "reference": "reply"}]


def test_fewer_prompts_are_a_prefix_of_more_in_any_order_of_the_file() -> None:
    rows = [conversation(number, 1) for number in range(20)]
    many, _ = select_prompts(rows, PROMPTS.model_copy(update={"max_prompts": 15}))
    few, left_out = select_prompts(rows[::-1], PROMPTS.model_copy(update={"max_prompts": 5}))
    assert few == many[:5] and left_out == {"over_max_prompts": 15}


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(prompts, "load", lambda _: PROMPTS.model_copy(update={"source": "in"}))
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def run() -> list[dict[str, Any]]:
    prompts.main()
    return list(read_rows(Path("data/prompts")))


def summary() -> Any:
    return read_json(Path("data/prompts/.summary.json"))


def test_shards_of_different_columns_and_formats_are_one_set(source: Path) -> None:
    rows = [conversation(number, 1) for number in range(6)]
    text = [{**row, "conversation": json.dumps(row["conversation"])} for row in rows]
    pq.write_table(pa.Table.from_pylist(rows[:1]), source / "a.parquet")
    pq.write_table(pa.Table.from_pylist([dict(reversed([*rows[1].items(), ("more", 1)]))]), source / "b.PARQUET")
    (source / "deep" / "er").mkdir(parents=True)
    (source / "deep" / "er" / "c.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows[2:4]))
    (source / "d.json").write_text(json.dumps([{key: rows[4][key] for key in ("conversation_hash", "conversation")}]))
    with pa.output_stream(str(source / "e.jsonl.zst"), compression="zstd") as file:
        file.write(json.dumps(text[5]).encode())
    kept = run()
    assert {row["conversation_hash"] for row in kept} == {row["conversation_hash"] for row in rows}
    assert summary() == {"rows": 6, "prompts": 6, "left_out": {}, "by_turns": {"1": 6}}
    assert [row["language"] for row in kept].count(None) == 1


def test_questions_and_answers_are_prompts_of_one_turn_named_by_their_text(source: Path) -> None:
    rows = [
        {"instruction": "Add.", "input": "1 and 2", "output": "3"},
        {"instruction": "Hi", "input": "", "output": None},
    ]
    (source / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    kept = sorted(run(), key=lambda row: str(row["turns"]))
    assert [row["turns"] for row in kept] == [
        [{"user": "Add.\n\n1 and 2", "reference": "3"}],
        [{"user": "Hi", "reference": ""}],
    ]
    assert len({row["conversation_hash"] for row in kept}) == 2 and {row["source"] for row in kept} == {"in"}


def test_rows_that_cannot_be_read_are_counted_and_their_lines_named(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = json.dumps(conversation(1, 1)).encode()
    (source / "a.jsonl").write_bytes(b"\n".join([good, b"", b"{", b'{"a": "\xff"}', b'{"a": 1e999}', b"[" * 100_000]))
    assert len(run()) == 1
    assert summary()["rows"] == 6 and summary()["left_out"] == {
        "blank_line": 1, "nested_too_deep": 1, "not_json": 1, "not_utf8": 1, "number_out_of_range": 1,
    }  # fmt: skip
    assert "1 rows left out as not_json: in/a.jsonl:3" in capsys.readouterr().err


def test_a_source_that_has_no_prompts_is_an_error_of_one_line(source: Path) -> None:
    pq.write_table(pa.table({"conversation_hash": ["a"], "text": ["b"]}), source / "y.parquet")
    with pytest.raises(UserError, match=r"y.parquet has no column of chats \(.*it has: conversation_hash, text"):
        run()
    (source / "y.parquet").write_text("hello")
    with pytest.raises(UserError, match=r"y.parquet is not readable as parquet"):
        run()
    (source / "y.parquet").unlink()
    with pytest.raises(UserError, match=r"in: no file there ends in .parquet or"):
        run()
