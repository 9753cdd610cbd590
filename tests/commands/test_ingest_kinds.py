"""Replies to analyse in odd files: types of columns, names of models, rows with equal keys, in any order."""

import json
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from commands.analyse.columns import name_model, read_by_role
from commands.analyse.ingest import IngestedRows, assign_ids, ingest
from stages.lib.core.types import Row
from stages.lib.readers.reasons import UnreadableRows
from tests.support.replies import chat, response, response_turn, write_rows

NAN = float("nan")


def take(source: Path, scratch: Path) -> IngestedRows:
    """Ingest the rows of a file or folder."""
    scratch.mkdir(parents=True)
    unreadable = UnreadableRows()
    return ingest(read_by_role(source, unreadable), scratch, source.name, unreadable)


def take_column(tmp_path: Path, name: str, values: pa.Array) -> IngestedRows:
    """Ingest one row of model `m` for each value of a column, with keys 0, 1, …"""
    keys = [str(number) for number in range(len(values))]
    columns = {"model": ["m"] * len(keys), "id": keys, "prompt": ["Hi?"] * len(keys), "response": ["Yes."] * len(keys)}
    pq.write_table(pa.table(columns | {name: values}), tmp_path / "x.parquet")
    return take(tmp_path / "x.parquet", tmp_path / "scratch")


def summaries(ingested: IngestedRows) -> Any:
    """All that an analysis takes from the rows: prompts, replies, judgments, counts."""
    prompts = list(ingested.prompts.rows("x"))
    models = {
        name: (
            [model.replies().turns_of(prompt["conversation_hash"]) for prompt in prompts],
            sorted(map(str, model.judgments())),
            sorted(model.left_out.items()),
        )
        for name, model in sorted(ingested.models.items())
    }
    return prompts, models, sorted(ingested.all_left_out().items())


@pytest.mark.parametrize(
    ("values", "toxic"),
    [
        (pa.array([True, False, None]), [True, False, False]),
        (pa.array([1, 0, None]), [True, False, False]),
        (pa.array([1.0, 0.0, NAN]), [True, False, False]),
        (pa.array(["True", "False", ""]), [True, False, False]),
        (pa.array(["yes", "no", None]), [True, False, False]),
        (pa.array([Decimal("1"), Decimal("0"), None]), [True, False, False]),
    ],
)
def test_toxicity_is_read_exactly_whatever_its_type(tmp_path: Path, values: pa.Array, toxic: list[bool]) -> None:
    prompts = {
        row["conversation_hash"]: row["toxic"] for row in take_column(tmp_path, "toxic", values).prompts.rows("x")
    }
    assert [prompts[key] for key in "012"] == toxic


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("toxic", pa.array([True, False]).cast(pa.string()).cast(pa.large_string()), ""),
        ("toxic", pa.array(["true", "perhaps"]), "unclear_toxic"),
        ("toxic", pa.array([0, 2]), "unclear_toxic"),
        ("language", pa.array([1.0, 1.5]), "unclear_language"),
    ],
)
def test_a_label_that_is_not_clear_is_counted(tmp_path: Path, name: str, values: pa.Array, reason: str) -> None:
    ingested = take_column(tmp_path, name, values)
    assert (ingested.rows, ingested.all_left_out()) == (2, {reason: 1} if reason else {})


@pytest.mark.parametrize(
    "values",
    [
        pa.array([7, 8, None]),
        pa.array([7.0, 8.0, NAN]),
        pa.array([Decimal("7.0"), Decimal("8.0"), None]),
        pa.array(["7", " 8.0 ", "no score"]),
        pa.array(["7", "8", ""]).dictionary_encode(),
    ],
)
def test_a_score_is_a_number_of_any_type_or_a_text_that_is_one(tmp_path: Path, values: pa.Array) -> None:
    judgments = take_column(tmp_path, "judge_score", values).models["m"].judgments()
    assert {row["conversation_hash"]: row["score"] for row in judgments} == {"0": 7.0, "1": 8.0, "2": None}


def test_the_columns_of_json_lines_are_those_of_all_lines(tmp_path: Path) -> None:
    rows: list[Row] = [{"model": "m", "id": n, "response": "Yes."} for n in (1, 2)]
    rows[1] |= {"judge_score": 9, "prompt": "Hi?"}
    ingested = take(write_rows(tmp_path / "x.jsonl", rows), tmp_path / "scratch")
    assert {row["conversation_hash"]: row["score"] for row in ingested.models["m"].judgments()} == {"1": None, "2": 9.0}


def test_shards_may_differ_in_columns_and_forms(tmp_path: Path) -> None:
    write_rows(tmp_path / "s" / "a.jsonl", [{"model": "m", "id": 1, "response": "Yes."}])
    write_rows(tmp_path / "s" / "b.parquet", [{"messages": chat("Hi?", "So."), "model": "m", "id": "2", "more": 1}])
    own = [response("m", "3", [response_turn("Hi?", "Own.")])]
    write_rows(tmp_path / "s" / "deep" / "c.parquet", own)
    share_gpt = [{"from": "human", "value": "Hi?"}, {"from": "gpt", "value": "Shared."}]
    write_rows(tmp_path / "s" / "d.jsonl", [{"conversations": json.dumps(share_gpt), "generator": "m", "id": 4.0}])
    model = take(tmp_path / "s", tmp_path / "scratch").models["m"]
    assert [model.replies().turns_of(key)[0]["reply"] for key in "1234"] == ["Yes.", "So.", "Own.", "Shared."]


