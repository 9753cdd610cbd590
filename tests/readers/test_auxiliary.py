"""Auxiliary sets: every format, every reason to leave a row out, the same bytes whatever the order of the source."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from stages import auxiliary, fetch
from stages.auxiliary import RowCounts, read_source, to_chats, write_sorted
from stages.lib.console.errors import UserError
from stages.lib.core.files import read_json, sha256_folder
from stages.lib.core.sections import parse
from stages.lib.readers.reasons import UnreadableRows
from stages.lib.records.shards import read_rows, read_table
from stages.lib.settings.sections import Auxiliary

QUESTION = {"question": "Which?", "subject": "", "choices": ["this", "that"], "answer": 1}  # MMLU's columns
ALGEBRA = {  # Tulu 3's columns
    "id": "personas_1",
    "prompt": "Solve x + 1 = 2.",
    "messages": [{"content": "Solve x + 1 = 2.", "role": "user"}, {"content": "x = 1", "role": "assistant"}],
}
SHAREGPT_ROW = {"conversations": [{"from": "human", "value": "Hello?"}, {"from": "gpt", "value": "Yes."}]}  # ShareGPT's


def write(file: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as parquet or JSON lines, as the file's name says."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(source: str, form: str, **more: Any) -> list[list[str]]:
    """Run the stage on the set `extra`; its chats, as their texts in turn."""
    entry = {"source": source, "format": form, "license": "MIT", **more}
    with Path("params.yaml").open("w") as file:
        YAML().dump({"auxiliary": {"extra": entry}}, file)
    auxiliary.main("extra")
    rows = read_table(Path("data/auxiliary/extra")).to_pylist()
    assert {row["source"] for row in rows} == {"extra"}
    return [[message["content"] for message in row["messages"]] for row in rows]


def summary() -> Any:
    return read_json(Path("data/auxiliary/extra/.summary.json"))


def chats(rows: list[dict[str, Any]], form: str) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The chats of rows that have our names, and the rows left out by reason."""
    counts = RowCounts()
    return list(to_chats(rows, "extra", Auxiliary(source="x", format=form, license="MIT"), counts)), dict(
        counts.left_out
    )


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "json"])
def test_multiple_choice_is_answered_by_letter_and_text_and_equal_chats_are_counted_once(
    checkout: Path, suffix: str
) -> None:
    write(checkout / f"x.{suffix}", [QUESTION, QUESTION, {**QUESTION, "answer": 2}])
    assert make(f"x.{suffix}", "multiple_choice") == [["Which?\nA. this\nB. that", "B. that"]]
    assert summary() == {
        "rows": 1, "left_out": {"answer_is_no_choice": 1, "duplicate": 1}, "turns": {"1": 1},
        "license": "MIT", "source": f"x.{suffix}", "origin": {},
    }  # fmt: skip


@pytest.mark.parametrize("answer", [1, "B", "b", 1.0, " b "])
def test_an_answer_is_an_index_from_0_or_a_letter(answer: object) -> None:
    (chat,), _ = chats([{**QUESTION, "answer": answer}], "multiple_choice")
    assert chat["messages"][1] == {"role": "assistant", "content": "B. that"}


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_a_single_column_of_records_is_unnested(checkout: Path, suffix: str) -> None:
    write(checkout / f"x.{suffix}", [{"train": QUESTION}])
    assert make(f"x.{suffix}", "multiple_choice") == [["Which?\nA. this\nB. that", "B. that"]]


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_a_chat_is_kept_as_it_is_and_its_turns_are_counted(checkout: Path, suffix: str) -> None:
    question, reply = ALGEBRA["messages"]
    long = [{"role": "system", "content": "Be brief."}, question, reply, question, reply]
    write(checkout / f"x.{suffix}", [ALGEBRA, {**ALGEBRA, "messages": long}])
    turn = ["Solve x + 1 = 2.", "x = 1"]
    assert sorted(make(f"x.{suffix}", "messages")) == [["Be brief.", *turn, *turn], turn]
    assert summary()["turns"] == {"1": 1, "2": 1}


def test_messages_may_have_other_keys_and_roles(checkout: Path) -> None:
    write(checkout / "x.parquet", [SHAREGPT_ROW])
    columns = {"messages": "conversations"}  # ShareGPT's keys of a message are known
    assert make("x.parquet", "messages", columns=columns) == [["Hello?", "Yes."]]
    [row] = read_table(Path("data/auxiliary/extra")).to_pylist()
    assert [message["role"] for message in row["messages"]] == ["user", "assistant"]
    write(checkout / "y.parquet", [{"messages": [{"who": "user", "says": "a"}, {"who": "assistant", "says": "b"}]}])
    assert make("y.parquet", "messages", columns={"role": "who", "content": "says"}) == [["a", "b"]]
    with pytest.raises(UserError, match=r"none of its 1 rows becomes a chat: {'unknown_role': 1}"):
        make("y.parquet", "messages")


