"""The stage on folders: shards, the order of the prompts, memory."""

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages import validate
from stages.gate import find_stop_reason
from stages.generate import write_responses
from stages.lib.core.files import read_json, sha256_file, sha256_folder
from stages.lib.models.reply_format import ReplyFormat
from stages.lib.records.chats import build_chat
from stages.lib.records.hashing import chat_sha
from stages.lib.records.shards import read_rows
from stages.lib.settings.sections import Gate
from stages.lib.validation.prompt_index import PromptIndex
from tests.support.conversations import CONFIG, GivenRows, import_references
from tests.support.validation import (
    BAD,
    ENGLISH,
    GOOD,
    IMPORT,
    WITHOUT_REQUEST,
    generate,
    prompt,
    validate_rows,
    write_prompts,
)


@pytest.fixture
def three_responses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Three prompts in a folder, as the stage finds them, and their responses."""
    monkeypatch.chdir(tmp_path)
    write_prompts(monkeypatch, {name: [f"{name}?"] for name in "abc"})
    return [generate(name, f"{name}?") for name in "abc"]


def test_all_responses_without_faults_are_kept(three_responses: list[dict[str, Any]]) -> None:
    summary = validate_rows(three_responses[:2], three_responses[2:])
    assert (summary["conversations"], summary["kept"], summary["missing"]) == (3, 3, 0)
    assert summary["found"] == {} and not summary["temperature_outside"]
    assert [row["keep"] for row in read_rows(Path("data/verdicts/m"))] == [True] * 3


def test_a_shard_may_end_with_a_column_of_system_messages_and_with_no_other(
    three_responses: list[dict[str, Any]],
) -> None:
    summary = validate_rows(three_responses)
    [file] = Path("data/responses/m").glob("*.parquet")
    table = pq.read_table(file)
    empty = pa.array([""] * 3)
    pq.write_table(table.append_column("system", empty), file)
    validate.main("m")
    assert read_json(Path("data/verdicts/m/.summary.json")) == summary
    for other in (table.append_column("systems", empty), table.add_column(0, "system", empty)):
        pq.write_table(other, file)
        validate.main("m")
        assert read_json(Path("data/verdicts/m/.summary.json"))["unreadable_shards"] == 1


def test_duplicate_unknown_and_missing_conversations_are_counted(three_responses: list[dict[str, Any]]) -> None:
    stranger = three_responses[1] | {"conversation_hash": "z"}
    summary = validate_rows([three_responses[0], three_responses[0], stranger, three_responses[2]])
    assert summary["found"] == {"duplicate_conversation": 1, "unknown_conversation": 1}
    assert (summary["kept"], summary["missing"]) == (2, 1)
    assert summary["examples"]["unknown_conversation"] == ["z"]


def with_last_turn(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A function that changes the last turn of a row."""
    return lambda row: row | {"turns": [*row["turns"][:-1], row["turns"][-1] | changes]}


def with_reply(reply: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return with_last_turn(assistant=reply, completion_tokens=50)


def replies(row: dict[str, Any]) -> list[str]:
    return [turn["assistant"] for turn in row["turns"]]


ROOMY = replace(CONFIG, max_tokens=1_000, window=4_000)


EACH_FAULT_ONCE: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    **{reason: with_reply(reply) for reason, reply in BAD.items()},
    "echo": with_reply(ENGLISH),
    "other_language": with_reply("Ein Hafen dient Schiffen als sicherer Ort, und dort arbeiten jeden Tag Fischer."),
    "finish_length": with_last_turn(finish_reason="length", completion_tokens=ROOMY.max_tokens),
    "finish_abort": with_last_turn(finish_reason="abort"),
    "no_end_of_turn": with_last_turn(finish_reason=""),
    "failed": lambda row: with_last_turn(finish_reason="failed", completion_tokens=0)(row) | {"status": "failed"},
    "prompt_altered": lambda row: with_last_turn(
        user="B?", prompt_sha=chat_sha(build_chat(["A?", "B?"], replies(row)))
    )(row),
    "turns_missing": lambda row: row | {"turns": row["turns"][:1]},
    "history_broken": with_last_turn(prompt_sha="0" * 32),
    "token_counts": with_last_turn(completion_tokens=0),
    "not_as_asked": lambda row: row | {"identity": "other"},
    "incomplete_row": with_last_turn(assistant=None),
}


