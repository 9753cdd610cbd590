"""`make compare` on two compared models: verdicts, style, and the rows on which they differ most."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from commands.compare.command import main
from commands.compare.screen import LINE_CHARS
from stages.lib.console.errors import UserError
from stages.lib.core.files import read_json, write_json
from tests.support.compared import make_checkout, write_choices, write_compared, write_dgm, write_seed

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Of 100 rows both are right on 50; one is right on 30 more, two on 5 more, and both are wrong on 15.
ONE = "+" * 50 + "+" * 30 + "-" * 5 + "-" * 15
TWO = "+" * 50 + "-" * 30 + "+" * 5 + "-" * 15


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with two compared models, `one` and `two`, that are no DGMs."""
    make_checkout(tmp_path, dgms=("teacher",))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def compare(*words: str) -> dict[str, Any]:
    """Run the command; the numbers that it wrote, its lines by name."""
    main([*words, "--out", "out"])
    numbers: dict[str, Any] = read_json(Path("out/comparison.json"))
    for part in ("scores", "style", "mixing"):
        numbers[part] = {line["name"]: line for line in numbers[part]}
    return numbers


def test_the_model_that_is_right_on_more_of_the_same_rows_is_better(checkout: Path) -> None:
    write_compared(checkout, "one", {"quiz": ONE})
    write_compared(checkout, "two", {"quiz": TWO})
    quiz = compare("one", "two")["scores"]["quiz"]
    assert (quiz["one"]["value"], quiz["other"]["value"]) == (0.8, 0.55)
    assert quiz["difference"]["value"] == 0.25
    assert (quiz["difference"]["test"], quiz["difference"]["verdict"]) == ("mcnemar", "better")
    assert quiz["difference"]["p"] == pytest.approx(2.23e-5, rel=0.01)  # binomtest(5, 35)