def test_columns_may_have_other_names(checkout: Path) -> None:
    write(checkout / "x.jsonl", [{"Q": "Which?", "options": ["this", "that"], "label": "A"}])
    columns = {"question": "Q", "choices": "options", "answer": "label"}
    assert make("x.jsonl", "multiple_choice", columns=columns) == [["Which?\nA. this\nB. that", "A. this"]]
    assert make("x.jsonl", "question_answer", columns={"question": "Q", "answer": "label"}) == [["Which?", "A"]]


def test_jeopardy_is_an_instruction_with_a_category_and_answers_in_words(checkout: Path) -> None:
    write(checkout / "x.parquet", [{**QUESTION, "subject": "pronouns"}])
    asked = (
        "This is a quiz clue, and its category is the input. Say briefly what it asks for.\n\n"
        "### Instruction:\nWhich?\n\n### Input:\npronouns"
    )
    assert make("x.parquet", "jeopardy", columns={"category": "subject"}) == [[asked, "what is that"]]
    write(checkout / "y.jsonl", [{"question": "Which?", "category": "pronouns", "answer": "that"}])
    assert make("y.jsonl", "jeopardy") == [[asked, "what is that"]]
    write(
        checkout / "z.jsonl", [{"question": "Which?", "category": "pronouns", "options": ["this", "that"], "answer": 1}]
    )
    assert make("z.jsonl", "jeopardy", columns={"choices": "options"}) == [[asked, "what is that"]]


def test_a_jeopardy_clue_without_category_has_no_input() -> None:
    (chat,), _ = chats([{"question": "Which?", "category": "", "answer": "that"}], "jeopardy")
    assert chat["messages"][0]["content"] == (
        "This is a quiz clue. Say briefly what it asks for.\n\n### Instruction:\nWhich?"
    )


USER, REPLY = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}


@pytest.mark.parametrize(
    ("form", "changes", "reason"),
    [
        ("multiple_choice", {"answer": -1}, "answer_is_no_choice"),
        ("multiple_choice", {"answer": "C"}, "answer_is_no_choice"),
        ("multiple_choice", {"answer": "that"}, "answer_is_no_choice"),
        ("multiple_choice", {"answer": True}, "answer_is_no_choice"),
        ("multiple_choice", {"answer": None}, "answer_is_no_choice"),
        ("multiple_choice", {"choices": None}, "no_choices"),
        ("multiple_choice", {"choices": []}, "no_choices"),
        ("multiple_choice", {"choices": ["x"] * 27}, "too_many_choices"),
        ("multiple_choice", {"choices": ["x", None]}, "null_content"),
        ("multiple_choice", {"choices": ["x", 1]}, "content_is_no_text"),
        ("multiple_choice", {"choices": ["x", " "]}, "empty_message"),
        ("multiple_choice", {"question": " "}, "empty_message"),
        ("multiple_choice", {"question": None}, "null_content"),
        ("jeopardy", {"category": 3}, "content_is_no_text"),
        ("jeopardy", {"question": " "}, "empty_message"),
        ("jeopardy", {"choices": ["x", " "]}, "empty_message"),
        ("jeopardy", {"answer": 5}, "answer_is_no_choice"),
        ("question_answer", {"answer": None}, "null_content"),
        ("question_answer", {"answer": 1}, "content_is_no_text"),
        ("question_answer", {"answer": ""}, "empty_message"),
        ("messages", {"messages": None}, "no_messages"),
        ("messages", {"messages": []}, "no_messages"),
        ("messages", {"messages": "a"}, "chat_is_not_json"),
        ("messages", {"messages": [USER]}, "last_reply_missing"),
        ("messages", {"messages": [REPLY]}, "roles_do_not_alternate"),
        ("messages", {"messages": ["a"]}, "message_is_no_record"),
        ("messages", {"messages": [USER, REPLY, {"role": "tool", "content": "c"}]}, "tool_message"),
        ("messages", {"messages": [{"role": "system", "content": "a"}]}, "no_messages"),
        ("messages", {"messages": [{"role": "system", "content": 1}, USER, REPLY]}, "content_is_no_text"),
        ("messages", {"messages": [USER, {**REPLY, "content": "\u200b"}]}, "empty_message"),
        ("messages", {"messages": [USER, {**REPLY, "content": "\ud800"}]}, "content_is_no_text"),
        ("messages", {"messages": [USER, {**REPLY, "content": " \n"}]}, "empty_message"),
    ],
)
def test_a_row_that_cannot_become_a_chat_is_counted_under_its_reason(
    form: str, changes: dict[str, Any], reason: str
) -> None:
    assert chats([{**QUESTION, "category": "", **changes}], form) == ([], {reason: 1})