def test_responses_with_one_fault_each_give_exactly_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    users = {name: ["A?", ENGLISH] for name in [*EACH_FAULT_ONCE, *"xyz"]}
    write_prompts(monkeypatch, users, config=ROOMY)
    rows = [change(generate(name, *users[name], config=ROOMY)) for name, change in EACH_FAULT_ONCE.items()]
    x, y, z = (generate(name, *users[name], config=ROOMY) for name in "xyz")
    validate_rows(rows, [x, x, z, y, generate("stranger", "A?", config=ROOMY)])
    verdicts = [(row["conversation_hash"], row["reasons"]) for row in read_rows(Path("data/verdicts/m"))]
    assert verdicts == [
        *[(name, [name]) for name in EACH_FAULT_ONCE],
        ("x", []), ("x", ["duplicate_conversation"]), ("z", []), ("y", ["out_of_order"]),
        ("stranger", ["unknown_conversation"]),
    ]  # fmt: skip
    kept = {row["conversation_hash"] for row in read_rows(Path("data/verdicts/m")) if row["keep"]}
    assert kept == {"x", "z", "refusal", "other_language"}


def test_imported_good_replies_give_no_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_prompts(monkeypatch, {name: [user] for name, (user, _) in GOOD.items()}, IMPORT)
    prompts = [
        {"conversation_hash": name, "turns": [{"user": user, "reference": reply}]}
        for name, (user, reply) in GOOD.items()
    ]
    summary = validate_rows(import_references(prompts))
    assert (summary["kept"], summary["found"], summary["missing"]) == (len(GOOD), {}, 0)
    assert summary["not_checked"] == dict.fromkeys([*WITHOUT_REQUEST, "off_topic"], len(GOOD))


def read_shards() -> list[dict[str, Any]]:
    validate.main("m")
    return list(read_json(Path("data/verdicts/m/.shards.json")).values())


def test_a_truncated_shard_is_reported_and_the_others_are_checked(three_responses: list[dict[str, Any]]) -> None:
    validate_rows(three_responses)
    whole = Path("data/responses/m/shard-00000.parquet")
    whole.with_name("shard-00001.parquet").write_bytes(whole.read_bytes()[:-20])
    first, torn = read_shards()
    assert first == {"rows": 3, "sha256": sha256_file(whole), "is_readable": True, "has_schema": True, "problem": ""}
    assert (torn["rows"], torn["is_readable"], torn["has_schema"]) == (0, False, False) and "magic bytes" in torn[
        "problem"
    ]
    summary = read_json(Path("data/verdicts/m/.summary.json"))
    assert (summary["kept"], summary["shards"], summary["unreadable_shards"]) == (3, 2, 1)


def strings(table: pa.Table) -> pa.Table:
    """A table whose seeds are strings."""
    return table.set_column(table.column_names.index("seed"), "seed", table["seed"].cast(pa.string()))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda table: table.drop_columns(["turns", "seed"]), "columns missing: turns, seed"),
        (lambda table: table.append_column("x", table["dgm"]), "not known: x"),
        (lambda table: strings(table), "of another type: seed"),
        (lambda table: table.select(table.column_names[::-1]), "columns in another order"),
    ],
)
def test_a_shard_with_other_columns_is_readable_and_its_problem_is_reported(
    three_responses: list[dict[str, Any]], change: Callable[[pa.Table], pa.Table], problem: str
) -> None:
    validate_rows(three_responses)
    file = Path("data/responses/m/shard-00000.parquet")
    pq.write_table(change(pq.read_table(file)), file)
    [shard] = read_shards()
    assert (shard["problem"], shard["is_readable"], shard["has_schema"]) == (problem, True, False)


