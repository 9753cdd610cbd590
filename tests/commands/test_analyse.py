"""Replies that exist already, of several DGMs: each form is read, each row is counted, nothing foreign is touched."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from commands.analyse.columns import FORMS, ROLES, name_columns, read_existing
from commands.analyse.command import analyse, main
from commands.analyse.folder import default_out
from commands.analyse.intake import Intake, ids_of, take_in
from stages.lib.console.errors import UserError
from stages.lib.core.files import read_json, sha256_file, sha256_folder
from stages.lib.records.judgments import JUDGMENT
from stages.lib.records.responses import RESPONSE
from stages.lib.records.shards import read_rows, read_table
from stages.lib.report.sections import benchmarks, runs, teachers, throughput
from stages.lib.settings.reading import load
from stages.lib.settings.sections import Similarity
from tests.support.project import ROOT

Row = dict[str, Any]
CAT, DOG = "The cat sat on the mat.", "A dog ran over the green hill."
FLAT: list[Row] = [  # two models on two prompts
    {"dgm": "a", "session_id": "1", "response": CAT},
    {"dgm": "a", "session_id": "2", "response": DOG},
    {"dgm": "b", "session_id": "1", "response": CAT},
    {"dgm": "b", "session_id": "2", "response": "A dog slept."},
]


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the project's params.yaml and nothing else, where analyse is run."""
    folder = tmp_path / "root"
    folder.mkdir()
    shutil.copy(ROOT / "params.yaml", folder)
    monkeypatch.chdir(folder)
    return folder


def write(file: Path, rows: list[Row]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), file)
    return file


def take(tmp_path: Path, rows: list[Row], name: str = "x.parquet") -> Intake:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return take_in(read_existing(write(tmp_path / name, rows)), folder, name)


def said(intake: Intake) -> dict[str, list[tuple[str, list[tuple[str | None, str | None]]]]]:
    """Per model: the key and (user, reply) of each of its conversations."""
    keys = [row["conversation_hash"] for row in intake.prompts("x")]
    return {
        name: [
            (key, [(turn["user"], turn["reply"]) for turn in taken.replies().turns_of(key)])
            for key in sorted(keys)
            if key in taken.keys
        ]
        for name, taken in intake.models.items()
    }


def talk(*contents: str | None) -> list[Row]:
    return [{"role": ("user", "assistant")[at % 2], "content": content} for at, content in enumerate(contents)]


def visible(page: Path) -> str:
    """What stands on a page, without its tags."""
    return " ".join(re.sub(r"<[^>]+>", "", re.sub(r"<style.*?</style>", "", page.read_text(), flags=re.S)).split())


def shown(tmp_path: Path, model: int) -> list[str]:
    """The conversations of a model, by its number, as the page loads them."""
    return (tmp_path / f"out/report/conversations/prompts-{model}.js").read_text().splitlines()


def turn(user: str, reply: str, finish: str = "stop") -> Row:
    numbers = {"prompt_tokens": 1, "completion_tokens": 1, "trimmed_turns": 0}
    return {"user": user, "assistant": reply, "raw": "", "finish_reason": finish, "prompt_sha": "", **numbers}


def response(dgm: str, key: str, turns: list[Row], status: str = "ok") -> Row:
    more = {"identity": key, "reason": "", "history": "own", "seed": 1, "engine": "e"}
    return {"conversation_hash": key, "dgm": dgm, "turns": turns, "status": status, **more}