class TestNames:
    @pytest.mark.parametrize(
        ("path", "model"),
        [
            ("models/Qwen2.5-7B/train.parquet", "Qwen2.5-7B"),
            ("models/Qwen2.5-72B/data/train-0.parquet", "Qwen2.5-72B"),
            ("models/Llama-3.1.jsonl", "Llama-3.1"),
            ("models/v1.0.jsonl.gz", "v1.0"),
            ("models/v1.5.PARQUET", "v1.5"),
            ("models/set.parquet/train.parquet", "set.parquet"),
        ],
    )
    def test_a_model_has_the_whole_name_of_its_folder_or_file(self, tmp_path: Path, path: str, model: str) -> None:
        (tmp_path / "models").mkdir()
        assert name_model(tmp_path / path, tmp_path / "models") == model

    def test_models_whose_names_differ_after_a_dot_are_two(self, tmp_path: Path) -> None:
        for name in ("Qwen2.5-7B", "Qwen2.5-72B"):
            write_rows(tmp_path / "models" / name / "x.parquet", [{"id": "1", "prompt": "Hi?", "response": name}])
        ingested = take(tmp_path / "models", tmp_path / "scratch")
        assert (sorted(ingested.models), ingested.all_left_out()) == (["Qwen2.5-72B", "Qwen2.5-7B"], {})

    @pytest.mark.parametrize("names", [("m", "m "), ("m", "M"), ("a/b", "a_b"), ("x" * 150 + "1", "x" * 150 + "2")])
    def test_names_that_differ_have_ids_that_differ_and_the_screen_says_it(
        self, names: tuple[str, str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        ids = assign_ids(names)
        assert len({id.casefold() for id in ids.values()}) == 2
        [line] = capsys.readouterr().err.splitlines()
        second = max(names)
        assert line.startswith(f"the model {second!r} has the id {ids[second]}: another one's name is written ")

    def test_keys_and_names_that_differ_in_white_space_alone_are_two(self, tmp_path: Path) -> None:
        rows = [{"model": model, "id": key, "response": "Yes."} for model in ("m", "m ") for key in ("k", "k ")]
        ingested = take(write_rows(tmp_path / "x.jsonl", rows), tmp_path / "scratch")
        assert {name: model.num_replies for name, model in ingested.models.items()} == {"m": 2, "m ": 2}


class TestEqualKeys:
    ROWS: tuple[Row, ...] = (
        {"model": "m", "id": "1", "prompt": None, "response": None, "judge_score": 9},
        {"model": "m", "id": "1", "prompt": "Hi?", "response": " \u200b", "judge_score": 9},
        {"model": "m", "id": "1", "prompt": "Hi?", "response": "One.", "judge_score": None},
        {"model": "m", "id": "1", "prompt": "Hi?", "response": "One.", "judge_score": 5},
        {"model": "m", "id": "1", "prompt": "Ho?", "response": "Two.", "judge_score": 7, "language": "Dutch"},
        {"model": "m", "id": "1", "prompt": "Ho?", "response": "Two.", "judge_score": 7, "language": "Czech"},
        {"model": "m", "id": "", "prompt": "Hi?", "response": "Three."},
    )

    def test_the_result_depends_on_the_rows_alone_not_on_their_order_or_files(self, tmp_path: Path) -> None:
        results = []
        for number, rows in enumerate(list(permutations(self.ROWS))[::719]):
            folder = tmp_path / str(number)
            for place, row in enumerate(rows if number % 2 else [None]):
                write_rows(folder / "m" / f"{place}.jsonl", [row] if row else list(rows))
            results.append(summaries(take(folder / "m", tmp_path / f"scratch {number}")))
        assert all(result == results[0] for result in results)
        [prompt], models, left_out = results[0]
        [turn] = models["m"][0][0]
        assert turn["reply"] in {"One.", "Two."} and prompt["language"] == "Czech"
        repeats = ("duplicate_conversation", 1), ("conflict_conversation", 3)
        assert dict(left_out) == dict((*repeats, ("null_content", 1), ("null_hash", 1)))

    def test_a_reply_with_a_score_is_used_before_the_same_one_without(self, tmp_path: Path) -> None:
        scored, plain = self.ROWS[3], {name: value for name, value in self.ROWS[2].items() if name != "judge_score"}
        for number, rows in enumerate(([scored, plain], [plain, scored])):
            ingested = take(write_rows(tmp_path / f"{number}.jsonl", rows), tmp_path / f"scratch {number}")
            assert [row["score"] for row in ingested.models["m"].judgments()] == [5.0]
            assert ingested.all_left_out() == {"duplicate_conversation": 1}

    def test_without_a_key_and_without_the_prompts_text_there_is_no_key(self, tmp_path: Path) -> None:
        rows = [{"model": "m", "prompt": prompt, "response": "Yes."} for prompt in (None, "\u200b", "Hi?")]
        ingested = take(write_rows(tmp_path / "x.jsonl", rows), tmp_path / "scratch")
        assert ingested.all_left_out() == {"null_hash": 2}


def test_a_system_message_is_kept_with_its_prompt(tmp_path: Path) -> None:
    system = {"role": "system", "content": "Be brief."}
    write_rows(tmp_path / "s" / "a.jsonl", [{"model": "a", "id": "1", "messages": [system, *chat("Hi?", "Yes.")]}])
    flat = {"model": "b", "id": "2", "prompt": "Ho?", "response": "No.", "system": "Be kind."}
    write_rows(tmp_path / "s" / "b.jsonl", [flat])
    own = response("c", "3", [response_turn("So?", "Well.")]) | {"system": "Be there."}
    write_rows(tmp_path / "s" / "c.jsonl", [own, response("c", "4", [response_turn("Who?", "I.")])])
    prompts = {
        row["conversation_hash"]: row["system"] for row in take(tmp_path / "s", tmp_path / "t").prompts.rows("x")
    }
    assert prompts == {"1": "Be brief.", "2": "Be kind.", "3": "Be there.", "4": ""}
