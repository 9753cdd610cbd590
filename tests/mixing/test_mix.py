"""The mix stage: the rows of a mix, their order, and the manifest."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.lib.console.errors import UserError
from stages.lib.core.files import sha256_folder
from stages.lib.mixing.token_lengths import TokenCounter
from stages.lib.models.catalogue import save_model
from stages.lib.records.shards import write_table
from tests.support.mixes import BASE, MANY, make, manifest, names, response, write_dgm, write_set


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("models/base").mkdir(parents=True)
    save_model(Path("models/base"), BASE)


def test_a_row_is_the_whole_conversation_as_chat_messages() -> None:
    write_dgm("a", [response("x", ("Hi?", "Hello."), ("So?", "So.")), response("no", keep=False)])
    [row] = make({"a": 1})
    assert (row["conversation_hash"], row["source"]) == ("x", "a")
    assert [(m["role"], m["content"]) for m in row["messages"]] == [
        ("user", "Hi?"), ("assistant", "Hello."), ("user", "So?"), ("assistant", "So."),
    ]  # fmt: skip


def test_a_mix_has_exactly_the_rows_asked_for_and_a_smaller_one_is_a_subset() -> None:
    write_dgm("a", MANY)
    write_set("s", [str(number) for number in range(30)])
    small, medium, large = (make({"a": size, "s": 10}) for size in (10, 25, 50))
    assert [len(rows) for rows in (small, medium, large)] == [20, 35, 60]
    assert names(small) < names(medium) < names(large)
    assert names(small, "s") == names(large, "s")
    assert names(make({"a": 10}, seed=2)) != names(small)


def test_the_choice_of_a_source_does_not_depend_on_the_other_sources() -> None:
    write_dgm("a", MANY)
    write_dgm("b", MANY)
    alone, both = make({"a": 20}), make({"a": 20, "b": 20})
    assert names(alone) == names(both) != names(both, "b")


@pytest.mark.parametrize("workers", [1, 2])
def test_the_bytes_do_not_depend_on_the_order_of_the_sources_rows_or_on_the_workers(
    workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.lib.records.external_sort.WORKERS", workers)
    write_set("s", [str(number) for number in range(30)])
    write_dgm("a", MANY, rows_per_shard=7)
    make({"a": 40, "s": 30})
    before = sha256_folder(Path("data/mixes/run"))
    shuffled = random.Random(workers).sample(MANY, len(MANY))
    write_dgm("a", shuffled, rows_per_shard=60)
    for folder in (Path("data/responses/a"), Path("data/verdicts/a")):
        for file in sorted(folder.glob("*.parquet"))[1:]:
            file.unlink()
    make({"s": 30, "a": 40})
    assert sha256_folder(Path("data/mixes/run")) == before


def test_filters_leave_out_conversations_and_count_them_by_reason() -> None:
    rows = [
        response("kept", ("Hallo?", "Ja."), ("Wer?", "Ich."), language="German"),
        response("short", language="German"),
        response("english", ("Hi?", "Yes."), ("Who?", "Me.")),
        response("toxic", ("Hallo?", "Ja."), ("Wer?", "Ich."), language="German", toxic=True),
        response("bad", keep=False),
    ]
    write_dgm("a", rows)
    mixed = make({"a": 1}, filters={"min_turns": 2, "languages": ["German"], "exclude_toxic": True})
    assert names(mixed) == {"kept"}
    assert manifest()["left_out"] == {"a": {"not_kept": 1, "few_turns": 1, "language": 1, "toxic": 1}}


def test_a_shortage_is_an_error_or_capped_or_filled_with_whole_repeats() -> None:
    write_dgm("a", [*MANY[:5], response("bad", keep=False)])
    with pytest.raises(UserError, match=r"a: 12 rows were asked for and 5 can be taken \(left out: not_kept 1\)"):
        make({"a": 12})
    assert len(make({"a": 12}, on_shortage="cap")) == 5
    hashes = [row["conversation_hash"] for row in make({"a": 12}, on_shortage="upsample")]
    assert len(hashes) == 12 and sorted({hashes.count(name) for name in hashes}) == [2, 3]
    thrice = {name for name in hashes if hashes.count(name) == 3}
    assert thrice == names(make({"a": 2}))


def test_a_set_can_be_taken_up_to_a_number_of_tokens() -> None:
    write_set("s", [str(number) for number in range(30)])
    make({"s": 1})
    each = manifest()["tokens"]
    rows = make({"s": {"tokens": 4 * each + 1}})
    assert len(rows) == 5 and manifest()["tokens"] == 5 * each
    assert names(rows, "s") == names(make({"s": 5}), "s")
    make({"s": {"tokens": 3 * each}}, duplicates={"then": "flag", "similarity": 1.0})
    assert manifest()["duplicates"] == {"s": 2}  # of the three rows in the mix, not of all thirty
    with pytest.raises(UserError, match=f"s: {31 * each} tokens were asked for and {30 * each} can be taken"):
        make({"s": {"tokens": 31 * each}})


def test_no_reply_is_longer_than_the_references_reply_to_the_same_turn() -> None:
    long, short = "one two three four five six seven eight", "one two three"
    write_dgm("a", [response("x", ("Hi?", long), ("So?", short)), response("y")])
    write_dgm("r", [response("x", ("Hi?", short), ("So?", long)), response("y", keep=False)])
    digests = {what: sha256_folder(Path("data") / what / "r") for what in ("responses", "verdicts")}
    write_set("s", ["1"])
    rows = make({"a": 1, "s": 1}, reference={"dgm": "r", **digests})
    [row] = [row for row in rows if row["source"] == "a"]
    assert [m["content"] for m in row["messages"]] == ["Hi?", short, "So?", short]
    assert manifest()["cut_replies"] == 1 and manifest()["left_out"] == {"a": {"not_in_reference": 1}}


def test_a_reference_with_other_turns_is_an_error_of_one_line() -> None:
    write_dgm("a", [response("x", ("Hi?", "Yes."), ("So?", "So."))])
    write_dgm("r", [response("x", ("Hi?", "Yes."))])
    digests = {what: sha256_folder(Path("data") / what / "r") for what in ("responses", "verdicts")}
    with pytest.raises(UserError, match="the reference has 1 turns of a conversation of 2 that begins with 'Hi\\?'"):
        make({"a": 1}, reference={"dgm": "r", **digests})


def test_truncation_keeps_whole_characters_and_never_exceeds_the_tokens() -> None:
    counter = TokenCounter(BASE)
    texts = ["日本語のテキスト🙂🙂🙂", "plain words go on and on", "short"]
    for limit in ("", "a", "日本", "a b c d"):
        truncated = counter.truncate(texts, [limit] * 3)
        assert all(text.startswith(kept) for text, kept in zip(texts, truncated, strict=True))
        [limit_length, *lengths] = [len(ids) for ids in counter._encode([limit, *truncated])]
        assert max(lengths) <= limit_length


def test_the_manifest_describes_the_mix() -> None:
    write_dgm("a", [response("x", ("Hi?", "Yes."), ("So?", "So."), language="German"), response("y")])
    write_set("s", ["1", "2"])
    make({"a": 2, "s": 2})
    summary = manifest()
    assert {name: part["rows"] for name, part in summary["sources"].items()} == {"a": 2, "s": 2}
    assert {name: part["rows"] for name, part in summary["languages"].items()} == {"German": 1, "English": 1}
    assert {name: part["rows"] for name, part in summary["turns"].items()} == {"1": 3, "2": 1}
    assert summary["rows"] == 4 and summary["tokens"] == sum(part["tokens"] for part in summary["sources"].values())
    assert summary["longer_than"]["512"] == 0 and summary["licenses"] == {"s": {"license": "MIT", "origin": {}}}
    ids = summary["ids"]
    make({"a": 2, "s": 2}, seed=9)
    assert manifest()["ids"] == ids  # all rows there are, in another order
    make({"a": 2, "s": 1})
    assert manifest()["ids"] != ids


def test_verdicts_of_other_responses_are_an_error() -> None:
    write_dgm("a", MANY[:3])
    write_dgm("b", MANY[3:6])
    Path("data/responses/a/shard-00000.parquet").write_bytes(Path("data/responses/b/shard-00000.parquet").read_bytes())
    with pytest.raises(UserError, match="responses and verdicts of a DGM come from different runs"):
        make({"a": 3})


CLEAN = "A harbour is a place on the coast where ships may moor in shelter from the wind"
ASKED = "How many apples does Ann have if she buys seven apples and gives two of them to Ben today"


def write_benchmarks() -> dict[str, Any]:
    """Write a benchmark of one question; its entry in a recipe."""
    Path("data/benchmarks").mkdir()
    rows = [{"benchmark": "apples", "document": "7", "text": ASKED}]
    write_table(Path("data/benchmarks"), pa.Table.from_pylist(rows))
    return {"words": 13, "benchmarks": sha256_folder(Path("data/benchmarks"))}


def test_a_contaminated_row_is_flagged_or_replaced_by_the_next() -> None:
    rows = [response(f"{number}", (f"{number} {CLEAN}?", "Yes.")) for number in range(9)]
    bad = response("bad", ("Help me:", f"Think! {ASKED.upper()}?"))
    write_dgm("a", [*rows, bad])
    contamination = write_benchmarks()
    assert names(make({"a": 10}, contamination=contamination | {"then": "flag"})) > {"bad"}
    assert manifest()["contaminated"] == {"apples": 1}
    assert pq.read_table("data/manifests/run/found.parquet").to_pylist() == [
        {
            "source": "a", "conversation_hash": "bad", "reason": "contaminated", "dropped": False, "of": "apples",
            "document": "7",
        }
    ]  # fmt: skip
    clean = make({"a": 9}, contamination=contamination | {"then": "drop"})
    assert names(clean) == {str(number) for number in range(9)}
    assert manifest()["left_out"] == {"a": {"contaminated": 1}}
    with pytest.raises(UserError, match=r"10 rows were asked for and 9 can be taken \(left out: contaminated 1\)"):
        make({"a": 10}, contamination=contamination | {"then": "drop"})


@pytest.mark.parametrize(("similarity", "distinct"), [(1.0, 8), (0.7, 4)])
def test_one_of_several_duplicates_is_taken_and_mixes_stay_nested(similarity: float, distinct: int) -> None:
    long = "tell me about the old harbour of the town and what people there say about the sea in winter and spring"
    texts = [f"{number} {long} {number}" + end for number in ("one", "two", "six", "ten") for end in ("", " please")]
    write_dgm("a", [response(f"{text} {copy}", (text, "Yes.")) for text in texts for copy in range(3)])
    duplicates = {"then": "drop", "similarity": similarity}
    rows = make({"a": 20}, duplicates=duplicates, on_shortage="cap")
    assert len(rows) == distinct and manifest()["duplicates"] == {"a": 24 - distinct}
    assert names(make({"a": 3}, duplicates=duplicates)) < names(rows)
    assert len(make({"a": 24}, duplicates=duplicates | {"then": "flag"})) == 24
