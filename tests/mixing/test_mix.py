"""Which rows go into a mix, in which order, and what its manifest says."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages import mix
from stages.lib.console.errors import UserError
from stages.lib.core.files import read_json, sha256_folder, write_json
from stages.lib.mixing.external_sort import RowSelection, read_by_rank
from stages.lib.mixing.selection import keyed_hashes, number_repeats
from stages.lib.mixing.token_lengths import TokenCounter
from stages.lib.models.catalogue import Model, save_model, weights_digest
from stages.lib.records.chats import CHAT
from stages.lib.records.hashing import keyed_hash
from stages.lib.records.responses import RESPONSE
from stages.lib.records.shards import read_rows, write_table
from stages.lib.records.verdicts import VERDICT
from tests.support.project import ROOT

BASE = Model(
    id="base", name="B", location=str(ROOT / "demo/models/demo-base"), kind="local",
    commit=weights_digest(ROOT / "demo/models/demo-base"), parameters_billions=0.0012, context_window=2048,
)  # fmt: skip
FILTERS = {"min_turns": 1, "languages": [], "exclude_toxic": False}


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("models/base").mkdir(parents=True)
    save_model(Path("models/base"), BASE)


def response(name: str, *turns: tuple[str, str], **verdict: Any) -> dict[str, Any]:
    """A conversation of a DGM and its verdict, as columns of both."""
    told = [{"user": user, "assistant": reply} for user, reply in turns or [(f"What is {name}?", f"It is {name}.")]]
    defaults = {"keep": True, "language": "English", "toxic": False}
    return {"conversation_hash": name, "identity": name, "turns": told} | defaults | verdict


def write_dgm(dgm: str, rows: list[dict[str, Any]], rows_per_shard: int = 1000) -> None:
    """Write responses and verdicts of a DGM."""
    verdicts = [row | {"turns": len(row["turns"])} for row in rows]
    for folder, content, schema in (("responses", rows, RESPONSE), ("verdicts", verdicts, VERDICT)):
        path = Path("data") / folder / dgm
        path.mkdir(parents=True, exist_ok=True)
        write_table(path, pa.Table.from_pylist(content, schema=schema), rows_per_shard)


def write_set(key: str, names: list[str]) -> None:
    """Write an auxiliary set of one-turn chats."""
    path = Path("data/auxiliary") / key
    path.mkdir(parents=True, exist_ok=True)
    said = [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"}]
    rows = [{"conversation_hash": name, "source": key, "messages": said} for name in names]
    write_table(path, pa.Table.from_pylist(rows, schema=CHAT))
    write_json(path / ".summary.json", {"license": "MIT", "origin": {}})


def recipe(take: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A recipe that takes so much of each source that is there; a plain number is rows."""
    sources = {}
    for name, amount in take.items():
        folders = {what: Path("data") / what / name for what in ("responses", "verdicts", "auxiliary")}
        found = {what: sha256_folder(path) for what, path in folders.items() if path.exists()}
        kind = "auxiliary" if "auxiliary" in found else "dgm"
        digests = {"rows": found["auxiliary"]} if kind == "auxiliary" else found
        sources[name] = {"kind": kind, "take": {"rows": amount} if isinstance(amount, int) else amount, **digests}
    return {"base": "base", "seed": 1, "on_shortage": "error", "sources": sources, "filters": FILTERS} | more


