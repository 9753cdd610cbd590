"""Judges: what they are shown, how their verdicts are read, and judges that are dead, slow, wild or not quite sound."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from stages.judge import build_requests, measure_scores, to_judgment
from stages.lib.console.errors import UserError
from stages.lib.core.files import sha256_folder, write_json
from stages.lib.engines.budget import Estimate, estimate
from stages.lib.engines.request import RequestConfig
from stages.lib.generation.store import Store, read_segment
from stages.lib.judging.judge_prompts import JudgePrompts, check_prompts
from stages.lib.judging.judge_replies import JudgeReply, judging_status, parse_score
from stages.lib.judging.questions import read_questions
from stages.lib.models.catalogue import Model, save_model
from stages.lib.models.sampling import Sampling
from stages.lib.records.shards import read_table, write_table
from stages.lib.settings.sections import Server
from stages.pairwise import build_requests as to_judge_pairs
from stages.pairwise import choose_pairs
from stages.pairwise import to_pairing as to_row_of_pair
from tests.support.project import ROOT, Project, make_project
from tests.support.server import FakeServer

SECRET = b"-".join([b"planted", b"key", b"0816"])
REAL = ROOT / "stages/lib/judging/prompts"


def turn(user: str, assistant: str, finish_reason: str = "stop") -> Any:
    return {"user": user, "assistant": assistant, "finish_reason": finish_reason}


QUESTIONS = [{"question_id": 1, "category": "c", "turns": ["What is tin?", "Why?"], "reference": ["A metal.", ""]}]


class TestWhatAJudgeIsShown:
    def test_the_conversation_up_to_the_judged_reply_and_the_good_reply_to_it(self) -> None:
        text = JudgePrompts(REAL).single([turn("What is tin?", "A metal, {{ 1 + 1 }}.")], "A chemical element.")
        assert text.index("What is tin?") < text.index("A metal, {{ 1 + 1 }}.") < text.index("A chemical element.")

    def test_a_good_reply_is_not_spoken_of_where_there_is_none(self) -> None:
        assert "expert" not in JudgePrompts(REAL).single([turn("Hi", "Hello")], "")
        assert "expert" in JudgePrompts(REAL).pair([turn("Hi", "Hello")], [turn("Hi", "Hey")], "Good day")

    def test_both_replies_of_a_pair_under_their_letters_to_the_same_users_turns(self) -> None:
        first, second = [turn("One?", "a1"), turn("Two?", "a2")], [turn("One?", "b1"), turn("Two?", "b2")]
        text = JudgePrompts(REAL).pair(first, second, "")
        places = [
            text.index(part) for part in ("## Conversation with assistant A", "a1", "a2", "assistant B\n", "b1", "b2")
        ]
        assert places == sorted(places) and text.count("Two?") == 2

    @pytest.mark.parametrize("folder", [REAL, ROOT / "demo" / "judge"])
    def test_the_prompts_of_the_project_show_the_last_turn(self, folder: Path) -> None:
        check_prompts(folder)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{{ turns[0].user }}", r"single.txt does not show the last turn \(user 2, reply 2\)"),
            ("{{ questions }}", "single.txt: UndefinedError: 'questions' is undefined"),
            ("{% for turn in turns %}", "single.txt: TemplateSyntaxError"),
            (None, "single.txt: TemplateNotFound"),
        ],
    )
    def test_a_prompt_that_cannot_work_is_refused_before_anything_is_asked(
        self, text: str | None, message: str, tmp_path: Path
    ) -> None:
        (tmp_path / "pair.txt").write_text("{{ users[-1] }} {{ first[-1] }} {{ second[-1] }}")
        if text is not None:
            (tmp_path / "single.txt").write_text(text)
        with pytest.raises(UserError, match=message):
            check_prompts(tmp_path)

    def test_a_turn_without_a_reply_is_not_shown_but_counted(self) -> None:
        answers = [
            {"question_id": 1, "turns": [turn("What is tin?", "A metal."), turn("Why?", "", "context_overflow")]}
        ]
        first, second = build_requests(answers, QUESTIONS, JudgePrompts(REAL))
        assert (first["turn"], first["chars"], second["prompt"]) == (1, 8, None)
        assert to_judgment(second, None)["status"] == "unanswered"

    def test_a_conversation_that_ended_early_has_no_second_turn_to_show(self) -> None:
        rows = build_requests(
            [{"question_id": 1, "turns": [turn("What is tin?", "A metal.")]}], QUESTIONS, JudgePrompts(REAL)
        )
        assert [row["prompt"] is None for row in rows] == [False, True]

    def test_every_pair_is_shown_in_both_orders_or_not_at_all(self) -> None:
        answers = {
            "a": {1: [turn("What is tin?", "from a"), turn("Why?", "", "failed")]},
            "b": {1: [turn("What is tin?", "from b"), turn("Why?", "more of b")]},
        }
        rows = to_judge_pairs(("a", "b"), answers, QUESTIONS, JudgePrompts(REAL))
        assert [(row["turn"], row["first"], row["prompt"] is None) for row in rows] == [
            (1, "a", False), (1, "b", False), (2, "a", True), (2, "b", True)
        ]  # fmt: skip
        assert rows[0]["prompt"].index("from a") < rows[0]["prompt"].index("from b")
        assert rows[1]["prompt"].index("from b") < rows[1]["prompt"].index("from a")


class TestReadingAVerdict:
    @pytest.mark.parametrize(
        ("text", "score"),
        [
            ("Good. [[7]]", 7),
            ("As asked, not [[5]] but Rating: [[ 8.5 ]]", 8.5),
            ("[[10]]", 10),
            ("[[11]]", None),
            ("[[0]]", None),
            ("7", None),
            ("[7]", None),
            ("", None),
        ],
    )
    def test_a_score_is_the_last_number_in_double_brackets(self, text: str, measure_scores: float | None) -> None:
        found, reason = parse_score(JudgeReply(text, ""))
        assert found == measure_scores and (reason == "") == (measure_scores is not None)

    def test_a_judge_that_was_not_asked_gave_no_score_whatever_is_there(self) -> None:
        assert parse_score(JudgeReply("[[7]]", "HTTP 500")) == (None, "HTTP 500")

    @pytest.mark.parametrize(
        ("text", "winner"), [("[[A]]", "b"), ("[[A]] or [[B]]", "a"), ("[[C]]", "tie"), ("A", None)]
    )
    def test_a_choice_names_the_model_that_was_shown_under_the_letter(self, text: str, winner: str | None) -> None:
        row = to_row_of_pair({"one": "a", "other": "b", "first": "b", "prompt": ""}, JudgeReply(text, ""))
        assert row["winner"] == winner and row["status"] == ("ok" if winner else "failed")

    def test_scores_of_one_question_are_a_cluster(self) -> None:
        rows: list[dict[str, Any]] = [
            {"question_id": 1, "turn": 1, "score": 2.0}, {"question_id": 1, "turn": 2, "score": 4.0},
            {"question_id": 2, "turn": 1, "score": 6.0}, {"question_id": 2, "turn": 2, "score": None},
        ]  # fmt: skip
        found = measure_scores(rows)
        assert found["score"]["value"] == 4 and found["score"]["n"] == 3
        # residuals of the questions: -2 + 0 and 2; variance (4 + 4) * 2 / 1 = 16; 4 / 3
        assert found["score"]["stderr"] == pytest.approx(4 / 3)
        assert (found["turn_1"]["value"], found["turn_2"]["value"]) == (4, 4)

    def test_pairs_are_all_none_or_those_that_are_listed(self) -> None:
        assert choose_pairs("all", ["a", "b", "c"]) == [("a", "b"), ("a", "c"), ("b", "c")]
        assert choose_pairs("none", ["a", "b"]) == []
        assert choose_pairs([["c", "a"]], ["a", "b", "c"]) == [("c", "a")]


def verdicts(ok: int, failed: int, unanswered: int = 0) -> list[dict[str, Any]]:
    return [
        *({"status": "ok", "reason": "", "text": ""} for _ in range(ok)),
        *({"status": "failed", "reason": "no score in double brackets", "text": "I like it."} for _ in range(failed)),
        *({"status": "unanswered", "reason": "", "text": ""} for _ in range(unanswered)),
    ]


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        (verdicts(100, 0, 50), "ok"),
        (verdicts(99, 1), "ok"),
        (verdicts(98, 2), "partial"),
        (verdicts(95, 5), "partial"),
        (verdicts(94, 6), "failed"),
        ([], "ok"),
    ],
)
def test_up_to_one_in_a_hundred_verdicts_may_be_missing_and_up_to_five_with_a_word(
    rows: list[dict[str, Any]], status: str
) -> None:
    assert judging_status(rows, "m")[0] == status


def test_a_request_is_estimated_with_all_that_was_said_before_it() -> None:
    prompts = [{"turns": [{"user": "a" * 40, "reference": "r" * 8}, {"user": "é" * 20, "reference": ""}]}]
    config = RequestConfig(sampling=Sampling(), max_tokens=100, window=1000, seed=1, system_prompt="s" * 20)
    # four bytes a token: 5 + 10, then 100 of a whole reply and 10 more
    assert estimate(prompts, config) == Estimate(2, 15 + 125, 200)
    assert estimate(prompts, replace(config, history="reference")) == Estimate(2, 15 + 27, 200)


def test_an_estimate_tells_the_money_and_whether_the_budget_will_do() -> None:
    prices = Server(price_per_million_input=1.0, price_per_million_output=4.0)
    found = Estimate(1000, 500_000, 250_000)
    words = "1,000 requests, about 500,000 tokens in and at most 250,000 out, which costs about 0.50 to 1.50"
    assert found.describe(prices) == words
    assert found.describe(prices.model_copy(update={"max_cost": 1.0})) == words  # it may do
    assert "more than the budget" in found.describe(prices.model_copy(update={"max_cost": 0.4}))
    assert "more than the budget" in found.describe(prices.model_copy(update={"max_requests": 999}))


def test_a_file_of_questions_may_have_good_replies(tmp_path: Path) -> None:
    lines = [
        {"question_id": 1, "category": "c", "turns": ["a", "b"], "reference": ["x"]},
        {"question_id": 2, "category": "c", "turns": ["a", "b"]},
    ]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert [row["reference"] for row in read_questions(tmp_path / "q.jsonl")] == [["x", ""], ["", ""]]


# ---- the stages, with a judge behind a server ----


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A judge that likes long replies."""
    fake = FakeServer()
    fake.window = 4000
    fake.says = lambda prompt: f"It has {len(prompt.split())} words. [[{min(len(prompt.split()), 10)}]] [[A]]"
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
        write_json(project.root / f"metrics/digests/models/{name}.json", {"answers": digest})
    return project