def test_a_missing_column_is_an_error_that_lists_the_columns_of_the_file(checkout: Path) -> None:
    for file in (write(checkout / "x.parquet", [QUESTION]), write(checkout / "y.jsonl", [QUESTION])):
        with pytest.raises(UserError) as error:
            make(file.name, "multiple_choice", columns={"choices": "options"})
        assert str(error.value) == (
            f"{file.name} has no column 'options', which the format 'multiple_choice' needs; "
            f"it has: question, subject, choices, answer. Under another name: `columns: {{choices: <its name>}}`"
        )
    with pytest.raises(UserError, match=r"x.parquet has no column 'messages'"):
        make("x.parquet", "messages")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", '{"question": 1', r"none of its 1 rows becomes a chat: {'not_json': 1}"),
        ("x.json", '[{"question": 1, "answer": [2]}]', r"none of its 1 rows becomes a chat: {'nested_value': 1}"),
        ("x.parquet", "hello", r"x.parquet is not readable as parquet"),
        ("x.csv", "question,answer", r"x.csv: no file there ends in .parquet or .jsonl"),
        ("y.jsonl", "{}", r"x.jsonl is not there"),
        ("x.jsonl", "", r"none of its 0 rows becomes a chat"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_of_one_line(
    checkout: Path, name: str, content: str, message: str
) -> None:
    (checkout / name).write_text(content)
    with pytest.raises(UserError, match=message):
        make(name.replace("y", "x"), "question_answer")
    assert not Path("data/auxiliary/extra").exists()


def test_a_column_that_the_format_does_not_have_is_an_error_of_the_params() -> None:
    entry = {"source": "x", "format": "question_answer", "license": "MIT", "columns": {"choices": "options"}}
    with pytest.raises(UserError, match=r"question_answer has no 'choices'; there are: question, answer"):
        parse(Auxiliary, entry, "auxiliary.extra")


def test_an_unknown_format_is_an_error_that_lists_the_formats() -> None:
    message = "auxiliary.extra.format: no format 'chat'; there are: messages, question_answer, "
    with pytest.raises(UserError, match=message):
        parse(Auxiliary, {"source": "x", "format": "chat", "license": "MIT"}, "auxiliary.extra")


def test_shuffled_rows_and_files_give_the_same_bytes(checkout: Path) -> None:
    rows = [{"question": f"Q{number}", "answer": f"A{number}"} for number in range(30)]
    digests = set()
    for name, order in (("x.parquet", rows), ("y.jsonl", rows[::-1]), ("z/1.parquet", rows[20:] + rows[:5])):
        write(checkout / name, order)
    write(checkout / "z" / "deeper" / "2.jsonl", rows[3:22])
    for source in ("x.parquet", "y.jsonl", "z"):
        assert len(make(source, "question_answer")) == 30
        Path("data/auxiliary/extra/.summary.json").unlink()
        digests.add(sha256_folder(Path("data/auxiliary/extra")))
    assert len(digests) == 1


def test_files_selects_files_of_a_folder(checkout: Path) -> None:
    write(checkout / "z" / "train-0.jsonl", [{"question": "a", "answer": "b"}])
    write(checkout / "z" / "test-0.jsonl", [{"question": "c", "answer": "d"}])
    assert make("z", "question_answer", files="train-*") == [["a", "b"]]
    with pytest.raises(UserError, match=r"z: no file there ends in .* and matches 'dev-\*'"):
        make("z", "question_answer", files="dev-*")


def test_chats_are_sorted_by_hash_and_equal_chats_are_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"question": f"Q{number % 7}", "answer": "A"} for number in range(20)]
    counts, auxiliary_set = RowCounts(), Auxiliary(source="x", format="question_answer", license="MIT")
    write_sorted(to_chats(rows, "extra", auxiliary_set, counts), tmp_path, counts)
    hashes = [chat["conversation_hash"] for chat in read_rows(tmp_path)]
    assert hashes == sorted(set(hashes)) and len(hashes) == 7
    assert (counts.all_left_out(), counts.turns) == ({"duplicate": 13}, {"1": 7})


def test_only_the_columns_of_the_format_are_read(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", [{**QUESTION, "more": "x"}])
    entry = Auxiliary(source=str(tmp_path / "x.parquet"), format="multiple_choice", license="MIT")
    assert list(read_source(entry, UnreadableRows())) == [
        {"question": "Which?", "choices": ["this", "that"], "answer": 1}
    ]


def test_a_hub_set_is_unnested_and_its_repository_and_commit_are_recorded(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(checkout / "cache"))
    write(checkout / "owner/set" / "train.parquet", [{"train": QUESTION}])
    hub = {"repository": "owner/set", "revision": "main", "columns": ["question", "subject", "choices", "answer"]}
    with Path("params.yaml").open("w") as file:
        YAML().dump({"hub": {"mmlu": hub}}, file)
    fetch.main("mmlu")
    assert make("data/hub/mmlu", "multiple_choice") == [["Which?\nA. this\nB. that", "B. that"]]
    assert summary()["origin"] == {"repository": "owner/set", "commit": "main"}
    assert summary()["source"] == "data/hub/mmlu"