def make(take: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    """Make a mix; its rows."""
    write_json(Path("metrics/recipes.json"), {"runs": {"run": recipe(take, **more)}})
    mix.main("run")
    return list(read_rows(Path("data/mixes/run")))


def manifest() -> dict[str, Any]:
    found: dict[str, Any] = read_json(Path("data/manifests/run/.summary.json"))
    return found


def names(rows: list[dict[str, Any]], source: str = "a") -> set[str]:
    return {row["conversation_hash"] for row in rows if row["source"] == source}


MANY = [response(f"thing {number}") for number in range(60)]


def test_a_row_is_the_whole_conversation_as_chat_messages() -> None:
    write_dgm("a", [response("x", ("Hi?", "Hello."), ("So?", "So.")), response("no", keep=False)])
    [row] = make({"a": 1})
    assert (row["conversation_hash"], row["source"]) == ("x", "a")
    assert [(m["role"], m["content"]) for m in row["messages"]] == [
        ("user", "Hi?"), ("assistant", "Hello."), ("user", "So?"), ("assistant", "So."),
    ]  # fmt: skip


def test_a_mix_has_exactly_the_rows_asked_for_and_a_smaller_one_is_a_part_of_it() -> None:
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
    alone, beside = make({"a": 20}), make({"a": 20, "b": 20})
    assert names(alone) == names(beside) != names(beside, "b")


@pytest.mark.parametrize("workers", [1, 2])
def test_the_bytes_do_not_depend_on_the_order_of_the_sources_rows_or_on_the_workers(
    workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.lib.mixing.external_sort.WORKERS", workers)
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


def test_rows_come_out_in_any_order_in_parts_with_repeats() -> None:
    table = pa.table({"n": pa.array(range(1000))})
    Path("rows").mkdir()
    pq.write_table(table, "rows/0.parquet", row_group_size=50)
    places = np.concatenate([np.arange(1000), [7, 7]])
    ranks = np.random.default_rng(0).permutation(1002)
    reading = RowSelection(Path("rows"), ["n"], pa.Table.take, places, ranks)
    parts = list(read_by_rank([reading], rows_per_partition=100))
    assert [len(part) for part in parts] == [100] * 10 + [2]
    found = pa.concat_tables(parts)["n"].to_numpy()
    assert (found[ranks] == places).all()


def test_keys_of_many_names_are_the_keyed_hashes_of_each() -> None:
    found = keyed_hashes(7, "a", names=pa.chunked_array([["x", "日本"], [], ["y"]], pa.string()))
    assert found.tolist() == [keyed_hash(7, "a", name) for name in ("x", "日本", "y")]
    assert len(keyed_hashes(7, names=pa.chunked_array([], pa.string()))) == 0


def test_only_conversations_that_the_filters_let_through_are_taken_and_the_others_are_counted() -> None:
    rows = [
        response("kept", ("Hallo?", "Ja."), ("Wer?", "Ich."), language="German"),
        response("short", language="German"),
        response("english", ("Hi?", "Yes."), ("Who?", "Me.")),
        response("toxic", ("Hallo?", "Ja."), ("Wer?", "Ich."), language="German", toxic=True),
        response("bad", keep=False),
    ]
    write_dgm("a", rows)
    found = make({"a": 1}, filters={"min_turns": 2, "languages": ["German"], "exclude_toxic": True})
    assert names(found) == {"kept"}
    assert manifest()["left_out"] == {"a": {"not_kept": 1, "few_turns": 1, "language": 1, "toxic": 1}}


def test_a_shortage_is_an_error_or_capped_or_made_up_for_by_whole_repeats() -> None:
    write_dgm("a", [*MANY[:5], response("bad", keep=False)])
    with pytest.raises(UserError, match=r"a: 12 rows were asked for and 5 can be taken \(left out: not_kept 1\)"):
        make({"a": 12})
    assert len(make({"a": 12}, on_shortage="cap")) == 5
    found = [row["conversation_hash"] for row in make({"a": 12}, on_shortage="upsample")]
    assert len(found) == 12 and sorted({found.count(name) for name in found}) == [2, 3]
    thrice = {name for name in found if found.count(name) == 3}
    assert thrice == names(make({"a": 2}))
    assert list(number_repeats(np.array([4, 9, 4, 4, 9]))) == [0, 0, 1, 2, 1]


def test_a_set_can_be_taken_up_to_a_number_of_tokens() -> None:
    write_set("s", [str(number) for number in range(30)])
    make({"s": 1})
    each = manifest()["tokens"]
    found = make({"s": {"tokens": 4 * each + 1}})
    assert len(found) == 5 and manifest()["tokens"] == 5 * each
    assert names(found, "s") == names(make({"s": 5}), "s")
    make({"s": {"tokens": 3 * each}}, duplicates={"then": "flag", "similarity": 1.0})
    assert manifest()["duplicates"] == {"s": 2}  # of the three rows in the mix, not of all thirty
    with pytest.raises(UserError, match=f"s: {31 * each} tokens were asked for and {30 * each} can be taken"):
        make({"s": {"tokens": 31 * each}})


def test_with_a_reference_no_reply_is_longer_than_the_references_reply_to_the_same_turn() -> None:
    long, short = "one two three four five six seven eight", "one two three"
    write_dgm("a", [response("x", ("Hi?", long), ("So?", short)), response("y")])
    write_dgm("r", [response("x", ("Hi?", short), ("So?", long)), response("y", keep=False)])
    digests = {what: sha256_folder(Path("data") / what / "r") for what in ("responses", "verdicts")}
    write_set("s", ["1"])
    rows = make({"a": 1, "s": 1}, reference={"dgm": "r", **digests})
    [row] = [row for row in rows if row["source"] == "a"]
    assert [m["content"] for m in row["messages"]] == ["Hi?", short, "So?", short]
    assert manifest()["cut_replies"] == 1 and manifest()["left_out"] == {"a": {"not_in_reference": 1}}


def test_a_reference_with_other_turns_is_refused_in_one_line() -> None:
    write_dgm("a", [response("x", ("Hi?", "Yes."), ("So?", "So."))])
    write_dgm("r", [response("x", ("Hi?", "Yes."))])
    digests = {what: sha256_folder(Path("data") / what / "r") for what in ("responses", "verdicts")}
    with pytest.raises(UserError, match="the reference has 1 turns of a conversation of 2 that begins with 'Hi\\?'"):
        make({"a": 1}, reference={"dgm": "r", **digests})


def test_cutting_ends_with_a_whole_character_and_never_has_more_tokens() -> None:
    counter = TokenCounter(BASE)
    texts = ["日本語のテキスト🙂🙂🙂", "plain words go on and on", "short"]
    for limit in ("", "a", "日本", "a b c d"):
        cut = counter.truncate(texts, [limit] * 3)
        assert all(text.startswith(kept) for text, kept in zip(texts, cut, strict=True))
        [most, *found] = [len(ids) for ids in counter._encode([limit, *cut])]
        assert max(found) <= most


def test_the_manifest_describes_the_mix() -> None:
    write_dgm("a", [response("x", ("Hi?", "Yes."), ("So?", "So."), language="German"), response("y")])
    write_set("s", ["1", "2"])
    make({"a": 2, "s": 2})
    found = manifest()
    assert {name: part["rows"] for name, part in found["sources"].items()} == {"a": 2, "s": 2}
    assert {name: part["rows"] for name, part in found["languages"].items()} == {"German": 1, "English": 1}
    assert {name: part["rows"] for name, part in found["turns"].items()} == {"1": 3, "2": 1}
    assert found["rows"] == 4 and found["tokens"] == sum(part["tokens"] for part in found["sources"].values())
    assert found["longer_than"]["512"] == 0 and found["licenses"] == {"s": {"license": "MIT", "origin": {}}}
    ids = found["ids"]
    make({"a": 2, "s": 2}, seed=9)
    assert manifest()["ids"] == ids  # all rows there are, in another order
    make({"a": 2, "s": 1})
    assert manifest()["ids"] != ids


def test_verdicts_of_another_run_are_refused() -> None:
    write_dgm("a", MANY[:3])
    write_dgm("b", MANY[3:6])
    Path("data/responses/a/shard-00000.parquet").write_bytes(Path("data/responses/b/shard-00000.parquet").read_bytes())
    with pytest.raises(UserError, match="responses and verdicts of a DGM come from different runs"):
        make({"a": 3})


CLEAN = "A harbour is a place on the coast where ships may moor in shelter from the wind"
ASKED = "How many apples does Ann have if she buys seven apples and gives two of them to Ben today"


def write_benchmarks() -> dict[str, Any]:
    """One benchmark of one question; how a recipe names it."""
    Path("data/benchmarks").mkdir()
    rows = [{"benchmark": "apples", "document": "7", "text": ASKED}]
    write_table(Path("data/benchmarks"), pa.Table.from_pylist(rows))
    return {"words": 13, "benchmarks": sha256_folder(Path("data/benchmarks"))}


def test_a_contaminated_row_is_flagged_or_gives_its_place_to_the_next() -> None:
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
    found = make({"a": 9}, contamination=contamination | {"then": "drop"})
    assert names(found) == {str(number) for number in range(9)}
    assert manifest()["left_out"] == {"a": {"contaminated": 1}}
    with pytest.raises(UserError, match=r"10 rows were asked for and 9 can be taken \(left out: contaminated 1\)"):
        make({"a": 10}, contamination=contamination | {"then": "drop"})


@pytest.mark.parametrize(("similarity", "distinct"), [(1.0, 8), (0.7, 4)])
def test_of_rows_that_repeat_one_another_one_is_taken_and_mixes_stay_nested(similarity: float, distinct: int) -> None:
    long = "tell me about the old harbour of the town and what people there say about the sea in winter and spring"
    texts = [f"{number} {long} {number}" + end for number in ("one", "two", "six", "ten") for end in ("", " please")]
    write_dgm("a", [response(f"{text} {copy}", (text, "Yes.")) for text in texts for copy in range(3)])
    how = {"then": "drop", "similarity": similarity}
    found = make({"a": 20}, duplicates=how, on_shortage="cap")
    assert len(found) == distinct and manifest()["duplicates"] == {"a": 24 - distinct}
    assert names(make({"a": 3}, duplicates=how)) < names(found)
    assert len(make({"a": 24}, duplicates=how | {"then": "flag"})) == 24
