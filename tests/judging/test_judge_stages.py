"""The stages judge and pairwise with a judge behind a server: one that is dead, slow, or replies nonsense."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from stages.lib.core.files import sha256_folder, write_json
from stages.lib.generation.store import Store, read_segment
from stages.lib.models.catalogue import Model, save_model
from stages.lib.records.shards import read_table, write_table
from tests.support.project import Project, make_project
from tests.support.server import FakeServer

SECRET = b"-".join([b"planted", b"key", b"0816"])


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A judge that likes long replies."""
    fake = FakeServer()
    fake.window = 4000
    fake.reply_to = lambda prompt: f"It has {len(prompt.split())} words. [[{min(len(prompt.split()), 10)}]] [[A]]"
    yield fake.start()
    fake.stop()


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small project with the answers of two models to 50 questions of two turns. Not to be changed."""
    project = make_project(tmp_path_factory.mktemp("answered") / "project", num_prompts=4)
    questions = [{"question_id": n, "category": "c", "turns": [f"First {n}?", "Second?"]} for n in range(50)]
    (project.root / "demo/questions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in questions))
    params = project.params()
    params["bases"] = ["base"]
    params["compare"] = ["rich", "plain"]
    params["runtime"] |= {"flush_conversations": 5, "max_concurrent": 4}
    params["runtime"]["server"] = {"retry_seconds": 1.0, "timeout_seconds": 2.0}
    project.write_params(params)
    project.run("python", "-m", "stages.check")
    for name in ("rich", "plain"):
        project.run("python", "-m", "stages.resolve", name)
        project.run("python", "-m", "stages.answers", name)
        digest = sha256_folder(project.root / "data" / "answers" / name)
        write_json(project.root / f"metrics/digests/answers/{name}.json", {"answers": digest})
    return project


@pytest.fixture
def judged(answered: Project, server: FakeServer, tmp_path: Path) -> Project:
    """A copy of it, with the judge behind the server."""
    project = answered.copy(tmp_path / "project")
    judge = Model(id="base", name="Judge", location=server.address, kind="server", commit="c", parameters_billions=1.0,
                  context_window=4000, served_name="wise")  # fmt: skip
    save_model(project.root / "models" / "base", judge)
    return project


def judge(project: Project, code: int = 0, stage: str = "judge") -> str:
    return project.run("python", "-m", f"stages.{stage}", code=code, REWILD_API_KEY=SECRET.decode())


def write_answers(project: Project, model: str, table: pa.Table) -> None:
    """Replace the answers of a model, and their digest."""
    folder = project.root / "data/answers" / model
    write_table(folder, table)
    write_json(project.root / f"metrics/digests/answers/{model}.json", {"answers": sha256_folder(folder)})


def summary(project: Project) -> dict[str, Any]:
    content: dict[str, Any] = project.json("data/judgments/rich/.summary.json")
    return content


class TestStages:
    def test_a_second_run_asks_nothing_and_writes_the_same_bytes(self, judged: Project, server: FakeServer) -> None:
        assert "100 requests, about" in judge(judged)
        rows = read_table(judged.root / "data/judgments/rich").to_pylist()
        assert {row["status"] for row in rows} == {"ok"} and len(rows) == 100
        judge(judged, stage="pairwise")
        before = [path.read_bytes() for path in sorted((judged.root / "data").rglob("*.parquet"))]
        asked = len(server.requests)
        assert "100 judge replies are in the store, 0 to generate" in judge(judged)
        judge(judged, stage="pairwise")
        assert len(server.requests) == asked
        assert [path.read_bytes() for path in sorted((judged.root / "data").rglob("*.parquet"))] == before

    def test_pruning_what_no_response_uses_keeps_the_judges_replies(self, judged: Project, server: FakeServer) -> None:
        judge(judged)
        asked = len(server.requests)
        output = judged.run("python", "-m", "commands.store", "prune", "--unused", "base.verdicts")
        assert "base.verdicts: a judge's replies are all kept" in output and "100 conversations kept" in output
        judge(judged)
        assert len(server.requests) == asked

    def test_the_results_name_the_judge_and_the_engine_that_answered(self, judged: Project) -> None:
        judge(judged)
        settings = judged.json("data/judgments/rich/.results.json")["settings"]
        assert (settings["engine"], settings["model"], settings["name"]) == ("openai", "base", "Judge")

    def test_a_model_without_any_reply_has_no_score_and_a_reason(self, judged: Project, server: FakeServer) -> None:
        table = read_table(judged.root / "data/answers/rich")
        rows = [{**row, "turns": []} for row in table.to_pylist()]
        write_answers(judged, "rich", pa.Table.from_pylist(rows, schema=table.schema))
        output = judge(judged)
        assert "rich: no score: there is no reply to judge (1 of 2)" in output
        assert "plain: score 5.00, n = 100, by Judge (2 of 2)" in output
        content = summary(judged)
        assert (content["score"], content["status"], content["unanswered"]) == (None, "failed", 100)

    def test_both_orders_of_a_pair_are_kept(self, judged: Project) -> None:
        judge(judged, stage="pairwise")
        rows = read_table(judged.root / "data/pairwise").to_pylist()
        assert [row["first"] for row in rows] == ["rich", "plain"] * 100
        assert [row["winner"] for row in rows] == ["rich", "plain"] * 100  # this judge prefers the first

    def test_a_dead_judge_is_named_and_nothing_is_written(self, judged: Project, server: FakeServer) -> None:
        server.stop()
        output = judge(judged, code=1)
        assert f"base: the server at {server.address} cannot be reached" in output and "Traceback" not in output
        assert not (judged.root / "data/judgments").exists()

    def test_a_judge_that_dies_halfway_is_asked_for_the_rest_only(self, judged: Project, server: FakeServer) -> None:
        server.reply_to = dies_after(30, server)
        assert "Traceback" not in judge(judged, code=1)
        segments = Store(judged.root / ".dvc" / "store", "base.verdicts").segments()
        kept = sum(table.num_rows for table in map(read_segment, segments) if table)
        assert 20 < kept < 40
        again = FakeServer(server.server_address[1])
        again.window, again.reply_to = 4000, lambda _: "[[4]]"
        again.start()
        try:
            output = judge(judged)
        finally:
            again.stop()
        assert f"{kept} judge replies are in the store, {100 - kept} to generate" in output
        assert len(again.requests) == 101 - kept  # one asks whether the judge is there
        assert summary(judged)["status"] == "ok"

    def test_prompts_that_a_slow_judge_does_not_answer_in_time_fail_and_the_stage_ends(
        self, judged: Project, server: FakeServer
    ) -> None:
        server.faults = [5.0, 5.0]  # and so for as long as it is asked again
        output = judge(judged)
        assert summary(judged)["ok"] >= 98 and "Traceback" not in output

    def test_only_refused_prompts_are_asked_again(self, judged: Project, server: FakeServer) -> None:
        server.faults = [400, 400]
        output = judge(judged)
        assert "2 of 100 judge replies are unusable, 2 of them because: the server refuses it (HTTP 400)" in output
        assert (summary(judged)["status"], summary(judged)["failed"]) == ("partial", 2)
        asked = len(server.requests)
        judge(judged)
        assert len(server.requests) == asked + 3  # one asks whether the judge is there
        assert (summary(judged)["status"], summary(judged)["failed"]) == ("ok", 0)

    def test_a_judge_that_replies_nonsense_ends_the_stage_with_one_line_and_an_example(
        self, judged: Project, server: FakeServer
    ) -> None:
        server.reply_to = lambda _: "What a lovely day."
        output = judge(judged, code=1)
        message = "no reply of the judge could be parsed: no score in double brackets (such as 'What a lovely day.')"
        assert f"rich: {message}" in output
        assert "Traceback" not in output

    @pytest.mark.parametrize(("every", "status", "is_scored"), [(33, "partial", True), (10, "failed", False)])
    def test_unusable_replies_are_counted_and_too_many_give_no_score(
        self, every: int, status: str, is_scored: bool, judged: Project, server: FakeServer
    ) -> None:
        server.reply_to = nonsense_every(every)
        output = judge(judged)
        content = summary(judged)
        assert (content["status"], content["failed"]) == (status, 100 // every)
        assert (content["score"] is not None) == is_scored
        assert f"{100 // every} of 100 judge replies are unusable" in output

    def test_no_key_is_written_anywhere(self, judged: Project, tmp_path: Path) -> None:
        judge(judged)
        judge(judged, stage="pairwise")
        assert [
            path for path in tmp_path.rglob("*") if path.is_file() and b"planted-key-0816" in path.read_bytes()
        ] == []

    def test_a_spent_budget_ends_a_run_and_the_next_one_continues(self, judged: Project) -> None:
        params = judged.params()
        params["runtime"] |= {"max_concurrent": 2}
        params["runtime"]["server"] |= {"price_per_million_output": 1e5, "max_cost": 20.0}
        judged.write_params(params)
        output = judge(judged, code=1)
        assert "which costs about 0.00 to 10000.00" in output  # 100 requests of at most 1,000 tokens
        assert "the budget of this run is spent" in output and "Traceback" not in output
        params["runtime"]["server"]["max_cost"] = 0.0
        judged.write_params(params)
        assert "judge replies are in the store" in judge(judged)


def nonsense_every(number: int) -> Callable[[str], str]:
    """A judge that gives no score to one prompt in `number`."""
    seen: dict[str, int] = {}
    return lambda prompt: "Hm." if seen.setdefault(prompt, len(seen)) % number == 2 else "[[6]]"


def dies_after(number: int, server: FakeServer) -> Callable[[str], str]:
    """A judge whose server is gone after `number` replies."""
    seen: list[str] = []

    def says(prompt: str) -> str:
        seen.append(prompt)
        if len(seen) == number:
            threading.Thread(target=server.stop).start()
        time.sleep(0.02)
        return "[[4]]"

    return says
