"""The rows of benchmarks: read from the samples, shown side by side, linked from the scores."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from stages.lib.core.files import read_json, sha256_folder, write_json
from stages.lib.evaluation.samples import write_samples
from stages.lib.report import samples
from stages.lib.report.browser import SAMPLES, write_browser
from stages.lib.report.conversations import Conversation
from stages.lib.report.samples import choose_rows, collect_samples, join_messages, to_conversation
from stages.report import main
from tests.support.browser import HOSTILE, read_data_file
from tests.support.chromium import Visit, visit


def row(number: int, response: str, score: float | None, **more: Any) -> dict[str, Any]:
    return {"task": "math", "id": number, "prompt": f"{number} + 1?", "response": response, "score": score, **more}


def write_model(folder: Path, rows: list[dict[str, Any]], task: str = "math", unit: str = "fraction") -> dict[str, Any]:
    """Write a model's samples of a task, and return its results.json."""
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    write_samples(folder / "samples" / f"{task}.parquet", rows)
    entry = {"status": "ok", "primary": "acc", "metrics": {"acc": {"value": 0.5, "unit": unit}}}
    return {"tasks": {task: entry}}


def collect(root: Path, task: str = "math", unit: str = "fraction", **models: list[dict[str, Any]]) -> Any:
    results = {model: write_model(root / model, rows, task, unit) for model, rows in models.items()}
    return collect_samples({model: root / model for model in models}, results)


def read_models(collections: Any) -> dict[str, list[Conversation]]:
    [collection] = collections
    return {model: list(conversations) for model, conversations in collection.models.items()}


def test_a_row_has_its_prompt_reply_and_score_and_says_whether_it_is_correct(tmp_path: Path) -> None:
    [one] = read_models(collect(tmp_path, one=[row(3, "4", 1.0)]))["one"]
    assert (one.key, one.turns[0].user, one.turns[0].assistant, one.turns[0].score) == ("3", "3 + 1?", "4", 1.0)
    assert one.labels == ["correct"]


@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        ([row(1, "2", 0.0)], ["wrong"]),
        ([row(1, "2", 0.5)], ["partly correct"]),
        ([row(1, "2", None)], ["no score"]),
        ([row(1, " ", 0.0)], ["wrong", "no text"]),
        ([row(1, "hm", 0.0, answer="")], ["wrong", "no answer found"]),
        ([row(1, "hm", 0.0, answer="7")], ["wrong"]),
        ([row(1, "a", 1.0, turn=1), row(1, "b", 0.0, turn=2)], ["partly correct"]),
    ],
)
def test_labels_say_what_became_of_a_row(rows: list[dict[str, Any]], labels: list[str]) -> None:
    given = [{"turn": None, "judge_text": None, **each} for each in rows]
    assert to_conversation("math", "math", 1, given, is_share=True).labels == labels


def test_a_judges_scores_are_neither_correct_nor_wrong(tmp_path: Path) -> None:
    rows = [row(1, "a", 1.0, turn=2, judge_text="Poor."), row(1, "b", 9.0, turn=1, judge_text="Good.")]
    [one] = read_models(collect(tmp_path, "MTBench", "score_1_10", one=rows))["one"]
    assert one.labels == ["answered"]
    assert [(turn.assistant, turn.score, turn.judgment) for turn in one.turns] == [
        ("b", 9.0, "Good."),
        ("a", 1.0, "Poor."),
    ]


def test_a_row_of_a_group_is_named_by_its_part(tmp_path: Path) -> None:
    rows = [{**row(1, "a", 1.0), "task": f"bbh_{part}"} for part in ("sort", "count")]
    found = read_models(collect(tmp_path, "bbh", one=rows))["one"]
    assert [(one.key, one.group) for one in found] == [("sort 1", "sort"), ("count 1", "count")]


def test_a_task_without_samples_has_no_page_and_a_model_without_them_is_left_out(tmp_path: Path) -> None:
    results = {"one": write_model(tmp_path / "one", [row(1, "2", 1.0)]), "two": {"tasks": {"math": {}, "quiz": {}}}}
    results["one"]["tasks"]["math"]["metrics"]["acc"]["value"] = 1.0
    folders = {"one": tmp_path / "one", "two": tmp_path / "two"}
    results["two"]["tasks"] = {"quiz": results["one"]["tasks"]["math"]}
    assert [(each.name, list(each.models)) for each in collect_samples(folders, results)] == [("math", ["one"])]


def test_of_many_rows_every_model_has_the_same_ones_and_the_page_says_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "MOST_ROWS", 3)
    rows = [row(number, "a", 1.0) for number in range(9)]
    [collection] = collect(tmp_path, one=rows, two=rows[::-1])
    one, two = ({each.key for each in conversations} for conversations in collection.models.values())
    assert one == two and len(one) == 3
    assert collection.note == "3 of the 9 rows, chosen at random, the same ones of every model; scores are of all."
    assert choose_rows([("math", 1), ("math", 2)]) == [("math", 1), ("math", 2)]


def test_where_the_messages_are_known_the_tokens_of_a_template_are_not_shown() -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi?"}]
    given = {"turn": None, "judge_text": None, **row(1, "2", 1.0), "prompt": "<|user|>Hi?", "messages": messages}
    one = to_conversation("math", "math", 1, [given], is_share=True)
    assert (one.turns[0].user, one.system) == ("Hi?", "Be brief.")


