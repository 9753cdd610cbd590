"""Analysing replies that exist already: outs as the pipeline's, the page, and the summary on the screen."""

import re
from pathlib import Path

import pytest

from commands.analyse.command import analyse
from stages.lib.console.errors import UserError
from stages.lib.core.files import read_json, sha256_file
from stages.lib.records.judgments import JUDGMENT
from stages.lib.records.responses import RESPONSE
from stages.lib.records.shards import read_rows, read_table
from stages.lib.report.sections import benchmarks, runs, teachers, throughput
from stages.lib.settings.reading import load
from stages.lib.settings.sections import Similarity
from tests.support.replies import FLAT, Row, response, response_turn, write_rows

pytestmark = pytest.mark.usefixtures("bare_folder")


def visible(page: Path) -> str:
    """The text of a page, without its tags."""
    return " ".join(re.sub(r"<[^>]+>", "", re.sub(r"<style.*?</style>", "", page.read_text(), flags=re.S)).split())


def shown_conversations(tmp_path: Path, model: int) -> list[str]:
    """The conversations of a model, by its number, as the page loads them."""
    return (tmp_path / f"out/report/conversations/prompts-{model}.js").read_text().splitlines()


class TestOuts:
    def test_outs_are_those_of_the_pipeline(self, tmp_path: Path) -> None:
        analyse(write_rows(tmp_path / "x.parquet", FLAT), tmp_path / "out")
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

    def test_a_prompt_that_a_model_did_not_answer_is_not_imported_and_not_compared(self, tmp_path: Path) -> None:
        analyse(write_rows(tmp_path / "x.parquet", FLAT[:3]), tmp_path / "out")
        rows = {row["conversation_hash"]: row for row in read_rows(tmp_path / "out/responses/b")}
        assert (rows["1"]["status"], rows["2"]["status"]) == ("ok", "not_imported")
        pair = read_json(tmp_path / "out/similarity/.pairs.json")["a b"]
        assert (pair["rouge1"]["n"], pair["unscorable"]["no_reply"]) == (1, 1)

    def test_the_users_text_is_compared_with_the_prompt(self, tmp_path: Path) -> None:
        rows: list[Row] = [
            {**row, "prompt": "Which hill is green?" if row["dgm"] == "a" else "Which?"} for row in FLAT[1::2]
        ]
        analyse(write_rows(tmp_path / "x.parquet", rows), tmp_path / "out")
        summaries = {dgm: read_json(tmp_path / f"out/verdicts/{dgm}/.summary.json") for dgm in "ab"}
        assert (summaries["a"]["found"], summaries["b"]["found"]) == ({}, {"prompt_altered": 1})
        assert "echo" not in summaries["a"]["not_checked"]

    def test_a_judges_scores_are_compared_and_missing_ones_counted(self, tmp_path: Path) -> None:
        scores: dict[str, list[float | None]] = {"a": [8.0, 3.0], "b": [5.0, None]}
        rows: list[Row] = [
            {**row, "judge_score": scores[row["dgm"]][at % 2], "judge_strengths": "Clear.", "judge_number": 1}
            for at, row in enumerate(FLAT)
        ]
        rows[2:] = rows[:1:-1]  # the order of one model's rows is not that of the other's
        analyse(write_rows(tmp_path / "x.parquet", rows), tmp_path / "out")
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

    def test_judgments_beyond_the_bootstraps_limit_are_left_out_and_counted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("commands.analyse.command.MAX_QUESTIONS", 1)
        monkeypatch.setattr("commands.analyse.judgments.MAX_QUESTIONS", 1)
        analyse(write_rows(tmp_path / "x.parquet", [{**row, "judge_score": 1} for row in FLAT]), tmp_path / "out")
        assert "2 judgments are left out: only the first 1 prompts count" in capsys.readouterr().err
        assert read_json(tmp_path / "out/preference/tables.json")["by_score"]["a b"]["turns"] == 1

    def test_a_failed_turn_stays_failed(self, tmp_path: Path) -> None:
        turns = [response_turn("Hi?", "Hello."), response_turn("And?", "", "failed")]
        analyse(write_rows(tmp_path / "x.parquet", [response("m", "k", turns, "failed")]), tmp_path / "out")
        assert [row["status"] for row in read_rows(tmp_path / "out/responses/m")] == ["failed"]
        assert [row["reasons"] for row in read_rows(tmp_path / "out/verdicts/m")] == [["failed"]]

    def test_a_single_dgm_has_everything_but_similarity(self, tmp_path: Path) -> None:
        rows = [{**row, "judge_score": 5} for row in FLAT[:2]]
        analyse(write_rows(tmp_path / "x.parquet", rows), tmp_path / "out")
        assert read_json(tmp_path / "out/analysis.json")["skipped"] == {"similarity": "there is one DGM only"}
        assert read_json(tmp_path / "out/preference/tables.json")["models"]["a"]["mean"] == 5

    def test_dgms_that_share_no_prompt_are_not_compared(self, tmp_path: Path) -> None:
        analyse(write_rows(tmp_path / "x.parquet", [FLAT[0], FLAT[3]]), tmp_path / "out")
        skipped = read_json(tmp_path / "out/analysis.json")["skipped"]
        assert skipped["similarity"] == "no two replies to the same prompt can be scored (no_reply 2)"

    def test_only_the_sections_of_the_analyses_are_read_from_params(self, tmp_path: Path, bare_folder: Path) -> None:
        """With two prompts where params.yaml says one, and with none of its DGMs."""
        text = (bare_folder / "params.yaml").read_text()
        (bare_folder / "params.yaml").write_text(
            text.replace("- demo-rich\n- demo-plain\n", "- nosuch\n").replace("s: 100 ", "s: 1 ")
        )
        assert load(Similarity).num_prompts == 1
        analyse(write_rows(tmp_path / "x.parquet", FLAT), tmp_path / "out")
        assert read_json(tmp_path / "out/similarity/.summary.json")["prompts"] == 2

    def test_without_wordnet_the_analysis_goes_on_without_synonyms(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def absent() -> None:
            raise UserError("not there")

        monkeypatch.setattr("commands.analyse.command.open_wordnet", absent)
        analyse(write_rows(tmp_path / "x.parquet", FLAT), tmp_path / "out")
        assert "METEOR counts no synonyms" in capsys.readouterr().err
        assert read_json(tmp_path / "out/similarity/.summary.json")["synonyms"] is False

    def test_the_summary_is_printed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        rows = [*FLAT, FLAT[0], {"dgm": "c", "session_id": "1", "response": None}]
        analyse(write_rows(tmp_path / "x.parquet", rows), tmp_path / "out")
        printed = capsys.readouterr().err
        for line in (
            "DGMs: 2, prompts: 2, replies: 4 of 6 rows",
            "rows left out: duplicate_conversation 1, null_content 1",
            "models without a reply: c",
            "kept by validation: 4 of 4",
            "dropped, including 0 prompts that a DGM did not answer: none",
            "most alike: a and b, ROUGE-1 0.700",
            "no preference: no row has a number in judge_score",
            f"the page: {tmp_path}/out/report/index.html",
        ):
            assert line in printed


class TestPage:
    def test_sections_that_an_analysis_cannot_have_are_skipped_with_the_reason(self, tmp_path: Path) -> None:
        rows = [{**row, "judge_score": 5 + at} for at, row in enumerate(FLAT)]
        analyse(write_rows(tmp_path / "x.parquet", [*rows, FLAT[0]]), tmp_path / "out")
        page = visible(tmp_path / "out/report/index.html")
        for section in (benchmarks, teachers, runs, throughput):
            assert section.NOT_ANALYSED in page
        assert "analysis of x.parquet" in page and "The replies came with a judge's scores" in page
        assert (
            "4 of 5 source rows are replies, to 2 prompts; the others were left out: duplicate conversation 1" in page
        )
        assert "Any two models on what both answered" in page and "a and b" in page

    def test_every_number_is_traced_to_a_file_by_its_hash(self, tmp_path: Path) -> None:
        analyse(write_rows(tmp_path / "x.parquet", FLAT), tmp_path / "out")
        page = (tmp_path / "out/report/index.html").read_text()
        for path in ("similarity/.pairs.json", "styling/tables.json", "prompts/.summary.json"):
            assert path in page and sha256_file(tmp_path / "out" / path)[:12] in page

    def test_conversations_are_shown_with_their_judgments(self, tmp_path: Path) -> None:
        rows = [{**row, "judge_score": 5 + at, "judge_why": f"{at} is why."} for at, row in enumerate(FLAT)]
        analyse(write_rows(tmp_path / "x.parquet", rows), tmp_path / "out")
        (line,) = [text for text in shown_conversations(tmp_path, 1) if "6.0" in text]
        assert "A dog ran" in line and "why: 1 is why." in line

    def test_html_in_replies_is_shown_as_text(self, tmp_path: Path) -> None:
        hostile = "<script>alert(1)</script><img src=x onerror=alert(1)>"
        rows = [{"dgm": f"{hostile}{n}", "id": "1", "response": hostile, "judge_score": n} for n in range(2)]
        analyse(write_rows(tmp_path / "x.parquet", rows), tmp_path / "out")
        for file in (tmp_path / "out/report").rglob("*.*"):
            assert "<img src" not in file.read_text() and "<script>alert" not in file.read_text()

    def test_parts_that_are_skipped_are_skipped_on_the_page(self, tmp_path: Path) -> None:
        analyse(write_rows(tmp_path / "x.parquet", FLAT[:2]), tmp_path / "out")
        page = visible(tmp_path / "out/report/index.html")
        assert "there is one DGM only" in page and "no row has a number in judge_score" in page