def test_a_shard_with_damaged_pages_or_invalid_utf8_is_reported(
    three_responses: list[dict[str, Any]],
) -> None:
    validate_rows(three_responses)
    file = Path("data/responses/m/shard-00000.parquet")
    content, table = file.read_bytes(), pq.read_table(file)
    file.write_bytes(content[:4] + bytes(200) + content[204:])
    [shard] = read_shards()
    assert shard["problem"] and not shard["is_readable"] and shard["rows"] == 0
    wrong = pa.array([b"\xff"] * 3).view(pa.string())
    pq.write_table(table.set_column(table.column_names.index("status"), "status", wrong), file)
    [shard] = read_shards()
    assert "can't decode byte 0xff" in shard["problem"] and not shard["is_readable"]


def test_without_a_shard_every_prompt_is_missing(three_responses: list[dict[str, Any]]) -> None:
    summary = validate_rows()
    assert (summary["shards"], summary["conversations"], summary["missing"]) == (0, 0, 3)
    assert "0 of 0 shards" in find_stop_reason("m", summary, Gate(max_dropped_share=1.0, max_share={}))


def test_responses_in_another_order_are_reported(three_responses: list[dict[str, Any]]) -> None:
    summary = validate_rows([three_responses[2], three_responses[0]])
    assert summary["found"] == {"out_of_order": 1} and summary["missing"] == 1


def test_prompts_are_found_in_order_and_once(three_responses: list[dict[str, Any]]) -> None:
    prompts = PromptIndex(Path("data/prompts"))
    assert prompts.missing == 3
    assert prompts.find("b")["turns"][0]["user"] == "b?"  # type: ignore[index]
    assert [prompts.find(name) for name in ("b", "a", "z", None)] == [
        "duplicate_conversation", "out_of_order", "unknown_conversation", "unknown_conversation"
    ]  # fmt: skip
    assert prompts.find("c")["turns"][0]["user"] == "c?"  # type: ignore[index]
    assert prompts.missing == 0


def test_two_processes_write_the_bytes_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    users = {str(number): ["Hi?"] for number in range(250)}
    write_prompts(monkeypatch, users, IMPORT)
    prompts = [prompt("Hi?") | {"conversation_hash": name} for name in users]
    write_responses(GivenRows(import_references(prompts)), [])
    digests = set()
    for conversations_per_process in (10**6, 1):
        monkeypatch.setattr(validate, "CONVERSATIONS_PER_PROCESS", conversations_per_process)
        validate.main("m")
        digests.add(sha256_folder(Path("data/verdicts/m")))
    assert len(digests) == 1


def test_memory_does_not_grow_with_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validate, "CONVERSATIONS_PER_PROCESS", 10**6)  # tracemalloc sees this process alone

    def peak(number: int) -> int:
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        prompts = [prompt("Hi?") | {"conversation_hash": str(n)} for n in range(number)]
        write_prompts(monkeypatch, {str(n): ["Hi?"] for n in range(number)}, IMPORT)
        write_responses(GivenRows(import_references(prompts)), [])
        tracemalloc.start()
        validate.main("m")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    few, many = peak(2_000), peak(8_000)
    assert many < 1.2 * few


def test_replies_are_read_in_the_format_that_their_summary_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    known = ReplyFormat(added_ends=("<|eot_id|>",), control_tokens=("<sail>",))
    config = replace(CONFIG, reply_format=known)
    write_prompts(monkeypatch, {"a": ["One?"], "b": ["Two?"]})
    one, two = generate("a", "One?", config=config), generate("b", "Two?", config=config)
    two["turns"][0]["assistant"] = "Sure.<sail>"
    assert validate_rows([one, two])["found"] == {"not_as_asked": 2}
    summary = Path("data/responses/m/.summary.json")
    summary.write_text(json.dumps({**read_json(summary), "reply_format": known.to_json()}))
    validate.main("m")
    assert read_json(Path("data/verdicts/m/.summary.json"))["found"] == {"control_token": 1}
