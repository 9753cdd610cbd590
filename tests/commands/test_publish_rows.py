"""The files of a published set: equal rows in equal bytes, a thousand rows in memory, licences found by name."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from commands.publish.cards.dataset_card import explain_reason
from commands.publish.cards.languages import language_codes
from commands.publish.provenance import hide_folders, read_lineage
from commands.publish.rows import PUBLISHED, Choice, read_published
from commands.publish.shards import write_shards
from commands.publish.statistics import Counts
from stages.lib.console.errors import UserError
from stages.lib.core.types import Row
from stages.lib.records.responses import RESPONSE
from stages.lib.records.shards import write_table
from stages.lib.records.verdicts import VERDICT
from stages.lib.settings.licenses import find_license

SCHEMA = pa.schema([("n", pa.int64()), ("text", pa.string())])


def numbers(*sizes: int) -> Iterator[pa.Table]:
    """Tables of consecutive numbers, of these lengths."""
    first = 0
    for size in sizes:
        rows = range(first, first + size)
        yield pa.table([[*rows], [f"text {row * 7919}" * 20 for row in rows]], schema=SCHEMA)
        first += size


def turn(user: str, assistant: str, finish: str = "stop", tokens: int = 5) -> Row:
    own = {"user": user, "assistant": assistant, "raw": "", "finish_reason": finish, "prompt_sha": ""}
    return own | {"prompt_tokens": 3, "completion_tokens": tokens, "trimmed_turns": 0}


def response(name: str, *turns: Row, status: str = "ok", **more: str) -> Row:
    own = {"identity": f"i-{name}", "conversation_hash": name, "dgm": "m", "turns": [*turns], "status": status}
    return own | {"reason": "", "history": "own", "seed": 1, "engine": "e"} | more


def verdict(name: str, *reasons: str, toxic: bool = False, keep: bool = True, language: str = "English") -> Row:
    own = {"conversation_hash": name, "identity": f"i-{name}", "keep": keep, "reasons": [*reasons]}
    return own | {"language": language, "toxic": toxic, "turns": 1}


def write(folder: Path, responses: list[Row], verdicts: list[Row]) -> tuple[Path, Path]:
    """Write responses, with a column `system` if one of them has any, and the verdicts on them."""
    schema = RESPONSE.append(pa.field("system", pa.string())) if "system" in responses[0] else RESPONSE
    for name, rows, kind in (("responses", responses, schema), ("verdicts", verdicts, VERDICT)):
        (folder / name / "m").mkdir(parents=True)
        write_table(folder / name / "m", pa.Table.from_pylist(rows, schema=kind), rows_per_shard=2)
    return folder / "responses" / "m", folder / "verdicts" / "m"


ROWS = [
    response("a", turn("Hi?", "Hello.")),
    response("b", turn("One?", "1."), turn("Two?", "", "context_overflow"), status="context_overflow"),
    response("c", turn("So?", "Yes.", "length")),
]
VERDICTS = [verdict("a"), verdict("b", "context_overflow", keep=False), verdict("c", toxic=True, language="")]


def test_rows_have_both_turns_and_messages_and_what_validation_says(tmp_path: Path) -> None:
    rows = pa.concat_tables(read_published(*write(tmp_path, ROWS, VERDICTS), Choice())).to_pylist()
    assert [row["conversation_hash"] for row in rows] == ["a", "b", "c"]
    assert rows[1]["messages"] == [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "1."},
        {"role": "user", "content": "Two?"},
        {"role": "assistant", "content": ""},
    ]
    assert (rows[1]["keep"], rows[1]["reasons"], rows[1]["system"]) == (False, ["context_overflow"], "")
    assert rows[1]["turns"] == ROWS[1]["turns"]


def test_a_system_message_begins_the_messages(tmp_path: Path) -> None:
    folders = write(tmp_path, [response("a", turn("Hi?", "Hello."), system="Be brief.")], [verdict("a")])
    (row,) = pa.concat_tables(read_published(*folders, Choice())).to_pylist()
    assert row["system"] == "Be brief."
    assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]


def test_a_row_that_is_left_out_is_counted_under_one_reason(tmp_path: Path) -> None:
    verdicts = [verdict("a"), verdict("b", "loop", keep=False, toxic=True), verdict("c", toxic=True)]
    choice = Choice(kept=True, toxic=False)
    rows = pa.concat_tables(read_published(*write(tmp_path, ROWS, verdicts), choice))
    assert rows["conversation_hash"].to_pylist() == ["a"]
    assert choice.left_out == {"not_kept": 1, "toxic_prompt": 1}


def test_counts_take_no_token_of_a_turn_without_a_reply(tmp_path: Path) -> None:
    counts = Counts()
    assert [*counts.count(read_published(*write(tmp_path, ROWS, VERDICTS), Choice()))]
    found = counts.to_json()
    assert (found["rows"], found["turns"], found["replies"], found["completion_tokens"]) == (3, 4, 3, 15)
    assert (found["kept"], found["toxic"], found["reply_chars"]) == (2, 1, len("Hello.1.Yes."))
    assert found["finish_reasons"] == {"stop": 2, "context_overflow": 1, "length": 1}
    assert found["languages"] == {"English": 2, "not named": 1}


@pytest.mark.parametrize("verdicts", [VERDICTS[:2], VERDICTS[::-1], [*VERDICTS, verdict("d")]])
def test_verdicts_that_are_not_those_on_the_rows_are_an_error(tmp_path: Path, verdicts: list[Row]) -> None:
    with pytest.raises(UserError, match="data/verdicts/m is not on the rows of"):
        [*read_published(*write(tmp_path, ROWS, verdicts), Choice())]


def test_equal_rows_give_equal_files_however_the_tables_are_cut(tmp_path: Path) -> None:
    one = write_shards(tmp_path / "one", numbers(2500), SCHEMA)
    other = write_shards(tmp_path / "other", numbers(999, 0, 2, 1499), SCHEMA)
    assert [file.read_bytes() for file in one] == [file.read_bytes() for file in other]


def test_a_file_ends_at_its_size_and_names_say_how_many_there_are(tmp_path: Path) -> None:
    files = write_shards(tmp_path / "set", numbers(3500), SCHEMA, shard_bytes=1)
    assert [file.name for file in files] == [f"train-0000{number}-of-00004.parquet" for number in range(4)]
    assert [pq.read_metadata(file).num_rows for file in files] == [1000, 1000, 1000, 500]
    assert pq.read_table(tmp_path / "set")["n"].to_pylist() == [*range(3500)]
    assert not list((tmp_path / "set").glob("*.tmp"))


def test_files_have_a_page_index_and_the_schema(tmp_path: Path) -> None:
    (file,) = write_shards(tmp_path / "set", numbers(1500), SCHEMA)
    column = pq.read_metadata(file).row_group(0).column(0)
    assert column.has_offset_index and column.has_column_index
    assert pq.read_schema(file) == SCHEMA


def test_without_rows_there_is_no_file(tmp_path: Path) -> None:
    assert write_shards(tmp_path / "set", numbers(0), SCHEMA) == []


def test_most_pages_stay_as_they_are_when_one_row_is_put_before_the_others(tmp_path: Path) -> None:
    """What content-defined chunking is for: the hub stores only the pages that changed."""
    texts = [b"".join(sha256(f"{row} {part}".encode()).digest() for part in range(100)).hex() for row in range(500)]
    rows = pa.table([[*range(500)], texts], schema=SCHEMA)
    first = pa.table([[-1], ["a new row"]], schema=SCHEMA)
    (before,) = write_shards(tmp_path / "before", [rows], SCHEMA)
    (after,) = write_shards(tmp_path / "after", [first, rows], SCHEMA)
    content, changed = before.read_bytes(), after.read_bytes()
    parts = [content[start : start + 4096] for start in range(0, len(content) - 4096, 4096)]
    assert sum(part in changed for part in parts) > len(parts) / 2


def test_memory_holds_no_more_when_there_are_more_rows(tmp_path: Path) -> None:
    held = []

    def watched(count: int) -> Iterator[pa.Table]:
        before = pa.total_allocated_bytes()
        for table in numbers(*[1000] * count):
            held.append(pa.total_allocated_bytes() - before)
            yield table

    write_shards(tmp_path / "few", watched(5), SCHEMA)
    few, held[:] = max(held), []
    write_shards(tmp_path / "many", watched(25), SCHEMA)
    assert max(held) < 1.5 * few


def test_the_lineage_has_what_an_out_was_made_from_and_nothing_else(tmp_path: Path) -> None:
    lock = tmp_path / "dvc.lock"
    lock.write_text(
        "stages:\n"
        "  one: {deps: [{path: /home/ann/raw.csv, md5: r}], outs: [{path: data/one, md5: a}]}\n"
        "  two: {deps: [{path: data/one, md5: a}], outs: [{path: data/two, md5: b}, {path: data/log, md5: l}]}\n"
        "  three: {deps: [{path: data/two, md5: b}], outs: [{path: data/three, md5: c}]}\n"
    )
    assert read_lineage(["data/two"], lock) == {"data/one": "a", "data/two": "b", "raw.csv": "r"}
    with pytest.raises(UserError, match="does not know data/four"):
        read_lineage(["data/four"], lock)


def test_of_an_absolute_path_only_the_name_is_published() -> None:
    params = {"source": "/home/ann/set.parquet", "sets": ["~/x/y", "data/hub/z"], "n": 3}
    assert hide_folders(params) == {"source": "set.parquet", "sets": ["y", "data/hub/z"], "n": 3}


def test_licences_are_found_in_any_case_and_others_keep_their_name_and_address() -> None:
    assert find_license("apache-2.0").hub == "apache-2.0"
    other = find_license("Acme Model Terms (https://example.org/terms)")
    assert (other.name, other.link, other.hub) == ("Acme Model Terms", "https://example.org/terms", "other")
    assert (find_license("").name, find_license("").link) == ("not stated", "")


def test_languages_have_codes_and_unknown_names_none() -> None:
    assert language_codes(["English", "Chinese", "German", "Klingon", "not named"]) == ["de", "en", "zh"]


def test_a_reason_with_a_word_of_its_own_is_explained_by_its_kind() -> None:
    assert explain_reason("loop").startswith("a reply ends in the same text")
    assert "abort" in explain_reason("finish_abort")
    assert set(PUBLISHED.names) == {
        *RESPONSE.names, "system", "messages", "language", "toxic", "keep", "reasons"
    }  # fmt: skip