@pytest.fixture
def judged(answered: Project, server: FakeServer, tmp_path: Path) -> Project:
    """A copy of it, with the judge behind the server."""
    shutil.copytree(answered.root, tmp_path / "project", symlinks=True)
    judge = Model(id="base", name="Judge", location=server.address, kind="server", commit="c", parameters_billions=1.0,
                  context_window=4000, served_name="wise")  # fmt: skip
    save_model(tmp_path / "project" / "models" / "base", judge)
    return Project(tmp_path / "project")


def judge(project: Project, code: int = 0, stage: str = "judge rich") -> str:
    return project.run("python", "-m", *f"stages.{stage}".split(), code=code, REWILD_API_KEY=SECRET.decode())


def summary(project: Project) -> dict[str, Any]:
    found: dict[str, Any] = project.json("data/judgments/rich/.summary.json")
    return found


class TestTheStages:
    def test_a_second_run_asks_for_nothing_and_gives_the_same_bytes(self, judged: Project, server: FakeServer) -> None:
        assert "100 requests, about" in judge(judged)
        rows = read_table(judged.root / "data/judgments/rich").to_pylist()
        assert {row["status"] for row in rows} == {"ok"} and len(rows) == 100
        judge(judged, stage="pairwise")
        before = [path.read_bytes() for path in sorted((judged.root / "data").rglob("*.parquet"))]
        asked = len(server.asked)
        assert "100 verdicts are in the store, 0 to generate" in judge(judged)
        judge(judged, stage="pairwise")
        assert len(server.asked) == asked
        assert [path.read_bytes() for path in sorted((judged.root / "data").rglob("*.parquet"))] == before

    def test_pruning_what_no_response_uses_keeps_the_verdicts(self, judged: Project, server: FakeServer) -> None:
        judge(judged)
        asked = len(server.asked)
        output = judged.run("python", "-m", "commands.store", "prune", "--unused", "base.verdicts")
        assert "base.verdicts: a judge's verdicts are all kept" in output and "100 conversations kept" in output
        judge(judged)
        assert len(server.asked) == asked

    def test_the_results_name_the_judge_as_it_was_asked(self, judged: Project) -> None:
        judge(judged)
        settings = judged.json("data/judgments/rich/.results.json")["settings"]
        assert (settings["engine"], settings["model"], settings["name"]) == ("openai", "base", "Judge")

    def test_a_model_without_any_reply_has_no_score_and_a_reason(self, judged: Project, server: FakeServer) -> None:
        table = read_table(judged.root / "data/answers/rich")
        rows = [{**row, "turns": []} for row in table.to_pylist()]
        write_table(judged.root / "data/answers/rich", pa.Table.from_pylist(rows, schema=table.schema))
        assert "rich: no score: there is no reply to judge" in judge(judged)
        found = summary(judged)
        assert (found["score"], found["status"], found["unanswered"]) == (None, "failed", 100)
        assert server.asked == []

    def test_both_orders_of_a_pair_are_kept(self, judged: Project) -> None:
        judge(judged, stage="pairwise")
        rows = read_table(judged.root / "data/pairwise").to_pylist()
        assert [row["first"] for row in rows] == ["rich", "plain"] * 100
        assert [row["winner"] for row in rows] == ["rich", "plain"] * 100  # this judge prefers the first

    def test_a_dead_judge_is_named_and_nothing_is_written(self, judged: Project, server: FakeServer) -> None:
        server.stop()
        output = judge(judged, code=1)
        assert f"base: the server at {server.address} is not there" in output and "Traceback" not in output
        assert not (judged.root / "data/judgments/rich").exists()

    def test_a_judge_that_dies_on_the_way_is_paid_for_once(self, judged: Project, server: FakeServer) -> None:
        server.says = dies_after(30, server)
        assert "Traceback" not in judge(judged, code=1)
        segments = Store(judged.root / ".dvc" / "store", "base.verdicts").segments()
        kept = sum(table.num_rows for table in map(read_segment, segments) if table)
        assert 20 < kept < 40
        again = FakeServer(server.server_address[1])
        again.window, again.says = 4000, lambda _: "[[4]]"
        again.start()
        try:
            output = judge(judged)
        finally:
            again.stop()
        assert f"{kept} verdicts are in the store, {100 - kept} to generate" in output
        assert len(again.asked) == 101 - kept  # one asks whether the judge is there
        assert summary(judged)["status"] == "ok"

    def test_a_slow_judge_fails_what_it_does_not_answer_in_time_and_ends(
        self, judged: Project, server: FakeServer
    ) -> None:
        server.faults = [5.0, 5.0]  # and so for as long as it is asked again
        output = judge(judged)
        assert summary(judged)["ok"] >= 98 and "Traceback" not in output

    def test_what_was_refused_is_asked_again_and_nothing_else(self, judged: Project, server: FakeServer) -> None:
        server.faults = [400, 400]
        assert "2 of 100 verdicts are missing, 2 of them because: the server refuses it (HTTP 400)" in judge(judged)
        assert (summary(judged)["status"], summary(judged)["failed"]) == ("partial", 2)
        asked = len(server.asked)
        judge(judged)
        assert len(server.asked) == asked + 3  # one asks whether the judge is there
        assert (summary(judged)["status"], summary(judged)["failed"]) == ("ok", 0)

    def test_a_judge_that_answers_nonsense_ends_in_one_line_with_an_example(
        self, judged: Project, server: FakeServer
    ) -> None:
        server.says = lambda _: "What a lovely day."
        output = judge(judged, code=1)
        assert "rich: no verdict could be read: no score in double brackets (such as 'What a lovely day.')" in output
        assert "Traceback" not in output

    @pytest.mark.parametrize(("every", "status", "is_scored"), [(33, "partial", True), (10, "failed", False)])
    def test_missing_verdicts_are_counted_and_too_many_give_no_score(
        self, every: int, status: str, is_scored: bool, judged: Project, server: FakeServer
    ) -> None:
        server.says = nonsense_every(every)
        output = judge(judged)
        found = summary(judged)
        assert (found["status"], found["failed"]) == (status, 100 // every)
        assert (found["score"] is not None) == is_scored
        assert f"{100 // every} of 100 verdicts are missing" in output

    def test_no_key_is_written_anywhere(self, judged: Project, tmp_path: Path) -> None:
        judge(judged)
        judge(judged, stage="pairwise")
        assert [
            path for path in tmp_path.rglob("*") if path.is_file() and b"planted-key-0816" in path.read_bytes()
        ] == []

    def test_a_budget_of_money_ends_a_run_and_the_next_goes_on(self, judged: Project) -> None:
        params = judged.params()
        params["runtime"] |= {"max_concurrent": 2}
        params["runtime"]["server"] |= {"price_per_million_output": 1e5, "max_cost": 20.0}
        judged.write_params(params)
        output = judge(judged, code=1)
        assert "which costs about 0.00 to 10000.00" in output  # 100 requests of at most 1,000 tokens
        assert "the budget of this run is spent" in output and "Traceback" not in output
        params["runtime"]["server"]["max_cost"] = 0.0
        judged.write_params(params)
        assert "verdicts are in the store" in judge(judged)


def nonsense_every(number: int) -> Callable[[str], str]:
    """A judge that gives no score to one prompt in so many."""
    seen: dict[str, int] = {}
    return lambda prompt: "Hm." if seen.setdefault(prompt, len(seen)) % number == 2 else "[[6]]"


def dies_after(number: int, server: FakeServer) -> Callable[[str], str]:
    """A judge whose server is gone after so many verdicts."""
    seen: list[str] = []

    def says(prompt: str) -> str:
        seen.append(prompt)
        if len(seen) == number:
            threading.Thread(target=server.stop).start()
        time.sleep(0.02)
        return "[[4]]"

    return says
