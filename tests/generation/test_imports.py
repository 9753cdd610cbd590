"""Replies that exist already: every format they come in, and what is left out for which reason."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.generate import main
from stages.lib.console.errors import UserError
from stages.lib.core.files import read_json
from stages.lib.generation.conversations import Conversation
from stages.lib.generation.imports import ImportedConversations, ImportedReplies, read_replies
from stages.lib.models.catalogue import Model, import_digest, save_model
from stages.lib.readers.chats import MESSAGE_FIELDS
from stages.lib.readers.parquet_rows import leaf_columns
from stages.lib.records.prompts import PROMPT
from stages.lib.records.shards import read_table
from tests.support.conversations import CONFIG, MODEL
from tests.support.generation import make_prompt
from tests.support.hub import COMMIT, serve
from tests.support.project import small_params

Row = dict[str, Any]


def messages(*contents: str | None, finish: str | None = None) -> list[Row]:
    return [
        {"role": ("user", "assistant")[at % 2], "content": content, "finish_reason": finish if at % 2 else None}
        for at, content in enumerate(contents)
    ]


def wildchat(name: str | None, conversation: list[Row]) -> Row:
    return {"conversation_hash": name, "conversation": conversation}


def import_model(source: Path, **keys: Any) -> Model:
    own = {"id": "m", "name": "M", "kind": "import", "parameters_billions": 0.0, "context_window": 0}
    return Model(**{**own, "location": str(source), "commit": import_digest(source), **keys})


def write(file: Path, rows: list[Row]) -> Path:
    if file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), file)
    return file


def import_replies(prompts: list[Row], source: Path, **keys: Any) -> tuple[list[Conversation], ImportedReplies]:
    """The conversations of these prompts from a file or folder, and what was read of it."""
    model = import_model(source, **keys)
    replies = read_replies(model, {row["conversation_hash"] for row in prompts})
    return list(ImportedConversations(model, CONFIG, replies).conversations(prompts)), replies


def texts(conversation: Conversation) -> list[tuple[str, str, str]]:
    return [(turn["user"], turn["assistant"], turn["finish_reason"]) for turn in conversation.turns]


PROMPTS = [make_prompt("a", "Hi?"), make_prompt("b", "One?", "Two?"), make_prompt("c", "So?")]


def test_reference_replies_are_imported_and_a_missing_one_is_not_imported() -> None:
    source = ImportedConversations(MODEL, CONFIG, None)
    conversations = source.conversations([PROMPTS[0], make_prompt("g", "Hi?", reference="")])
    assert [(conversation.status, texts(conversation)[0]) for conversation in conversations] == [
        ("ok", ("Hi?", "Ref.", "imported")),
        ("not_imported", ("Hi?", "", "imported")),
    ]


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_turns_as_in_our_own_responses_are_imported_with_their_finish_reasons(tmp_path: Path, suffix: str) -> None:
    def turn(user: str, assistant: str, finish: str) -> Row:
        return {"user": user, "assistant": assistant, "finish_reason": finish, "prompt_tokens": 3}

    rows = [
        {"conversation_hash": "a", "status": "not_imported", "turns": [turn("Hi?", "", "imported")], "messages": []},
        {
            "conversation_hash": "b",
            "status": "context_overflow",
            "turns": [turn("One?", "1.", "stop"), turn("Two?", "", "context_overflow")],
            "messages": [],
        },
        {"conversation_hash": "c", "status": "ok", "turns": [turn("So?", "Yes.", "length")], "messages": []},
    ]
    conversations, replies = import_replies(PROMPTS, write(tmp_path / f"rows.{suffix}", rows))
    assert [(conversation.status, texts(conversation)) for conversation in conversations] == [
        ("not_imported", [("Hi?", "", "imported")]),
        ("context_overflow", [("One?", "1.", "stop"), ("Two?", "", "context_overflow")]),
        ("ok", [("So?", "Yes.", "length")]),
    ]
    assert replies.left_out == {"not_imported": 1}


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_wildchats_schema_is_joined_by_hash_and_what_it_lacks_is_not_imported(tmp_path: Path, suffix: str) -> None:
    rows = [wildchat("b", messages("One?", "1.", "Two?", "")), wildchat("a", messages("Hi?", "Hello."))]
    for row in rows:
        for message in row["conversation"]:
            del message["finish_reason"]
            message["header"] = {"role": "decoy"}
    conversations, replies = import_replies(PROMPTS, write(tmp_path / f"x.{suffix}", rows))
    assert [conversation.status for conversation in conversations] == ["ok", "ok", "not_imported"]
    assert texts(conversations[0]) == [("Hi?", "Hello.", "imported")]
    assert texts(conversations[1]) == [("One?", "1.", "imported"), ("Two?", "", "imported")]
    assert texts(conversations[2]) == [("So?", "", "imported")]
    assert replies.summary() == {"rows": 2, "imported": 2, "left_out": {}}


def test_a_published_set_keeps_how_each_reply_ended(tmp_path: Path) -> None:
    rows = [
        wildchat("a", messages("Hi?", "Hello.", finish="stop")),
        wildchat("b", messages("One?", "1.", "Two?", "", finish="no response")),
    ]
    rows[1]["conversation"][1]["finish_reason"] = "length"
    conversations, _ = import_replies(PROMPTS, write(tmp_path / "x.parquet", rows))
    assert [turn[2] for conversation in conversations for turn in texts(conversation)] == [
        "stop",
        "length",
        "no response",
        "imported",
    ]


def test_only_the_texts_of_a_published_set_are_read(tmp_path: Path) -> None:
    row = wildchat("a", messages("Hi?", "Hello.", finish="stop")) | {"role": "x", "language": "English"}
    row["conversation"][1] |= {"content_token_ids": [1, 2], "judgment_content": "4/5"}
    schema = pq.ParquetFile(write(tmp_path / "x.parquet", [row])).schema
    read = leaf_columns(schema, ["conversation_hash", "conversation"], MESSAGE_FIELDS)
    assert {(path.split(".")[0], path.split(".")[-1]) for path in read} == {
        ("conversation_hash", "conversation_hash"), ("conversation", "role"), ("conversation", "content"),
        ("conversation", "finish_reason"),
    }  # fmt: skip


def test_where_picks_the_replies_of_one_model_from_a_file_of_many(tmp_path: Path) -> None:
    rows = [{"dgm": dgm, "session": name, "text": f"{dgm} {name}"} for dgm in ("x", "y") for name in "abz"]
    file = write(tmp_path / "x.parquet", rows)
    pq.write_table(
        pq.read_table(file).set_column(0, "dgm", pa.array([r["dgm"] for r in rows]).dictionary_encode()), file
    )
    columns = {"conversation_hash": "session", "response": "text"}
    conversations, replies = import_replies(PROMPTS, file, columns=columns, where={"dgm": "y"})
    assert texts(conversations[0]) == [("Hi?", "y a", "imported")]
    assert replies.summary() == {
        "rows": 6, "imported": 1, "left_out": {"not_a_prompt": 1, "not_in_where": 3, "one_reply_for_many_turns": 1}
    }  # fmt: skip
    assert (conversations[1].status, conversations[2].status) == ("not_imported", "not_imported")
    with pytest.raises(UserError, match=r"no row is \{'dgm': 'z'\}; there are: x, y"):
        import_replies(PROMPTS, file, columns=columns, where={"dgm": "z"})


def test_a_flat_format_may_hold_the_users_text_and_the_finish_reason(tmp_path: Path) -> None:
    rows = [{"conversation_hash": "a", "asked": "Hey?", "response": "Hello.", "finish_reason": "length"}]
    conversations, _ = import_replies(PROMPTS, write(tmp_path / "x.jsonl", rows), columns={"user": "asked"})
    assert texts(conversations[0]) == [("Hey?", "Hello.", "length")]


def test_the_imported_user_text_is_kept_so_that_validation_sees_a_difference(tmp_path: Path) -> None:
    conversations, _ = import_replies(PROMPTS, write(tmp_path / "x.parquet", [wildchat("b", messages("Other?", "1."))]))
    assert (conversations[1].status, texts(conversations[1])) == ("ok", [("Other?", "1.", "imported")])


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (wildchat("b", messages("One?", "1.")[::-1]), "roles_do_not_alternate"),
        (wildchat("b", messages("One?", None)), "null_content"),
        (wildchat("b", messages(None, "1.")), "null_content"),
        (wildchat("b", messages("One?", "1.", "Two?")), "last_reply_missing"),
        (wildchat("b", []), "no_messages"),
        (wildchat("a", messages("Hi?", "Hello.")), "duplicate_conversation"),
        (wildchat("z", messages("Hi?", "Hello.")), "not_a_prompt"),
        (wildchat(None, messages("Hi?", "Hello.")), "null_hash"),
    ],
)
def test_a_row_that_is_left_out_is_counted(tmp_path: Path, suffix: str, row: Row, reason: str) -> None:
    rows = [wildchat("a", messages("Hi?", "Hello.")), row]
    conversations, replies = import_replies(PROMPTS, write(tmp_path / f"x.{suffix}", rows))
    assert replies.summary() == {"rows": 2, "imported": 1, "left_out": {reason: 1}}
    assert (texts(conversations[0])[0][1], conversations[1].status) == ("Hello.", "not_imported")


def test_half_a_surrogate_pair_is_not_a_text(tmp_path: Path) -> None:
    rows = [wildchat("a", messages("Hi?", "Hello.")), wildchat("c", messages("So?", "\ud83d"))]
    _, replies = import_replies(PROMPTS, write(tmp_path / "x.jsonl", rows))
    assert replies.summary() == {"rows": 2, "imported": 1, "left_out": {"lone_surrogate": 1}}


@pytest.mark.parametrize(
    ("rows", "keys", "message"),
    [
        ([{"id": "a", "text": "x"}], {}, r"no column 'conversation_hash'; it has: id, text"),
        (
            [{"conversation_hash": "a", "text": "x"}],
            {},
            r"columns conversation_hash, text; an import needs .* dgms/m.yaml",
        ),
        ([{"conversation_hash": "a", "response": "x"}], {"columns": {"response": "y"}}, r"has no column 'y'; it has"),
        ([{"conversation_hash": "a", "response": "x"}], {"where": {"dgm": "y"}}, r"has no column 'dgm'; it has"),
        (
            [{"conversation_hash": "q", "response": "x"}],
            {},
            r"none of its 1 rows answers a prompt: {'not_a_prompt': 1}",
        ),
    ],
)
def test_a_file_of_no_known_format_is_reported_with_its_columns(
    tmp_path: Path, rows: list[Row], keys: dict[str, Any], message: str
) -> None:
    for name in ("x.parquet", "x.jsonl"):
        with pytest.raises(UserError, match=message):
            import_replies(PROMPTS, write(tmp_path / name, rows), **keys)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "x.parquet").write_text("torn"), r"x.parquet is not readable as parquet"),
        (lambda folder: (folder / "y.jsonl").write_text("{}\n{"), r"y.jsonl has no column 'conversation_hash'"),
        (lambda folder: (folder / "y.jsonl").write_text("[1]\n"), r"none of its 1 rows .*{'not_an_object': 1}"),
        (lambda folder: (folder / "note.txt").write_text("x"), r"no file there ends in .parquet or .jsonl"),
    ],
)
def test_an_unreadable_file_is_reported_by_name(tmp_path: Path, spoil: Callable[[Path], Any], message: str) -> None:
    spoil(tmp_path)
    with pytest.raises(UserError, match=message):
        import_replies(PROMPTS, tmp_path)


def test_a_folder_is_read_whole_or_by_pattern(tmp_path: Path) -> None:
    for name in "abc":
        write(tmp_path / f"{name}.jsonl", [{"conversation_hash": name, "response": name}])
    assert import_replies(PROMPTS, tmp_path)[1].rows == 3
    assert import_replies(PROMPTS, tmp_path, files="a*")[1].rows == 1


def test_a_file_that_changed_after_it_was_resolved_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", [{"conversation_hash": "a", "response": "x"}])
    with pytest.raises(UserError, match=r"x.jsonl does not match the digest in models/m/model.json"):
        import_replies(PROMPTS, file, commit="0" * 64)


def checkout(root: Path) -> Path:
    (root / "data" / "prompts").mkdir(parents=True)
    rows = [{**row, "source": "s", "language": "English", "toxic": False} for row in PROMPTS]
    pq.write_table(pa.Table.from_pylist(rows, schema=PROMPT), root / "data" / "prompts" / "shard-00000.parquet")
    (root / "params.yaml").write_text(json.dumps(small_params()))
    return root


def test_the_stage_writes_an_imported_dgm_like_a_generated_one_and_counts_what_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout(tmp_path))
    file = write(tmp_path / "x.parquet", [wildchat("a", messages("Hi?", "Hello.", finish="stop")), wildchat("z", [])])
    (tmp_path / "models" / "m").mkdir(parents=True)
    save_model(tmp_path / "models" / "m", import_model(file))
    main("m")
    rows = read_table(tmp_path / "data" / "responses" / "m").to_pylist()
    assert [(row["conversation_hash"], row["status"], row["engine"]) for row in rows] == [
        ("a", "ok", "import"), ("b", "not_imported", "import"), ("c", "not_imported", "import"),
    ]  # fmt: skip
    assert read_json(tmp_path / "data" / "responses" / "m" / ".summary.json") == {
        "conversations": 3,
        "status": {"ok": 1, "not_imported": 2},
        "finish_reasons": {"stop": 1, "imported": 3},
        "import": {"rows": 2, "imported": 1, "left_out": {"not_a_prompt": 1}},
    }


def test_a_set_of_the_hub_is_pinned_by_resolve_and_downloaded_by_generate_at_that_commit(tmp_path: Path) -> None:
    root = checkout(tmp_path)
    (root / "dgms").mkdir()
    (root / "dgms" / "m.yaml").write_text("name: M\nimport: hub:lab/set\nrevision: main\nfiles: data/*.parquet\n")
    file = write(tmp_path / "x.parquet", [wildchat("a", messages("Hi?", "Hello.", finish="stop"))])
    with serve({"datasets/lab/set": {"data/train-0.parquet": file.read_bytes(), "other.parquet": b"no"}}) as hub:
        hub.run(root, "stages.resolve", "m")
        assert read_json(root / "models" / "m" / "model.json")["commit"] == COMMIT
        hub.run(root, "stages.generate", "m")
        assert not [path for path in hub.requests if path.endswith("other.parquet")]
    rows = read_table(root / "data" / "responses" / "m").to_pylist()
    assert [row["status"] for row in rows] == ["ok", "not_imported", "not_imported"]
    assert rows[0]["turns"][0]["assistant"] == "Hello."


def test_thoughts_are_stripped_of_imported_replies_as_of_generated_ones(tmp_path: Path) -> None:
    thought = "<think>Hm.</think>Yes."
    file = write(tmp_path / "r.jsonl", [{"conversation_hash": name, "response": thought} for name in "ab"])
    config = replace(CONFIG, thinking="strip")
    replies = read_replies(import_model(file), {"a"})
    [given] = ImportedConversations(MODEL, config, replies).conversations([make_prompt("a", "Hi?")])
    [own] = ImportedConversations(MODEL, config, None).conversations([make_prompt("a", "Hi?", reference=thought)])
    for conversation in (given, own):
        assert (conversation.turns[0]["assistant"], conversation.turns[0]["raw"]) == ("Yes.", thought)
    [kept] = ImportedConversations(MODEL, CONFIG, replies).conversations([make_prompt("a", "Hi?")])
    assert (kept.turns[0]["assistant"], kept.turns[0]["raw"]) == (thought, "")