class TestForms:
    @pytest.mark.parametrize("name", ["x.parquet", "x.jsonl"])
    def test_one_reply_per_row_with_the_prompt_and_how_it_ended_if_known(self, tmp_path: Path, name: str) -> None:
        rows = [
            {"generator": "m", "id": 7, "instruction": "Hi?", "output": "Hello.", "finish_reason": "length"},
            {"generator": "m", "id": 8, "instruction": None, "output": "So.", "finish_reason": None},
        ]
        intake = take(tmp_path, rows, name)
        assert said(intake) == {"m": [("7", [("Hi?", "Hello.")]), ("8", [(None, "So.")])]}
        assert [intake.models["m"].replies().turns_of(key)[0]["finish"] for key in "78"] == ["length", "imported"]

    @pytest.mark.parametrize("column", ["conversation", "messages"])
    def test_chats_of_role_and_content(self, tmp_path: Path, column: str) -> None:
        rows = [{"model": "m", "conversation_hash": "k", column: talk("Hi?", "Hello.", "And?", "So.")}]
        assert said(take(tmp_path, rows)) == {"m": [("k", [("Hi?", "Hello."), ("And?", "So.")])]}

    def test_rows_of_the_pipelines_own_responses_and_what_they_lack_stays_lacking(self, tmp_path: Path) -> None:
        rows = [
            response("m", "k", [turn("Hi?", "Hello."), turn("And?", "", "failed")], "failed"),
            response("m", "absent", [turn("Hi?", "")], "not_imported"),
        ]
        intake = take(tmp_path, rows)
        assert said(intake) == {"m": [("k", [("Hi?", "Hello."), ("And?", "")])]}
        assert intake.all_left_out() == {"not_imported": 1}

    def test_a_folder_of_one_folder_per_model_needs_no_column_for_the_model(self, tmp_path: Path) -> None:
        """As the published WildChat-50m sets are, which hold much that is not read."""
        for name in ("set-one", "set-two"):
            chat = talk("Hi?", f"I am {name}.")
            chat[1]["content_token_ids"] = [1, 2, 3]
            write(
                tmp_path / "sets" / name / "data" / "train-0.parquet",
                [{"conversation_hash": "k", "conversation": chat}],
            )
        intake = take_in(read_existing(tmp_path / "sets"), tmp_path, "sets")
        assert said(intake)["set-two"] == [("k", [("Hi?", "I am set-two.")])] and len(intake.models) == 2

    def test_without_a_key_the_prompts_text_names_the_prompt(self, tmp_path: Path) -> None:
        rows = [{"model": model, "prompt": "Hi?", "answer": model} for model in "ab"]
        assert len(list(take(tmp_path, rows).prompts("x"))) == 1

    @pytest.mark.parametrize(
        ("names", "told"),
        [
            (["x"], r"\(response, output, reply, answer, conversation, messages or turns\) and what names the prompt"),
            (
                ["dgm", "response"],
                r"f has the columns dgm, response; .* for what names the prompt \(conversation_hash,",
            ),
            (["id", "response"], r"for the model \(dgm, model or generator\)$"),
            ([], r"f has the columns \(none\); "),
        ],
    )
    def test_columns_that_will_not_do_are_told_in_one_line_with_those_looked_for(
        self, names: list[str], told: str
    ) -> None:
        with pytest.raises(UserError, match=told) as error:
            name_columns(names, Path("f"), needs_model=True)
        assert "\n" not in str(error.value)

    def test_of_several_columns_for_one_thing_the_first_that_is_known_is_taken(self) -> None:
        names = ["id", "model", "dgm", "prompt_id", "answer", "output", "turns", "judge_score", "judge_why"]
        assert name_columns(names, Path("f"), needs_model=True) == {
            "model": "dgm", "key": "prompt_id", "reply": "output", "score": "judge_score", "judge_why": "judge_why"
        }  # fmt: skip

    def test_a_column_for_the_model_counts_more_than_the_folder(self, tmp_path: Path) -> None:
        write(tmp_path / "sets" / "folder" / "x.parquet", FLAT)
        assert list(take_in(read_existing(tmp_path / "sets"), tmp_path, "sets").models) == ["a", "b"]

    def test_every_form_is_a_role_and_so_are_the_columns_that_only_it_has(self) -> None:
        assert {role for form, own in FORMS.items() for role in (form, *own)} <= set(ROLES)