def test_with_a_and_b_exchanged_the_other_one_is_better(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_compared(checkout, "one", {"quiz": ONE})
    write_compared(checkout, "two", {"quiz": TWO})
    assert compare("two", "one")["scores"]["quiz"]["difference"]["verdict"] == "worse"
    assert "by the average: one is better, -0.250" in capsys.readouterr().out


def test_q_is_corrected_over_the_benchmarks_of_this_pair(checkout: Path) -> None:
    same = "+-" * 50
    write_compared(checkout, "one", {"quiz": ONE, "same": same})
    write_compared(checkout, "two", {"quiz": TWO, "same": same})
    scores = compare("one", "two")["scores"]
    assert scores["quiz"]["difference"]["q"] == pytest.approx(2 * scores["quiz"]["difference"]["p"], rel=0.001)
    assert scores["quiz"]["family"] == "benchmarks" and scores["average"]["family"] == "averages"
    assert scores["quiz"]["margin"] == 0.05


def test_what_is_not_decided_says_how_many_rows_would_decide(checkout: Path) -> None:
    write_compared(checkout, "one", {"quiz": "+" * 12 + "-" * 8})
    write_compared(checkout, "two", {"quiz": "-" * 4 + "+" * 10 + "-" * 6})
    difference = compare("one", "two")["scores"]["quiz"]["difference"]
    assert difference["verdict"] == "not decided" and difference["rows_to_decide"] > 20


def test_the_judge_compares_by_scores_and_by_choices(checkout: Path) -> None:
    replies = ["Yes."] * 12
    write_compared(checkout, "one", {"quiz": ONE}, replies, [9, 8] * 6)
    write_compared(checkout, "two", {"quiz": TWO}, replies, [5, 4] * 6)
    write_choices(checkout, "two", "one", ["one"] * 11 + ["tie"])
    scores = compare("one", "two")["scores"]
    judged, chosen = scores["judge's score"], scores["judge's choices"]
    assert (judged["one"]["value"], judged["other"]["value"]) == (8.5, 4.5)
    assert judged["difference"]["verdict"] == "better"
    assert (chosen["one"]["value"], chosen["other"]["value"]) == (pytest.approx(11 / 12, abs=1e-4), 0)
    assert chosen["difference"]["verdict"] == "better"


def test_choices_that_were_stopped_when_decided_are_compared_by_intervals_that_hold_whenever_one_stops(
    checkout: Path,
) -> None:
    for name in ("one", "two"):
        write_compared(checkout, name, {"quiz": ONE}, ["Yes."] * 12, [5, 4] * 6)
    write_choices(checkout, "two", "one", ["one"] * 11 + ["tie"])
    stop = {
        "one": "two", "other": "one", "asked": 12, "counted": 12, "why": "decided", "verdict": "worse", "share": 0.05,
        "interval": [0.0, 0.45], "ci95": [0.0, 0.4], "ci95_won": [0.0, 0.375], "ci95_lost": [0.5, 1.0], "p": 0.02,
    }  # fmt: skip
    write_json(checkout / "data/pairwise/.summary.json", {"status": "ok", "stop": {"pairs": [stop]}})
    chosen = compare("one", "two")["scores"]["judge's choices"]
    assert (chosen["one"]["ci95"], chosen["other"]["ci95"]) == ([0.5, 1.0], [0.0, 0.375])
    assert chosen["difference"]["ci95"] == [pytest.approx(0.2), 1] and chosen["difference"]["p"] == 0.02
    assert chosen["difference"]["verdict"] == "better"


def test_a_pair_that_the_judge_did_not_see_side_by_side_has_no_choices(checkout: Path) -> None:
    write_compared(checkout, "one", {"quiz": ONE})
    write_compared(checkout, "two", {"quiz": TWO})
    write_choices(checkout, "one", "three", ["one", "three"])
    assert "judge's choices" not in compare("one", "two")["scores"]


def test_style_is_compared_on_the_questions_that_both_answered(checkout: Path) -> None:
    write_compared(checkout, "one", {"quiz": ONE}, ["**a** b c"] * 10 + ["**a** " * 99], [5] * 11)
    write_compared(checkout, "two", {"quiz": TWO}, ["a"] * 10, [5] * 10)
    numbers = compare("one", "two")
    markup, words = numbers["style"]["Markdown per answer"], numbers["style"]["words per answer"]
    assert (markup["one"]["value"], markup["other"]["value"], markup["difference"]["value"]) == (1, 0, 1)
    assert (words["one"]["value"], words["other"]["value"], words["difference"]["ci95"]) == (3, 1, [2, 2])
    assert numbers["notices"] == ["Style: 1 question that only one side answered left out."]


def test_the_rows_to_read_are_of_the_benchmarks_in_turn_and_their_choice_is_stable(checkout: Path) -> None:
    tasks = {"algebra": "+" * 20, "quiz": ONE}
    write_compared(checkout, "one", tasks)
    write_compared(checkout, "two", {"algebra": "-" * 2 + "+" * 18, "quiz": TWO})
    rows = compare("one", "two")["rows"]
    assert [row["task"] for row in rows] == ["algebra", "quiz", "algebra", *["quiz"] * 7]
    assert all(row["scores"][0] != row["scores"][1] for row in rows)
    assert rows[0]["prompt"] == f"algebra {rows[0]['id']}?" and rows[0]["replies"] == [
        f"one {rows[0]['id']}",
        f"two {rows[0]['id']}",
    ]
    assert compare("one", "two")["rows"] == rows
    quiz = [row["id"] for row in rows if row["task"] == "quiz"]
    assert quiz != sorted(quiz)  # by a hash, not the first ones of the file


def test_the_rows_to_read_begin_with_the_largest_difference_whoever_leads(checkout: Path) -> None:
    write_compared(checkout, "one", {"graded": "5559"})
    write_compared(checkout, "two", {"graded": "5471"})
    rows = compare("one", "two")["rows"]
    assert [(row["id"], row["scores"]) for row in rows] == [(3, [0.9, 0.1]), (2, [0.5, 0.7]), (1, [0.5, 0.4])]


def test_benchmarks_whose_rows_changed_are_compared_as_independent(checkout: Path) -> None:
    write_compared(checkout, "one", {"quiz": ONE}, data="old")
    write_compared(checkout, "two", {"quiz": TWO}, data="new", seed=2)
    numbers = compare("one", "two")
    assert numbers["scores"]["quiz"]["difference"]["test"] == "independent" and numbers["rows"] == []
    assert numbers["notices"] == [
        "The rows of quiz are not the same on both sides: they are compared as independent.",
        "The models were not evaluated with the same seed, which may explain a difference.",
        "The same files on both sides: answers and judgments.",
    ]


def test_a_run_with_several_seeds_is_their_mean_with_their_spread_in_the_interval(checkout: Path) -> None:
    make_checkout(checkout, dgms=("teacher",), seeds={"one": [42, 43]})
    write_compared(checkout, "one", {"quiz": ONE})
    write_compared(checkout, "two", {"quiz": TWO})
    with pytest.raises(UserError, match="one-seed43, another seed of one, was not evaluated: run `dvc repro`"):
        main(["one", "two"])
    write_seed(checkout, "one-seed43", {"quiz": "+" * 60 + "-" * 40})
    numbers = compare("one", "two")
    quiz = numbers["scores"]["quiz"]
    assert quiz["one"]["value"] == pytest.approx((0.8 + 0.6) / 2) and quiz["difference"]["test"] == "seeds"
    assert quiz["difference"]["verdict"] == "not decided"
    assert numbers["notices"][0].startswith("The scores of one are means of 2 training seeds")


def test_the_screen_fits_a_hundred_columns_and_ends_with_the_page(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_compared(checkout, "one", {"a_task_with_a_long_name_of_fifty_characters_or_more": ONE}, ["a " * 12345] * 9)
    write_compared(checkout, "two", {"a_task_with_a_long_name_of_fifty_characters_or_more": TWO}, ["a"] * 9)
    main(["one", "two"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= LINE_CHARS
    assert lines[-1] == "the page: comparison/one-two/index.html"
    assert Path("comparison/one-two/index.html").exists()


def test_the_screen_says_how_many_rows_a_verdict_has_and_within_which_margin_models_are_equivalent(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_compared(checkout, "one", {"quiz": ONE})
    write_compared(checkout, "two", {"quiz": TWO})
    main(["one", "two"])
    lines = capsys.readouterr().out.splitlines()
    [quiz] = [line.split() for line in lines if line.startswith("quiz")]
    assert quiz[:7] == ["quiz", "0.800", "0.550", "+0.250", "[+0.137,", "+0.353]", "100"], quiz
    assert "equivalent within ±0.050 (average, quiz); ±0.25 (judge's score)" in lines


def test_costs_have_their_interval_and_the_hardware_is_named(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = {"value": 48.43, "ci95": [43.73, 53.13]}
    dgms = {
        "one": {"tokens_per_second": 6396.8, "seconds_per_1000_kept": kept, "hardware": ["H200 x1"]},
        "two": {"tokens_per_second": 640.5, "hardware": ["H100 x8"]},
    }
    write_json(checkout / "metrics/throughput.json", {"dgms": dgms})
    write_compared(checkout, "one", {"quiz": ONE})
    write_compared(checkout, "two", {"quiz": TWO})
    main(["one", "two"])
    screen = capsys.readouterr().out
    assert re.search(r"seconds per 1,000 kept conversations +48.43 \[43.73, 53.13\] +-", screen)
    assert "Generated on H200 x1 (one); H100 x8 (two)." in screen
    assert "[43.73, 53.13]" in Path("comparison/one-two/index.html").read_text()


def test_the_page_shows_texts_of_models_as_text_and_loads_nothing(checkout: Path) -> None:
    write_compared(checkout, "one", {"quiz": "+-<"})
    write_compared(checkout, "two", {"quiz": "-+-"})
    attack = "<script>alert(1)</script>"
    for model in ("one", "two"):
        replace_texts(checkout, model, attack)
    compare("one", "two")
    page = Path("out/index.html").read_text()
    assert page.count("&lt;script&gt;") >= 3
    assert re.findall(r"<script[^>]*>.{10}", page) == ["<script>// Tables "], "the page's own"
    assert not re.search(r"""(?:src|href)=["'](?!#)""", page)
    assert "default-src 'none'" in page and "script-src 'sha256-" in page


@pytest.mark.parametrize("width", [1280, 380])
def test_the_page_asks_for_nothing_and_is_no_wider_than_the_window(
    chromium: "Browser", checkout: Path, width: int
) -> None:
    from tests.support.chromium import visit

    long = "a_task_with_a_long_name_of_fifty_characters_or_more"
    write_compared(checkout, "one", {"quiz": ONE, long: ONE}, ["word " * 400] * 9, [9] * 9)
    write_compared(checkout, "two", {"quiz": TWO, long: TWO}, ["x" * 400] * 9, [5] * 9)
    compare("one", "two")
    with visit(chromium, Path("out/index.html").resolve(), width=width) as seen:
        assert seen.run("document.documentElement.scrollWidth") == width
        assert "By the judge's score: one is better" in seen.text(".answer")


def replace_texts(root: Path, model: str, text: str) -> None:
    """Replace every prompt and reply of a model's samples."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from stages.lib.core.files import sha256_folder, write_json

    file = root / "data/evaluations" / model / "samples/quiz.parquet"
    table = pq.read_table(file)
    for name in ("prompt", "response"):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array([text] * table.num_rows))
    pq.write_table(table, file)
    digests = root / "metrics/digests/models" / f"{model}.json"
    write_json(digests, read_json(digests) | {"evaluations": sha256_folder(file.parents[1])})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["one", "twoo"], "B=twoo: there is no model 'twoo' in params.yaml; did you mean two?"),
        (["zzz", "two"], "A=zzz: there is no model 'zzz' in params.yaml; the models are one, two, three, teacher"),
        (["one", "base"], "B=base: base is not in `compare` in params.yaml: add it there and run `dvc repro`"),
        (["one", "one"], "A and B are both one: name two models, or one model at two commits"),
        (["one", "three"], "three was not evaluated and judged yet: run `dvc repro digest_model@three`"),
        (["one", "teacher"], "one is compared and teacher answers the prompts: only two models of `compare` or two of"),
        (["", "two"], "A=: name a model, or a model at a commit: <id> or <id>@<commit>"),
        (["one", "one@"], "B=one@: name a model, or a model at a commit"),
        (["one", "one@nosuch"], "B=one@nosuch: git has no commit 'nosuch' here; `git log --oneline` lists them"),
        (["one", "two", "--num", "0"], "NUM=0: name a number of prompts, 1 to 1,000,000"),
        (["one", "two", "--out", "data/x"], "data/x is in a folder of the pipeline: name another folder for OUT"),
        (["one", "two", "--out", "."], ". is not empty and not a comparison: name another folder for OUT"),
        (["one", "two", "--out", "params.yaml"], "params.yaml is a file: name a folder for OUT"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str) -> None:
    make_checkout(tmp_path, compare=("one", "two", "three"), dgms=("teacher",))
    monkeypatch.chdir(tmp_path)
    for model in ("one", "two"):
        write_compared(tmp_path, model, {"quiz": ONE})
    write_dgm(tmp_path, "teacher", ["Yes."])
    with pytest.raises(UserError) as error:
        main(words)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_an_out_that_changed_since_its_digest_is_refused(checkout: Path) -> None:
    for model in ("one", "two"):
        write_compared(checkout, model, {"quiz": ONE})
    (checkout / "data/evaluations/two/results.json").write_text("{}")
    with pytest.raises(UserError, match="data/evaluations/two does not match the digest in metrics/"):
        main(["one", "two"])


def test_choices_that_are_not_here_are_named_and_a_folder_that_cannot_be_made_is_one_line(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for model, right in (("one", ONE), ("two", TWO)):
        write_compared(checkout, model, {"quiz": right})
    params = (checkout / "params.yaml").read_text().replace("pairs: none", "pairs: all")
    (checkout / "params.yaml").write_text(params)
    assert "`dvc checkout data/pairwise` brings it" in " ".join(compare("one", "two")["notices"])
    (checkout / "file").write_text("")
    with pytest.raises(UserError, match=r"file/out cannot be made .Not a directory.: name another folder for OUT"):
        main(["one", "two", "--out", "file/out"])
    assert "quiz" in capsys.readouterr().out, "the tables are printed before"