def test_the_examples_of_a_prompt_are_told_apart_by_their_roles() -> None:
    chat = [("user", "1?"), ("assistant", "One."), ("user", "2?")]
    messages: list[Any] = [{"role": role, "content": content} for role, content in chat]
    assert join_messages(messages) == "[user]\n1?\n\n[assistant]\nOne.\n\n[user]\n2?"


def test_hostile_text_is_inert_and_no_task_becomes_a_file_name(tmp_path: Path) -> None:
    rows = [{**row(1, HOSTILE, 1.0, target=HOSTILE, answer=HOSTILE), "prompt": HOSTILE, "judge_text": HOSTILE}]
    folder = tmp_path / "site"
    folder.mkdir()
    [collection] = collect(tmp_path, one=rows)
    object.__setattr__(collection, "name", "../Task")
    write_browser(folder, [collection], "Rewild", SAMPLES)
    assert sorted(file.name for file in (folder / "samples").iterdir()) == ["task.0-0.js", "task.0-1.js"]
    for file in (folder / "samples").iterdir():
        assert "</" not in file.read_text(encoding="utf-8")
    [reply] = read_data_file(folder / "samples" / "task.0-1.js")
    assert "<script" not in reply["turns"][0]["html"]


@pytest.fixture
def page(chromium: Browser, tmp_path: Path) -> Iterator[Visit]:
    """The rows of two benchmarks and two models, opened from the disk at a comparison."""
    one = [
        row(1, "2", 1.0),
        row(2, "four?", 0.0, answer=""),
        row(3, "4", 1.0, answer="4", target="4"),
        row(4, "x", 0.0),
    ]
    two = [row(1, "2", 1.0), row(2, "3", 1.0), row(3, "<b>5</b>", 0.0, answer="5", target="4"), row(4, "y", 0.0)]
    others = [{**row(1, "z", 1.0), "task": "quiz"}]
    quiz = collect(tmp_path, "quiz", one=others, two=others)
    write_browser(tmp_path, [*quiz, *collect(tmp_path, one=one, two=two)], "Rewild", SAMPLES)
    with visit(chromium, tmp_path / "samples.html", hash="#set=math&left=one&right=two") as visited:
        visited.page.wait_for_selector("#list a")
        yield visited


def keys(page: Visit) -> Any:
    return page.run("[...document.querySelectorAll('#list a')].map((link) => link.dataset.key)")


def test_rows_on_which_two_models_differ_come_first_and_can_be_filtered(page: Visit) -> None:
    assert keys(page) == ["2", "3", "1", "4"]
    options = page.run("[...document.getElementById('controls').elements.judged.options].map((each) => each.text)")
    assert sorted(options) == sorted([
        "any", "both correct (1)", "both wrong (1)", "one correct, two wrong (1)", "two correct, one wrong (1)",
        "scores differ (2)",
    ])  # fmt: skip
    page.page.select_option("select[name=judged]", "only-left")
    expect(page.page.locator("#list a")).to_have_count(1)
    assert keys(page) == ["3"] and "judged=only-left" in page.run("location.hash")


def test_a_row_shows_the_expected_answer_the_one_that_was_found_and_the_text_as_it_was_written(page: Visit) -> None:
    page.page.click("#list a[data-key='3']")
    expect(page.page.locator("#list a[aria-current]")).to_have_attribute("data-key", "3")
    shown = page.text("#conversation")
    assert "Expected: 4" in shown and "answer found: 5" in shown and "<b>5</b>" in shown
    page.page.select_option("select[name=is]", "no answer found")
    expect(page.page.locator("#list a")).to_have_count(1)
    assert keys(page) == ["2"]


def test_another_benchmark_shows_the_same_two_models(page: Visit) -> None:
    page.page.click("#swap")
    page.page.select_option("select[name=set]", "quiz")
    expect(page.page.locator("#count")).to_have_text("1 of 1")
    assert page.run("location.hash") == "#set=quiz&left=two&right=one&at=1"


def test_a_score_of_the_report_leads_to_its_rows(pipeline: Path) -> None:
    for model, score in {"base": 0.0, "tuned": 1.0}.items():
        folder, digests = Path("data/evaluations", model), Path(f"metrics/digests/models/{model}.json")
        (folder / "samples").mkdir()
        write_samples(folder / "samples" / "math.parquet", [row(1, "2", score)])
        write_json(digests, read_json(digests) | {"evaluations": sha256_folder(folder)})
    main()
    html = Path("data/report/index.html").read_text(encoding="utf-8")
    links = re.findall(r'href="samples\.html#([^"]+)"', html)
    assert {link.replace("&amp;", "&") for link in links} >= {"set=math&left=base", "set=math&left=tuned"}
    page = Path("data/report/samples.html").read_text(encoding="utf-8")
    sets = json.loads(re.findall(r'<script id="sets" type="application/json">(.+?)</script>', page)[0])
    assert [(each["name"], each["models"]) for each in sets] == [("math", ["base", "tuned"])]


def test_without_samples_there_is_no_page_and_no_link(pipeline: Path) -> None:
    main()
    assert not Path("data/report/samples.html").exists()
    assert "samples.html" not in Path("data/report/index.html").read_text(encoding="utf-8")