class TestWhatIsLeftOut:
    def test_each_row_is_taken_or_counted_under_a_name(self, tmp_path: Path) -> None:
        rows: list[Row] = [
            {"model": "a", "id": "1", "conversation": talk("Hi?", None)},
            {"model": "a", "id": "1", "conversation": talk("Hi?", "First.")},
            {"model": "a", "id": "1", "conversation": talk("Hi?", "Again.")},
            {"model": "a", "id": None, "conversation": talk("Hi?", "Yes.")},
            {"model": "a", "id": "2", "conversation": talk("Hi?", "Yes.")[::-1]},
            {"model": "a", "id": "3", "conversation": talk("Hi?")},
            {"model": "a", "id": "4", "conversation": None},
            {"model": " ", "id": "5", "conversation": talk("Hi?", "Yes.")},
            {"model": "b", "id": "1", "conversation": talk("Hi?", None)},
        ]
        intake = take(tmp_path, rows)
        assert said(intake) == {"a": [("1", [("Hi?", "First.")])]}
        assert intake.silent == ["b"]
        assert intake.models["a"].summary() == {
            "rows": 7, "imported": 1, "left_out": {
                "null_content": 1, "duplicate_conversation": 1, "null_hash": 1, "roles_do_not_alternate": 1,
                "last_reply_missing": 1, "no_messages": 1,
            },
        }  # fmt: skip
        assert intake.all_left_out() == {**intake.models["a"].left_out, "null_content": 2, "no_model": 1}
        assert intake.rows == 1 + sum(intake.all_left_out().values())

    def test_half_a_character_in_a_name_is_no_error(self, tmp_path: Path) -> None:
        file = tmp_path / "x.jsonl"
        file.write_text('{"model": "m\\ud800", "id": "k\\ud800", "response": "Yes."}\n')
        assert [name for name in take_in(read_existing(file), tmp_path, "x").models] == ["m?"]

    def test_a_file_of_which_nothing_can_be_taken_says_why(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"x.parquet: none of its 1 rows has a reply to analyse: null_content 1$"):
            take(tmp_path, [{"model": "a", "id": "1", "response": None}])

    def test_a_column_that_names_no_model_is_noticed_before_there_are_thousands(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="more than 500 models, such as 'm500'"):
            take(tmp_path, [{"model": f"m{n}", "id": "1", "response": "Yes."} for n in range(501)])


class TestPrompts:
    def test_a_prompt_is_what_the_row_that_tells_most_of_it_says(self, tmp_path: Path) -> None:
        rows: list[Row] = [
            {"model": "a", "id": "k", "messages": talk("Hi?", "Yes."), "language": None, "toxic": False},
            {
                "model": "b",
                "id": "k",
                "messages": talk("Hi?", "No.", "And?", "So."),
                "language": "Dutch",
                "toxic": True,
            },
        ]
        (prompt,) = take(tmp_path, rows).prompts("file")
        assert prompt == {
            "conversation_hash": "k", "source": "file", "language": "Dutch", "toxic": True,
            "turns": [{"user": "Hi?", "reference": ""}, {"user": "And?", "reference": ""}],
        }  # fmt: skip

    def test_their_order_is_not_that_of_the_rows(self, tmp_path: Path) -> None:
        rows = [{"model": "a", "id": f"{n}", "response": "Yes."} for n in range(20)]
        one = take(tmp_path, rows)
        shutil.rmtree(tmp_path / "scratch")
        assert list(one.prompts("x")) == list(take(tmp_path, rows[::-1]).prompts("x"))


def test_ids_are_names_of_folders_and_equal_ones_are_kept_apart() -> None:
    names = ["meta/Llama 3.1", "meta_Llama_3.1", "META/llama 3.1", "../../etc", "..", "模型", "x.tmp", "y" * 300]
    found = ids_of(names)
    assert found["META/llama 3.1"] == "META_llama_3.1" and found["meta/Llama 3.1"] == "meta_Llama_3.1-2"
    assert found["meta_Llama_3.1"] == "meta_Llama_3.1-3"
    assert (found["../../etc"], found[".."], found["模型"], found["x.tmp"]) == ("etc", "model", "model-2", "x_tmp")
    assert len(found["y" * 300]) == 100


