"""From source rows to a mix: what is kept, what is left out under which name, and which rows are chosen."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages import fetch
from stages.lib.console.errors import UserError
from stages.lib.core.files import new_folder, sha256_folder
from stages.lib.core.sections import parse
from stages.lib.engines.base import Usage
from stages.lib.generation.costs import COST, attribute_cost, summarize
from stages.lib.records.shards import read_table, write_table
from stages.lib.settings.sections import Amount, Hub, Mix, Prompts, Run
from stages.prompts import read_source, select
from stages.recipes import recipe, split, wanted
from stages.throughput import correlations, cost
from tests.support.project import conversation

PROMPTS = Prompts(source="x.parquet", max_prompts=10, max_turns=2, languages=[], exclude_toxic=False, seed=1)


def said(*contents: str | None) -> list[dict[str, Any]]:
    roles = ("user", "assistant")
    return [{"role": roles[number % 2], "content": content} for number, content in enumerate(contents)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (conversation(1, 3), "too_many_turns"),
        (conversation(1, 1, conversation_hash=None), "null_hash"),
        (conversation(1, 1, conversation=[]), "no_messages"),
        (conversation(1, 1, conversation=None), "no_messages"),
        (conversation(1, 1, conversation=said(" \n", "x")), "empty_user_turn"),
        (conversation(1, 1, conversation=said(None, "x")), "null_content"),
        (conversation(1, 1, conversation=said("a", "b")[::-1]), "roles_do_not_alternate"),
    ],
)
def test_a_row_that_cannot_be_asked_is_counted_under_its_reason(row: dict[str, Any], reason: str) -> None:
    assert select([row], PROMPTS) == ([], {reason: 1})


def test_a_second_row_of_the_same_hash_is_a_duplicate_and_filters_count_too() -> None:
    rows = [
        conversation(1, 1),
        conversation(1, 2),
        conversation(2, 1, toxic=True),
        conversation(3, 1, language="German"),
    ]
    prompts = PROMPTS.model_copy(update={"languages": ["English"], "exclude_toxic": True})
    kept, left_out = select(rows, prompts)
    assert [row["conversation_hash"] for row in kept] == [f"{1:032x}"]
    assert left_out == {"duplicate_hash": 1, "other_language": 1, "toxic": 1}


def test_user_text_is_kept_byte_for_byte() -> None:
    text = "  <|eot_id|>\r\n\u200b tail \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16") + " "
    kept, _ = select([conversation(1, 1, conversation=said(text, "reply"))], PROMPTS)
    assert kept[0]["turns"] == [{"user": text, "reference": "reply"}]


def test_fewer_prompts_are_a_prefix_of_more_whatever_the_order_of_the_file() -> None:
    rows = [conversation(number, 1) for number in range(20)]
    many, _ = select(rows, PROMPTS.model_copy(update={"max_prompts": 15}))
    few, left_out = select(rows[::-1], PROMPTS.model_copy(update={"max_prompts": 5}))
    assert few == many[:5] and left_out == {"over_max_prompts": 15}


def test_a_prompt_file_that_is_not_parquet_or_lacks_a_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("hello")
    with pytest.raises(UserError, match=r"x.parquet is not readable as parquet"):
        read_source(tmp_path / "x.parquet")
    pq.write_table(pa.table({"conversation_hash": ["a"], "text": ["b"]}), tmp_path / "y.parquet")
    with pytest.raises(UserError, match=r"no column 'conversation'; .* this file has conversation_hash, text"):
        read_source(tmp_path / "y.parquet")
    with pytest.raises(UserError, match=r"z.parquet: no parquet file there"):
        read_source(tmp_path / "z.parquet")


MIX = Mix(
    seed=1, size=10, scale_auxiliary=False, on_shortage="error", min_turns=1, languages=[], exclude_toxic=False,
    duplicates="off", duplicate_similarity=1.0, contamination="off", ngram_words=13, runs={},
)  # fmt: skip
KEPT: dict[str, dict[str, Any]] = {"a": {"kept": 6, "responses": "r", "verdicts": "v", "kind": "dgm"}} | {
    key: {"kept": 500_000, "rows": "x", "kind": "auxiliary"} for key in ("m", "n")
}


def amounts(entry: Run, mix: Mix = MIX) -> dict[str, dict[str, int]]:
    return wanted("run", entry, mix, KEPT)


def test_weights_split_the_size_exactly() -> None:
    assert split(10, {"a": 1.0, "b": 1.0, "c": 1.0}) == {"a": 4, "b": 3, "c": 3}
    assert split(7, {"a": 2.0, "b": 1.0}) == {"a": 5, "b": 2}
    assert split(5, {"a": 0.0, "b": 3.0}) == {"a": 0, "b": 5}
    with pytest.raises(UserError, match="add up to more than 0"):
        split(5, {"a": 0.0})


def test_a_run_asks_for_its_own_rows_else_for_mix_size_and_auxiliary_scales_only_when_told() -> None:
    entry = Run(base="b", dgms={"a": 1.0}, auxiliary={"m": 99_800})
    assert amounts(entry) == {"a": {"rows": 10}, "m": {"rows": 99_800}}
    assert amounts(Run(base="b", dgms={"a": 1.0, "c": 0.0})) == {"a": {"rows": 10}}  # of weight 0: no source at all
    own = entry.model_copy(update={"rows": 246_750})
    assert amounts(own) == {"a": {"rows": 246_750}, "m": {"rows": 99_800}}
    scaled = MIX.model_copy(update={"scale_auxiliary": True, "size": 123_375})
    assert amounts(entry, scaled) == {"a": {"rows": 123_375}, "m": {"rows": 49_900}}


def test_an_auxiliary_set_is_taken_by_rows_by_tokens_by_its_share_of_all_rows_or_whole() -> None:
    entry = Run(base="b", dgms={"a": 1.0}, auxiliary={"m": Amount(share=0.5), "n": Amount(tokens=7)})
    assert amounts(entry) == {"a": {"rows": 10}, "m": {"rows": 10}, "n": {"tokens": 7}}
    three = Run(base="b", dgms={"a": 1.0}, auxiliary={"m": Amount(share=0.5), "n": Amount(share=0.25)})
    assert amounts(three) == {"a": {"rows": 10}, "m": {"rows": 20}, "n": {"rows": 10}}
    assert amounts(Run(base="b", auxiliary={"m": "all"})) == {"m": {"rows": 500_000}}
    with pytest.raises(UserError, match=r"mix\.runs\.run: shares are of all rows"):
        amounts(Run(base="b", auxiliary={"m": Amount(share=0.5)}))
    with pytest.raises(UserError, match="give either tokens or share; a plain number is rows"):
        parse(Amount, {"tokens": 5, "share": 0.1}, "p.yaml: mix.runs.x.auxiliary.m")


def resolved(rows: int, **changes: Any) -> dict[str, Any]:
    runs = {"run": Run(base="b", dgms={"a": 1.0})}
    return recipe("run", {"a": {"rows": rows}}, MIX.model_copy(update={"runs": runs, **changes}), KEPT, "digest")


def test_a_shortage_is_an_error_or_capped_as_told() -> None:
    with pytest.raises(UserError, match="asks a for 10 rows, but it has 6"):
        resolved(10)
    capped = resolved(10, on_shortage="cap")
    assert capped["sources"] == {"a": {"kind": "dgm", "responses": "r", "verdicts": "v", "take": {"rows": 6}}}
    assert resolved(10, on_shortage="cap") == resolved(600_000, on_shortage="cap")
    assert resolved(10, on_shortage="upsample")["sources"]["a"]["take"] == {"rows": 10}


def test_a_recipe_names_what_decides_the_mix_and_nothing_that_is_off() -> None:
    assert set(resolved(5)) == {"base", "seed", "on_shortage", "filters", "sources"}
    screened = resolved(5, duplicates="drop", contamination="flag")
    assert screened["duplicates"] == {"then": "drop", "similarity": 1.0}
    assert screened["contamination"] == {"then": "flag", "words": 13, "benchmarks": "digest"}


def test_time_is_shared_by_tokens_and_throughput_adds_it_up() -> None:
    rows: list[dict[str, Any]] = [
        {"prompt_tokens": 30, "cached_tokens": 0, "completion_tokens": 10},
        {"prompt_tokens": 50, "cached_tokens": 10, "completion_tokens": 10},
    ]
    attribute_cost(rows, 2.0, Usage("H200 x1", kv_share=0.5, vram_gib=70.0, preemptions=3, restarts=1))
    assert [row["seconds"] for row in rows] == [0.8, 1.2]
    rows[1] |= {"kv_share": 0.7}
    assert summarize(pa.Table.from_pylist(rows, schema=pa.schema(COST))) == {
        "conversations": 2, "prompt_tokens": 80, "cached_tokens": 10, "completion_tokens": 20, "seconds": 2.0,
        "tokens_per_second": 50.0, "output_tokens_per_second": 10.0, "seconds_per_1000_conversations": 1000.0,
        "input_to_output": 4.0, "vram_gib": 70.0, "kv_share": 0.7, "preemptions": 3, "restarts": 1,
        "hardware": ["H200 x1"],
    }  # fmt: skip
    assert list(summarize(pa.Table.from_pylist([], schema=pa.schema(COST)))) == [
        "conversations", "prompt_tokens", "cached_tokens", "completion_tokens"
    ]  # fmt: skip


def test_all_conversations_cost_gpu_hours_and_money_where_both_are_known() -> None:
    tokens = {"conversations": 9, "prompt_tokens": 30, "completion_tokens": 60}
    ran = {**tokens, "seconds": 5400.0, "hardware": ["H100 x4"], "tensor_parallel": 4, "engines": {"vllm 0.32.0": 9}}
    found = cost(ran, 2.5)
    assert found == {
        **tokens, "hours": 1.5, "gpu_hours": 6.0, "money": 15.0, "hardware": "H100 x4", "engines": ["vllm 0.32.0"]
    }  # fmt: skip
    assert cost(ran, 0)["money"] is None
    on_cpu = cost({**ran, "hardware": ["x86_64 CPU x2"]}, 2.5)
    assert (on_cpu["hours"], on_cpu["gpu_hours"], on_cpu["money"]) == (1.5, None, None)
    imported = cost({**tokens, "tensor_parallel": 1, "engines": {"import": 9}}, 2.5)
    assert (imported["hours"], imported["gpu_hours"], imported["money"]) == (0.0, None, None)


def test_both_measures_are_correlated_with_window_times_parameters_once_there_are_three_models() -> None:
    def dgm(size: float, speed: float) -> dict[str, Any]:
        return {
            "seconds": 1.0, "tokens_per_second": speed, "seconds_per_1000_conversations": 1 / speed,
            "window_times_parameters": size,
        }  # fmt: skip

    measured = {"a": dgm(10, 9.0), "b": dgm(20, 5.0), "unknown": dgm(0, 1.0), "imported": {"conversations": 3}}
    assert correlations(measured)["tokens_per_second"] is None
    measured["c"] = dgm(30, 6.0)
    assert correlations(measured) == {
        "dgms": 3, "tokens_per_second": -0.5, "seconds_per_1000_conversations": 0.5
    }  # fmt: skip


def test_equal_tables_give_equal_bytes_and_a_failed_write_leaves_the_old_folder(tmp_path: Path) -> None:
    table = pa.table({"x": list(range(5))})
    for name in ("a", "b"):
        with new_folder(tmp_path / name) as folder:
            write_table(folder, table, rows_per_shard=2)
    assert sha256_folder(tmp_path / "a") == sha256_folder(tmp_path / "b")
    assert read_table(tmp_path / "a") == table and len(list((tmp_path / "a").iterdir())) == 3
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "a") as folder:
        write_table(folder, table.slice(0, 1))
        _ = 1 / 0
    assert read_table(tmp_path / "a") == table


def test_a_dataset_is_fetched_by_its_columns_and_a_wrong_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "set").mkdir()
    pq.write_table(pa.table({"a": [1, 2], "b": ["x", "y"]}), tmp_path / "set" / "train.parquet")
    hub = Hub(repository=str(tmp_path / "set"), revision="main", columns=["b"])
    assert fetch.download(hub, fetch.pin(hub)).to_pydict() == {"b": ["x", "y"]}
    with pytest.raises(UserError, match=r"has no column 'c'; it has: a, b"):
        fetch.download(hub.model_copy(update={"columns": ["c"]}), "main")