class TestTheWhole:
    def test_out_is_like_data_of_the_pipeline_by_the_same_functions(self, tmp_path: Path) -> None:
        analyse(write(tmp_path / "x.parquet", FLAT), tmp_path / "out")
        out = tmp_path / "out"
        assert read_table(out / "responses/a").schema.equals(RESPONSE)
        assert [row["keep"] for row in read_rows(out / "verdicts/b")] == [True, True]
        pair = read_json(out / "similarity/.pairs.json")["a b"]
        # "a dog ran over the green hill" and "a dog slept": 2 of 7 and of 3 words, F1 = 0.4
        assert (pair["rouge1"]["n"], pair["rouge1"]["mean"]) == (2, pytest.approx((1 + 0.4) / 2))
        style = read_json(out / "styling/tables.json")
        assert style["responses"]["a"]["answers"] == 2 and style["pairs"]["a b"]["turns"] == 2
        assert read_json(out / "analysis.json")["skipped"] == {"preference": "no row has a number in judge_score"}
        assert read_json(out / "analysis.json")["complete"]

    def test_a_prompt_that_a_model_did_not_answer_is_not_imported_and_compared_with_none(self, tmp_path: Path) -> None:
        analyse(write(tmp_path / "x.parquet", FLAT[:3]), tmp_path / "out")
        rows = {row["conversation_hash"]: row for row in read_rows(tmp_path / "out/responses/b")}
        assert (rows["1"]["status"], rows["2"]["status"]) == ("ok", "not_imported")
        pair = read_json(tmp_path / "out/similarity/.pairs.json")["a b"]
        assert (pair["rouge1"]["n"], pair["unscorable"]["no_reply"]) == (1, 1)

    def test_the_users_text_is_held_against_the_prompt(self, tmp_path: Path) -> None:
        rows: list[Row] = [
            {**row, "prompt": "Which hill is green?" if row["dgm"] == "a" else "Which?"} for row in FLAT[1::2]
        ]
        analyse(write(tmp_path / "x.parquet", rows), tmp_path / "out")
        found = {dgm: read_json(tmp_path / f"out/verdicts/{dgm}/.summary.json") for dgm in "ab"}
        assert (found["a"]["found"], found["b"]["found"]) == ({}, {"prompt_altered": 1, "off_topic": 1})
        assert "echo" not in found["a"]["not_checked"]

    def test_a_judges_scores_are_compared_and_what_has_none_is_counted(self, tmp_path: Path) -> None:
        scores: dict[str, list[float | None]] = {"a": [8.0, 3.0], "b": [5.0, None]}
        rows: list[Row] = [
            {**row, "judge_score": scores[row["dgm"]][at % 2], "judge_strengths": "Clear.", "judge_number": 1}
            for at, row in enumerate(FLAT)
        ]
        rows[2:] = rows[:1:-1]  # the order of one model's rows is not that of the other's
        analyse(write(tmp_path / "x.parquet", rows), tmp_path / "out")
        table = read_table(tmp_path / "out/judgments/a")
        assert table.schema.equals(JUDGMENT)
        keys = [row["conversation_hash"] for row in read_rows(tmp_path / "out/prompts")]
        for dgm in "ab":
            assert read_table(tmp_path / "out/judgments" / dgm)["question_id"].to_pylist() == [0, 1]
        assert table["score"][keys.index("1")].as_py() == 8.0
        assert set(table["text"].to_pylist()) == {"strengths: Clear."}
        assert read_json(tmp_path / "out/judgments/b/.summary.json") == {
            "score": 5.0, "judge": "judge_score", "status": "ok", "ok": 1, "failed": 1, "unanswered": 0,
        }  # fmt: skip
        rates = read_json(tmp_path / "out/preference/tables.json")["by_score"]["a b"]
        assert (rates["turns"], rates["wins"], rates["rate"]) == (1, 1, 1.0)

    def test_judgments_of_more_prompts_than_the_bootstrap_can_hold_are_left_out_and_counted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("commands.analyse.command.MAX_RESPONSES", 1)
        analyse(write(tmp_path / "x.parquet", [{**row, "judge_score": 1} for row in FLAT]), tmp_path / "out")
        assert "2 judgments of other than the first 1 prompts are left out" in capsys.readouterr().err
        assert read_json(tmp_path / "out/preference/tables.json")["by_score"]["a b"]["turns"] == 1

    def test_what_was_never_answered_is_so_still(self, tmp_path: Path) -> None:
        turns = [turn("Hi?", "Hello."), turn("And?", "", "failed")]
        analyse(write(tmp_path / "x.parquet", [response("m", "k", turns, "failed")]), tmp_path / "out")
        assert [row["status"] for row in read_rows(tmp_path / "out/responses/m")] == ["failed"]
        assert [row["reasons"] for row in read_rows(tmp_path / "out/verdicts/m")] == [["failed"]]

    def test_one_dgm_alone_has_all_but_similarity(self, tmp_path: Path) -> None:
        rows = [{**row, "judge_score": 5} for row in FLAT[:2]]
        analyse(write(tmp_path / "x.parquet", rows), tmp_path / "out")
        assert read_json(tmp_path / "out/analysis.json")["skipped"] == {"similarity": "there is one DGM only"}
        assert read_json(tmp_path / "out/preference/tables.json")["models"]["a"]["mean"] == 5

    def test_dgms_that_share_no_prompt_are_not_compared(self, tmp_path: Path) -> None:
        analyse(write(tmp_path / "x.parquet", [FLAT[0], FLAT[3]]), tmp_path / "out")
        skipped = read_json(tmp_path / "out/analysis.json")["skipped"]
        assert skipped["similarity"] == "no two replies to the same prompt can be scored (no_reply 2)"

    def test_it_needs_of_params_only_the_sections_of_the_analyses(self, tmp_path: Path, root: Path) -> None:
        """With two prompts where params.yaml says one, and with none of its DGMs."""
        text = (root / "params.yaml").read_text()
        (root / "params.yaml").write_text(
            text.replace("dgms: [demo-rich, demo-plain]", "dgms: [nosuch]").replace("s: 100 ", "s: 1 ")
        )
        assert load(Similarity).num_prompts == 1
        analyse(write(tmp_path / "x.parquet", FLAT), tmp_path / "out")
        assert read_json(tmp_path / "out/similarity/.summary.json")["prompts"] == 2

    def test_without_wordnet_it_says_so_and_goes_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def absent() -> None:
            raise UserError("not there")

        monkeypatch.setattr("commands.analyse.command.open_wordnet", absent)
        analyse(write(tmp_path / "x.parquet", FLAT), tmp_path / "out")
        assert "METEOR counts no synonyms" in capsys.readouterr().err
        assert read_json(tmp_path / "out/similarity/.summary.json")["synonyms"] is False

    def test_the_screen_says_what_was_found(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        rows = [*FLAT, FLAT[0], {"dgm": "c", "session_id": "1", "response": None}]
        analyse(write(tmp_path / "x.parquet", rows), tmp_path / "out")
        shown = capsys.readouterr().err
        for line in (
            "DGMs: 2, prompts: 2, replies: 4 of 6 rows",
            "rows left out: duplicate_conversation 1, null_content 1",
            "models without a reply: c",
            "kept by validation: 4 of 4",
            "dropped, with 0 prompts that a DGM did not answer: none",
            "most alike: a and b, ROUGE-1 0.700",
            "no preference: no row has a number in judge_score",
            f"the page: {tmp_path}/out/report/index.html",
        ):
            assert line in shown


class TestThePage:
    def test_what_an_analysis_has_is_shown_and_what_it_has_not_is_skipped_with_the_reason(self, tmp_path: Path) -> None:
        rows = [{**row, "judge_score": 5 + at} for at, row in enumerate(FLAT)]
        analyse(write(tmp_path / "x.parquet", [*rows, FLAT[0]]), tmp_path / "out")
        page = visible(tmp_path / "out/report/index.html")
        for section in (benchmarks, teachers, runs, throughput):
            assert section.NOT_ANALYSED in page
        assert "analysis of x.parquet" in page and "The replies came with a judge's scores" in page
        assert (
            "4 of 5 source rows are replies, to 2 prompts; the others were left out: duplicate conversation 1" in page
        )
        assert "Any two models on what both answered" in page and "a and b" in page

    def test_every_number_is_traced_to_a_file_of_out_by_its_hash(self, tmp_path: Path) -> None:
        analyse(write(tmp_path / "x.parquet", FLAT), tmp_path / "out")
        page = (tmp_path / "out/report/index.html").read_text()
        for path in ("similarity/.pairs.json", "styling/tables.json", "prompts/.summary.json"):
            assert path in page and sha256_file(tmp_path / "out" / path)[:12] in page

    def test_conversations_can_be_read_with_the_judgments_on_them(self, tmp_path: Path) -> None:
        rows = [{**row, "judge_score": 5 + at, "judge_why": f"{at} is why."} for at, row in enumerate(FLAT)]
        analyse(write(tmp_path / "x.parquet", rows), tmp_path / "out")
        (line,) = [text for text in shown(tmp_path, 1) if "6.0" in text]
        assert "A dog ran" in line and "why: 1 is why." in line

    def test_replies_of_models_stay_text(self, tmp_path: Path) -> None:
        hostile = "<script>alert(1)</script><img src=x onerror=alert(1)>"
        rows = [{"dgm": f"{hostile}{n}", "id": "1", "response": hostile, "judge_score": n} for n in range(2)]
        analyse(write(tmp_path / "x.parquet", rows), tmp_path / "out")
        for file in (tmp_path / "out/report").rglob("*.*"):
            assert "<img src" not in file.read_text() and "<script>alert" not in file.read_text()

    def test_parts_that_are_skipped_are_skipped_on_the_page(self, tmp_path: Path) -> None:
        analyse(write(tmp_path / "x.parquet", FLAT[:2]), tmp_path / "out")
        page = visible(tmp_path / "out/report/index.html")
        assert "there is one DGM only" in page and "no row has a number in judge_score" in page


class TestOut:
    def test_equal_rows_give_equal_bytes_and_no_path_of_the_machine(self, tmp_path: Path) -> None:
        file = write(tmp_path / "x.parquet", FLAT)
        for out in ("one", "two"):
            analyse(file, tmp_path / out)
        assert sha256_folder(tmp_path / "one") == sha256_folder(tmp_path / "two")
        for path in (path for path in (tmp_path / "one").rglob("*") if path.is_file()):
            assert str(tmp_path).encode() not in path.read_bytes(), path

    def test_a_second_run_leaves_nothing_of_the_first(self, tmp_path: Path) -> None:
        rows = [{**row, "judge_score": 1} for row in FLAT]
        analyse(write(tmp_path / "x.parquet", rows), tmp_path / "out")
        analyse(write(tmp_path / "x.parquet", FLAT[2:]), tmp_path / "out")
        assert not (tmp_path / "out/responses/a").exists() and not (tmp_path / "out/preference").exists()

    def test_a_source_that_cannot_be_read_leaves_an_earlier_analysis_as_it_was(self, tmp_path: Path) -> None:
        file = write(tmp_path / "x.parquet", FLAT)
        analyse(file, tmp_path / "out")
        before = sha256_folder(tmp_path / "out")
        file.write_bytes(file.read_bytes()[:-20])
        with pytest.raises(UserError, match="not readable as parquet"):
            analyse(file, tmp_path / "out")
        assert sha256_folder(tmp_path / "out") == before
        assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "root", "x.parquet"]

    @pytest.mark.parametrize(
        ("out", "told"),
        [
            ("foreign", "holds something that is no analysis"),
            ("x.parquet", "lie in one another"),
            (".", "lie in one another"),
            ("file", "is a file"),
            ("root/data/x", "lies in a folder that is DVC's"),
        ],
    )
    def test_what_is_no_analysis_is_never_written_to(self, tmp_path: Path, out: str, told: str) -> None:
        file = write(tmp_path / "x.parquet", FLAT)
        write(tmp_path / "foreign" / "thesis.jsonl", [])
        (tmp_path / "file").touch()
        before = sha256_folder(tmp_path)
        with pytest.raises(UserError, match=told):
            analyse(file, tmp_path / out)
        assert sha256_folder(tmp_path) == before

    def test_its_default_is_a_folder_of_the_sources_name(self) -> None:
        assert default_out(Path("/some/where/my replies.parquet")) == Path("analysis/my_replies")
        assert default_out(Path("/some/where/sets/")) == Path("analysis/sets")

    def test_a_run_that_was_killed_is_run_again(self, tmp_path: Path) -> None:
        rows = [{"dgm": dgm, "id": n, "response": f"{DOG} {n}" * 30} for dgm in "abcdef" for n in range(400)]
        file = write(tmp_path / "x.parquet", rows)
        command = [sys.executable, "-m", "commands.analyse", str(file), str(tmp_path / "out")]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
        while not (tmp_path / "out/responses").exists() and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert read_json(tmp_path / "out/analysis.json") == {"complete": False}
        write(file, FLAT)
        main([str(file), str(tmp_path / "out")])
        assert read_json(tmp_path / "out/analysis.json")["complete"]
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []

    def test_ctrl_c_is_one_line(self, tmp_path: Path) -> None:
        rows = [{"dgm": dgm, "id": n, "response": f"{DOG} {n}" * 30} for dgm in "abcdef" for n in range(400)]
        command = [sys.executable, "-m", "commands.analyse", str(write(tmp_path / "x.parquet", rows)), "out"]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)
        while not Path("out/similarity.tmp").exists() and process.poll() is None:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)  # as the terminal does: its children get it too
        _, shown = process.communicate()
        assert process.returncode == 1 and "Traceback" not in shown
        assert shown.splitlines()[-1].endswith("analyse: interrupted; run it again, it begins anew")


def test_make_asks_for_the_replies() -> None:
    words = ["make", "--no-print-directory", "-f", str(ROOT / "Makefile"), "-o", ".venv/lock", "analyse"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "name the replies: make analyse RESPONSES=" in done.stdout


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda file: file.unlink(), "x.parquet is not there"),
        (lambda file: file.write_bytes(b""), "x.parquet is not readable as parquet"),
        (lambda file: file.write_text("hello"), "x.parquet is not readable as parquet"),
        (lambda file: pq.write_table(pq.read_table(file).slice(0, 0), file), "none of its 0 rows"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, spoil: Callable[[Path], None], told: str) -> None:
    file = write(tmp_path / "x.parquet", FLAT)
    spoil(file)
    with pytest.raises(UserError, match=told) as error:
        analyse(file, tmp_path / "out")
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()
