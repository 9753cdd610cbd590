"""The report: what is missing shows as missing, what is hostile is inert, and equal inputs give equal bytes."""

import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pytest
from playwright.sync_api import Browser

from stages.agreement import build_tables
from stages.lib.comparison.fine_tunes import FineTune
from stages.lib.core.files import read_json, sha256_folder, write_json
from stages.lib.core.numbers import round_decimals
from stages.lib.records.answers import ANSWER
from stages.lib.records.judgments import JUDGMENT
from stages.lib.records.pairings import PAIRING
from stages.lib.records.responses import RESPONSE
from stages.lib.records.shards import write_table
from stages.lib.records.verdicts import VERDICT
from stages.lib.report.files import Files
from stages.lib.report.index import write_report
from stages.lib.report.inputs import Inputs
from stages.lib.report.page import render_markdown
from stages.lib.report.sections.answers import choose_examples
from stages.lib.report.sections.benchmarks import choose_for_spider, count_leads, make_cell
from stages.lib.report.sections.judge import choose_words
from stages.lib.report.sections.runs import find_shortages
from stages.lib.report.sections.similarity import cluster
from stages.lib.report.svg import plot_intervals, plot_scaling, plot_spider
from stages.lib.settings.sections import Preference, Styling
from stages.lib.style.features import FeatureCounts
from stages.lib.style.markup import FEATURES
from stages.preference import measure_preference
from stages.report import main
from stages.styling import measure_style
from tests.support.chromium import visit
from tests.support.results import paper_results, results, tune

HOSTILE = """<script>alert(1)</script> <img src=x onerror=alert(2)> [click](javascript:alert(3))

[a](https://evil.example) ![b](https://evil.example/pixel.png) <https://evil.example/auto>

**bold** `</div><script>alert(4)</script>` <svg onload=alert(5)> {{ 7 * 191 }}"""
PARAMS = """
profile: demo
dgms: [rich, plain]
compare: [base, tuned]
report: {num_examples: 2, num_conversations: 1}
"""
RECIPES = {"dgms": {"a": {"responses": "ab" * 32, "verdicts": "cd" * 32}}, "runs": {}}
STYLING = Styling(parser="commonmark", num_responses=9, seed=1, resamples=50)


def turn(user: str, assistant: str, finish_reason: str = "stop") -> dict[str, Any]:
    counts = {"prompt_tokens": 1, "completion_tokens": 1, "prompt_sha": ""}
    return {"user": user, "assistant": assistant, "finish_reason": finish_reason, **counts}


def styles(models: list[str], dgms: list[str], **counts: int) -> dict[str, Any]:
    """Models and responses that all have two of everything on three questions, but for the features that are named."""
    answer = tuple(counts.get(name, 2) for name in FEATURES)
    counted = FeatureCounts({(number, 1): answer for number in range(3)})
    runs = {"tuned": {"base": "base", "sources": {"rich": {"kind": "dgm"}}}}
    return measure_style(dict.fromkeys(models, counted), dict.fromkeys(dgms, counted).items(), runs, STYLING)


def question(number: int, *turns: dict[str, Any]) -> dict[str, Any]:
    return {"question_id": number, "category": "explain", "turns": list(turns), "status": "ok"}


def write_dgm(dgm: str, *replies: str) -> dict[str, str]:
    """A DGM's responses and the verdicts on them; their digests."""
    folders = {name: Path("data") / name / dgm for name in ("responses", "verdicts")}
    nothing = {"identity": "", "dgm": dgm, "reason": "", "history": "own", "seed": 0, "engine": ""}
    rows = [
        {"conversation_hash": f"{number}", "turns": [turn("Hm?", reply)], "status": "ok", **nothing}
        for number, reply in enumerate(replies)
    ]
    verdict = {"identity": "", "keep": True, "reasons": [], "language": "English", "toxic": False, "turns": 1}
    verdicts = [{"conversation_hash": row["conversation_hash"], **verdict} for row in rows]
    for folder, table, schema in zip(folders.values(), (rows, verdicts), (RESPONSE, VERDICT), strict=True):
        folder.mkdir(parents=True, exist_ok=True)
        write_table(folder, pa.Table.from_pylist(table, schema=schema))
    return {name: sha256_folder(folder) for name, folder in folders.items()}


def write_model(model: str, assistant: str, quiz: float | None) -> None:
    """One compared model, with a benchmark that went well and one that may have failed."""
    folders = {name: Path("data") / name / model for name in ("answers", "evaluations", "judgments")}
    folders["answers"].mkdir(parents=True)
    folders["judgments"].mkdir(parents=True)
    said = [judgment(number, 5.0, "It is <b>dim</b>.") for number in range(3)]
    write_table(folders["judgments"], pa.Table.from_pylist(said, schema=JUDGMENT))
    rows = [question(number, turn("Why?", assistant), turn("<b>And?</b>", assistant)) for number in range(3)]
    write_table(folders["answers"], pa.Table.from_pylist(rows, schema=ANSWER))
    good = {"value": 0.5, "n": 4, "stderr": 0.1, "ci95": [0.304, 0.696]}
    bad: dict[str, Any] = {
        "status": "failed",
        "reason": "OSError: <no disk>",
        "primary": "acc",
        "metrics": {},
        "harness": "lm_eval",
        "harness_version": None,
    }
    ran = {"status": "ok", "reason": None, "primary": "acc", "harness": "lm_eval", "harness_version": "0.4.13"}
    tasks = {
        "math": {**ran, "metrics": {"acc": good}},
        "quiz": bad if quiz is None else {**ran, "metrics": {"acc": {**good, "value": quiz}}},
    }
    average = None if quiz is None else (0.5 + quiz) / 2
    results = {"tasks": tasks, "averages": {"average": {"columns": ["quiz", "math"], "value": average}}}
    write_json(folders["evaluations"] / "results.json", results)
    write_json(Path(f"metrics/evaluate/{model}.json"), {"math": 0.5, "quiz": quiz, "average": average})
    verdicts = {"judge": "Solomon", "status": "ok", "failed": 0, "unanswered": 0}
    write_json(Path(f"metrics/judge/{model}.json"), verdicts)
    digests = {name: sha256_folder(folder) for name, folder in folders.items()}
    write_json(Path(f"metrics/digests/models/{model}.json"), digests)


def write_preference(**scores: float) -> None:
    """What `preference` writes of such judgments."""
    found, words = judged(**scores)
    write_json(Path("data/preference/tables.json"), found)
    folder = Path("data/preference/words_by_winner_of_all")
    folder.mkdir(exist_ok=True)
    write_table(folder, words["words_by_winner_of_all"])


def judged(**scores: float) -> tuple[dict[str, Any], dict[str, pa.Table]]:
    """What `preference` finds of 20 questions with a word for each reply; each model has one score but for one turn."""
    rows = {
        model: [
            judgment(number, score + (number == 0), f"It is {'clear' if score > 5 else '<b>dim'}")
            for number in range(20)
        ]
        for model, score in scores.items()
    }
    tables = {model: pa.Table.from_pylist(found, schema=JUDGMENT) for model, found in rows.items()}
    pair = list(scores)[:2]
    both = [(pair[0], pair[1], first) for first in pair] if len(pair) == 2 else []
    choices = [choice(one, other, number, first) for number in range(20) for one, other, first in both]
    sources = {model: {"sources": {pair[0]: {"kind": "dgm"}}} for model in pair[1:]}
    settings = Preference(seed=1, resamples=50, min_judgments=5, num_words=3)
    return measure_preference(tables, pa.Table.from_pylist(choices, schema=PAIRING), sources, settings)


def judgment(number: int, score: float, text: str) -> dict[str, Any]:
    return {
        "question_id": number,
        "category": "c",
        "turn": 1,
        "score": score,
        "text": text,
        "chars": number,
        "status": "ok",
    }


def choice(one: str, other: str, number: int, first: str) -> dict[str, Any]:
    """The second one wins, but for four turns on which whoever is shown first does."""
    winner = first if number < 4 else other
    pair = {"one": one, "other": other, "question_id": number, "turn": 1, "first": first, "winner": winner}
    return {**pair, "category": "c", "text": "", "status": "ok"}


def write_similarity() -> None:
    """Two DGMs that have two prompts in common; METEOR has no score."""
    scored = {"n": 2, "mean": 0.65, "std": 0.25, "stderr": 0.1768}
    none = {"n": 0, "mean": None, "std": None, "stderr": None}
    scores = {"rouge1": scored, "rougeL": scored, "meteor": none}
    summary = {
        "prompts": 5, "pairs": 1, "synonyms": False, "unscorable": {"no_reply": 2, "no_token": 1},
        "dgms": {"rich": scores, "plain": scores},
    }  # fmt: skip
    write_json(Path("data/similarity/.summary.json"), summary)
    write_json(Path("data/similarity/.pairs.json"), {"rich plain": {**scores, "meteor_reversed": none}})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished pipeline in miniature: two DGMs, one run, two compared models, one of them with a failed task."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS, encoding="utf-8")
    write_json(Path("data/prompts/.summary.json"), {"rows": 9, "prompts": 5, "left_out": {"null_content": 4}})
    gate = {
        "conversations": 5,
        "kept": 4,
        "dropped_by": {"loop": 1},
        "found": {"loop": 1, "refusal": 2},
        "not_checked": {"echo": 5},
    }
    for dgm in ("rich", "plain"):
        write_json(Path(f"metrics/gate/{dgm}.json"), gate)
    sources = {"rich": {"kind": "dgm", "take": 4}}
    digests = {"rich": write_dgm("rich", HOSTILE, "Yes."), "plain": write_dgm("plain", "No.")}
    Path("data/pairwise").mkdir()
    write_table(Path("data/pairwise"), pa.Table.from_pylist([choice("base", "tuned", 1, "base")], schema=PAIRING))
    write_json(Path("metrics/recipes.json"), {"dgms": digests, "runs": {"tuned": {"sources": sources}}})
    write_json(
        Path("metrics/mix/tuned.json"), {"rows": 4, "asked": {"rich": {"rows": 6}}, "sources": {"rich": {"rows": 4}}}
    )
    write_json(Path("metrics/train/tuned.json"), {"steps": 2, "last_loss": 1.5, "base": "base", "axolotl": "0.19.0"})
    write_json(
        Path("models/tuned/model.json"), {"kind": "local", "location": "/home/me/x/tuned", "commit": "c0ffee" * 7}
    )
    Path("metrics/loss").mkdir()
    Path("metrics/loss/tuned.csv").write_text("step,epoch,loss\n1,0.5,2.0\n2,1.0,1.5\n", encoding="utf-8")
    write_json(
        Path("metrics/digests/runs/tuned.json"), {"mix": "cd" * 32, "model": sha256_folder(Path("models/tuned"))}
    )
    write_model("base", HOSTILE, quiz=None)
    write_model("tuned", "**Because.**", quiz=0.9)
    write_json(Path("data/styling/tables.json"), styles(["base", "tuned"], ["rich", "plain"]))
    write_similarity()
    write_json(Path("data/agreement/tables.json"), build_tables({}, {}, [], {}))
    write_preference(base=4.0, tuned=8.0)
    tokens = {"conversations": 5, "prompt_tokens": 50, "cached_tokens": 10, "completion_tokens": 70}
    cost = {**tokens, "hours": 0.0, "gpu_hours": None, "money": None, "hardware": "", "engines": ["import"]}
    throughput = {"dgms": {"plain": tokens, "rich": tokens}, "costs": {"plain": cost, "rich": cost}}
    write_json(Path("data/throughput/summary.json"), throughput)
    return tmp_path


def report() -> str:
    main()
    return Path("data/report/index.html").read_text(encoding="utf-8")


def text_of(page: str) -> str:
    """What a reader sees, with single spaces."""
    body = page[page.index("<body>") :]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


class Tags(HTMLParser):
    """The tags and attributes that a browser would see."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def test_a_second_run_gives_the_same_bytes(project: Path) -> None:
    main()
    first = {path: path.read_bytes() for path in Path("data/report").rglob("*") if path.is_file()}
    main()
    assert {path: path.read_bytes() for path in Path("data/report").rglob("*") if path.is_file()} == first
    assert {"index.html", "summary.json", "scores-quiz.svg", "styles-family_rich.svg", "runs-loss.svg"} <= {
        p.name for p in first
    }


def test_hostile_text_is_inert(project: Path) -> None:
    page = report()
    seen = Tags(page)
    assert not {"script", "img", "iframe", "link", "object", "form"} & set(seen.tags)
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    links = {value for name, value in seen.attributes if name in {"href", "xlink:href", "src"}}
    assert {link.partition("#")[0] for link in links} == {"", "conversations.html"}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page, "shown as text"
    assert "&lt;b&gt;And?&lt;/b&gt;" in page, "users' text too"
    assert "OSError: &lt;no disk&gt;" in page, "and reasons"
    assert "{{ 7 * 191 }}" in page and "1337" not in page, "never a template"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_opens_from_the_disk_on_a_phone_without_a_fault(
    project: Path, chromium: Browser, theme: Literal["light", "dark"]
) -> None:
    main()
    with visit(chromium, Path("data/report/index.html").resolve(), width=380, theme=theme) as seen:
        assert seen.run("document.documentElement.scrollWidth") <= 380
        assert "<script>alert(1)</script>" in seen.text(".reply .text"), "hostile text is text"
        assert seen.run("document.querySelectorAll('script, .reply img, .reply a, .reply svg').length") == 0
        paper = seen.run("getComputedStyle(document.body).backgroundColor")
        assert paper == {"light": "rgb(251, 250, 248)", "dark": "rgb(19, 21, 24)"}[theme]


def test_on_paper_nothing_is_cut_off_and_the_sources_are_printed(project: Path, chromium: Browser) -> None:
    main()
    with visit(chromium, Path("data/report/index.html").resolve(), width=794) as seen:
        source = seen.page.locator("#style .traced li").first
        assert not source.is_visible()
        seen.page.emulate_media(media="print")
        assert source.is_visible()
        assert seen.run("document.documentElement.scrollWidth") <= 794


def test_the_page_leads_to_the_conversations_of_the_profile_the_first_so_many(project: Path, chromium: Browser) -> None:
    main()
    with visit(chromium, Path("data/report/index.html").resolve()) as seen:
        seen.page.get_by_role("link", name="Read conversations side by side").click()
        seen.page.locator("#conversation").wait_for()
        assert "1 of 1" in seen.text("#count")
        assert "<script>alert(1)</script>" in seen.text("#conversation")
        assert seen.page.locator("select[name=set] option").all_inner_texts() == [
            "Prompts, answered by DGMs",
            "Questions, answered by the compared models",
        ]


def test_a_pair_of_models_leads_to_their_conversations_side_by_side(project: Path, chromium: Browser) -> None:
    main()
    with visit(chromium, Path("data/report/index.html").resolve()) as seen:
        seen.page.locator("#judge a.read").first.click()
        seen.page.locator("#conversation").wait_for()
        chosen = [seen.page.locator(f"select[name={name}]").input_value() for name in ("set", "left", "right")]
        assert chosen == ["questions", "base", "tuned"]


def test_a_page_names_no_address_and_no_path_of_a_machine(project: Path) -> None:
    page = report()
    loads = re.findall(r"(?:src|href|url|@import)\W+(?:https?:)?//", page)
    assert not loads
    assert "/home/me" not in page and str(project) not in page


def test_markdown_is_rendered_without_links_or_images() -> None:
    html = str(render_markdown(HOSTILE))
    assert set(Tags(html).tags) == {"p", "strong", "code"}
    assert Tags(html).attributes == []


def test_a_failed_task_and_its_average_are_missing_with_the_reason(project: Path) -> None:
    text = text_of(report())
    assert "base has no quiz: OSError: &lt;no disk&gt;." in text
    assert "base has no average: it needs quiz." in text
    assert "tuned 0.700 0.900 0.304 to 0.696 0.500" in text
    assert "base missing missing 0.500" in text
    assert "The average is over quiz, math." in text


def test_a_null_score_is_never_drawn_as_zero() -> None:
    cell = {"value": None, "ci95": None}
    svg = plot_intervals({"base": cell}, {"base": "#123456"}, "quiz")
    assert "missing" in svg and "#123456" not in svg


def test_an_absent_metric_says_so() -> None:
    assert make_cell({}, {"tasks": {}}, "quiz")["reason"] == "no value was written"


def test_undefined_is_a_dash_on_the_page(project: Path) -> None:
    write_json(Path("data/styling/tables.json"), styles(["base", "tuned"], ["rich"], h4=0))
    cells = re.findall(r"<td>([^<]*)<small>([^<]*)</small></td>", report())
    assert ("0", "–") in cells and ("2", "×1.00") in cells


def test_inheritance_stands_on_the_page_with_its_interval_or_with_why_there_is_none(project: Path) -> None:
    assert "No inheritance of tuned from rich: rich is not compared: it did not answer the questions." in text_of(
        report()
    )
    tables = styles(["base", "tuned", "rich"], ["rich"])
    tables["fine_tunes"][0] |= {"inheritance": {"value": 0.8, "ci95": [0.7, 0.914]}}
    write_json(Path("data/styling/tables.json"), tables)
    text = text_of(report())
    assert "tuned rich 0.80 0.70 to 0.91 – 1.00 1.00 to 1.00 1.00" in text
    assert "No inheritance of" not in text


def test_any_two_compared_models_have_their_factor_and_mean_on_the_page(project: Path) -> None:
    text = text_of(report())
    assert "Model base tuned base 1.00 ×1.00 tuned 1.00 ×1.00" in text, "nothing beside itself"


def test_a_shortage_is_said_plainly(project: Path) -> None:
    assert "tuned asked rich for 6 rows; it had 4, and all were taken." in text_of(report())
    assert find_shortages({"tuned": {"asked": {"rich": {"rows": 4}}, "sources": {"rich": {"rows": 4}}}}) == []


def test_the_pipeline_is_counted_at_every_step(project: Path) -> None:
    main()
    steps = {step["name"]: step["count"] for step in read_json(Path("data/report/summary.json"))["flow"]}
    assert list(steps.values()) == [9, 5, 10, 8, 4, 2]


def test_imported_replies_took_no_time_that_is_known(project: Path) -> None:
    text = text_of(report())
    assert "no time was recorded: its replies were imported" in text


@pytest.mark.parametrize("profile", ["demo", "paper"])
def test_only_the_demo_is_called_one(project: Path, profile: str) -> None:
    Path("params.yaml").write_text(PARAMS.replace("demo", profile), encoding="utf-8")
    assert ("This is a demo." in report()) == (profile == "demo")


def test_a_profile_without_comparisons_has_a_page(project: Path) -> None:
    Path("params.yaml").write_text(PARAMS.replace("[base, tuned]", "[]").replace(", plain", ""), encoding="utf-8")
    write_preference()
    write_json(Path("data/styling/tables.json"), styles([], []))
    for name in ("summary", "pairs"):
        write_json(Path(f"data/similarity/.{name}.json"), {})
    text = text_of(report())
    assert "Skipped: `compare` in params.yaml lists no model." in text
    assert "Skipped: it needs two DGMs, and there is 1." in text
    assert "Skipped: the profile has no DGM." in text, "style"
    skipped = read_json(Path("data/report/summary.json"))["skipped"]
    assert {"benchmarks", "judge", "similarity", "style"} <= set(skipped)


def test_the_page_says_how_alike_two_dgms_are_and_what_was_not_scored(project: Path) -> None:
    text = text_of(report())
    assert "rich and plain 0.650 ± 0.250 0.650 ± 0.250 none none 2" in text
    assert "plain 0.650 ± 0.177 0.650 ± 0.177 none 0.250 2 rich 0.650" in text
    assert "between the replies of every two DGMs to the same 5 prompts" in text and "without WordNet" in text
    assert "2 pairs with a blank reply, and by ROUGE 1 pair with a reply that has no Latin" in text


def test_a_profile_without_runs_has_a_page(project: Path) -> None:
    Path("params.yaml").write_text(PARAMS.replace("tuned", "rich"), encoding="utf-8")
    write_preference(base=5.0, rich=5.0)
    digests = read_json(Path("metrics/recipes.json"))["dgms"]
    write_json(Path("metrics/recipes.json"), {"dgms": digests, "runs": {}})
    write_model("rich", "Yes.", quiz=0.4)
    text = text_of(report())
    assert "How models answer the same prompts" in text and "training steps" not in text
    assert "Skipped: `mix.runs` in params.yaml lists no run." in text


def test_a_page_of_replies_alone_says_of_every_other_section_why_it_is_skipped(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    out.mkdir()
    write_json(data / "prompts/.summary.json", {"rows": 3, "prompts": 3, "left_out": {}})
    write_json(data / "styling/tables.json", styles([], ["a"]))
    absent = {"preference": "only replies were analysed", "similarity": "only replies were analysed"}
    write_report(out, Inputs("mine", Files(data, data), dgms=["a"], recipes=RECIPES, is_analysis=True, absent=absent))
    page = (out / "index.html").read_text(encoding="utf-8")
    text = text_of(page)
    assert "Rewild, analysis of mine" in text
    assert text.count("Skipped: only replies were analysed.") == len(absent)
    assert "Judge: only replies were analysed. " in text, "and once more in the list of what was skipped"
    why = {
        "benchmarks": "Benchmarks: existing replies were analysed; no model was evaluated. ",
        "teachers": "Teachers: nothing was fine-tuned, so there is no teacher. ",
        "runs": "Runs: nothing was mixed or trained. ",
        "throughput": "Throughput and cost: the replies existed already; how long they took is not known. ",
    }
    for section, line in why.items():
        assert f"Skipped: {line.partition(': ')[2]}" in text and line in text
        assert f'href="#{section}"' not in page
    assert set(read_json(out / "summary.json")["skipped"]) == {*why, "judge", "similarity", "answers"}


def test_every_number_can_be_traced_to_its_file(project: Path) -> None:
    page = report()
    path = Path("data/styling/tables.json")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert f'<li>{path} <code title="sha256 {digest}">{digest[:12]}</code>' in page
    for section in ("benchmarks", "judge", "style", "similarity", "runs", "left-out", "throughput", "answers", "made"):
        start = page.index(f'<section id="{section}">')
        assert 'class="traced"' in page[start : page.index("</section>", start)], section


def test_what_was_dropped_only_reported_and_not_looked_for_is_counted(project: Path) -> None:
    text = text_of(report())
    assert "DGM conversations kept dropped refusal reported only loop" in text
    assert "rich 5 4 1 20.0 % 2 40.0 % 1 20.0 %" in text
    assert "what the check needs is not known: echo (in 10 conversations)." in text


def test_the_surest_words_of_either_side_are_drawn_with_both_counts(project: Path) -> None:
    page = report()
    assert "Judgments say “clear” of winners, “b” of losers" in page
    assert Path("data/report/charts/judge-words.svg").exists()
    rows = [
        {"word": "clear", "negated": False, "only_winner": 9, "only_loser": 1, "q": 0.01},
        {"word": "clear", "negated": True, "only_winner": 2, "only_loser": 9, "q": 0.05},
        {"word": "chance", "negated": False, "only_winner": 9, "only_loser": 1, "q": 0.06},
    ]
    assert choose_words(rows) == [("clear", 1, 9), ("not clear", 9, 2)]


def test_a_spider_has_the_best_fine_tunes_and_takes_three_benchmarks() -> None:
    def row(*values: float | None) -> dict[str, Any]:
        cells = dict(zip(("average", "x", "y", "z"), values, strict=True))
        return {name: {"value": value} for name, value in cells.items()}

    rows = {"low": row(0.1, 0.1, 0.1, 0.1), "none": row(None, 0.9, None, 0.9), "high": row(0.5, 0.4, 0.6, 0.5)}
    table = {"tasks": ["x", "y", "z"], "rows": rows}
    assert choose_for_spider(table, ["low", "none", "high"], list(rows)) == ["high", "low", "none"]
    assert count_leads(table, ["high", "low", "none"]) == "high leads on 1 of 3 benchmarks, none on 2"
    assert choose_for_spider({**table, "tasks": ["x", "y"]}, ["low", "none", "high"], list(rows)) == []
    assert choose_for_spider(table, [], ["low"]) == ["low"], "no fine-tune: the compared models"


def test_a_missing_value_is_a_gap_in_a_spider_never_its_middle() -> None:
    whole = plot_spider(["x", "y", "z"], {"m": [1.0, 0.5, 1.0]}, {"m": "#123456"}, "t")
    gap = plot_spider(["x", "y", "z"], {"m": [1.0, None, 1.0]}, {"m": "#123456"}, "t")
    assert whole.count("<use") - gap.count("<use") == 1, "one dot less"


def test_examples_are_spread_over_the_questions_and_odd_replies_are_explained() -> None:
    full = [question(number, turn(f"Q{number}", "yes"), turn("more", "", "length")) for number in range(4)]
    short = [question(number, turn(f"Q{number}", "cut", "length")) for number in range(4)]
    found = choose_examples({"one": full, "other": short}, 2)
    assert [example["turns"][0]["user"] for example in found] == ["Q0", "Q2"]
    notes = [[reply["note"] for reply in turn["replies"]] for turn in found[0]["turns"]]
    assert notes == [
        ["", "cut at the token limit"],
        ["no text, cut at the token limit", "not asked: the conversation had ended"],
    ]


def compared(scores: dict[str, dict[str, Any]], runs: list[FineTune]) -> str:
    """What a reader sees of a page on which these models are compared."""
    Path("params.yaml").write_text(PARAMS.replace("[base, tuned]", f"[{', '.join(scores)}]"), encoding="utf-8")
    write_preference(**dict.fromkeys(scores, 5.0))
    for name in scores:
        write_model(name, "Yes.", quiz=0.5)
    write_json(Path("data/styling/tables.json"), styles([], []))
    families = {"base": "r", "rich": "r", "plain": "p"}
    write_json(Path("data/agreement/tables.json"), round_decimals(build_tables(scores, {}, runs, families)))
    return text_of(report())


def test_comparisons_stand_on_the_page_with_their_intervals_and_what_was_left_out(project: Path) -> None:
    values = {"rich": 0.9, "plain": 0.6, "on-rich": 0.5, "on-plain": 0.4, "both": 0.47, "less": 0.3, "least": 0.2}
    runs = [
        tune("on-rich", 400, rich=1.0),
        tune("on-plain", 400, plain=1.0),
        tune("both", 400, rich=0.5, plain=0.5),
        tune("less", 200, rich=1.0),
        tune("least", 100, rich=1.0),
        tune("on-other", 400, other=1.0),
    ]
    text = compared({name: results(math=value) for name, value in values.items()}, runs[:-1])
    assert "They agree in 1 of 1 comparisons: a rate of 1.00 (95 % interval 0.03 to 1.00; chance is 0.50)" in text
    assert "plain − rich on-plain − on-rich, 400 rows 1 of 1 agree, clearly -0.300, -0.100" in text
    assert "base : rich least 100, less 200, on-rich 400 +0.150" in text, "a doubling adds .15"
    assert "blend − mean +0.020 -0.052 to +0.092" in text  # 1.96 times .03 times the root of 1.5
    assert "best part 0.500 on-rich" in text
    assert "own − other +0.100 +0.017 to +0.183" in text  # on 400 conversations: on-rich less on-plain
    assert "Left out: least (no compared run of its base and size is on a DGM of another family), less (no" in text
    assert {"scaling-math.svg", "scaling-average.svg"} <= {path.name for path in Path("data/report/charts").iterdir()}
    assert "Comparison with the paper" not in text


def test_a_number_that_is_outside_our_interval_is_marked_beside_the_papers(project: Path) -> None:
    text = compared({"q72": paper_results(bbh=0.50)}, [])
    assert "Comparison with the paper" in text
    assert "q72 Q72 – 6.86 – 41.00 0.500 0.48 ± 0.01 0.290 0.29 ± 0.04 0.060 0.06 ± 0.00" in text
    assert re.findall(r'<td class="outside">([^<]*)<', Path("data/report/index.html").read_text()) == ["0.500"]


def test_comparisons_for_which_there_are_no_runs_are_one_plain_line_each(project: Path) -> None:
    text = text_of(report())
    assert text.count("Nothing to compare: no") == 4
    assert "no two compared runs differ only in size" in text
    assert "Comparison with the paper" not in text


def test_a_size_without_a_value_has_no_point_and_a_printed_one_has_a_ring() -> None:
    known = {"rows": 100_000, "value": 0.4, "ci95": [0.3, 0.5], "paper": None}
    colour = {"family": "#123456"}
    alone = plot_scaling(
        {"family": [known, {"rows": 250_000, "value": None, "ci95": None, "paper": None}]}, colour, "t"
    )
    ringed = plot_scaling({"family": [{**known, "paper": 0.41}]}, colour, "t")
    assert "100k" in alone and "250k" in alone
    points = [len(re.findall(r"<use [^>]*#123456", svg)) for svg in (alone, ringed)]
    assert points == [2, 3], "one of them in the legend"


def test_answers_that_metrics_do_not_name_are_refused(project: Path) -> None:
    digest = Path("metrics/digests/models/tuned.json")
    wrong = json.loads(digest.read_text(encoding="utf-8")) | {"answers": hashlib.sha256(b"").hexdigest()}
    write_json(digest, wrong)
    with pytest.raises(Exception, match="data/answers/tuned does not match the digest in metrics/"):
        main()


def test_dgms_that_are_alike_stand_beside_one_another() -> None:
    likeness = {"a b": 0.2, "a c": 0.9, "a d": 0.3, "b c": 0.25, "b d": 0.8, "c d": None}
    names, values = cluster({pair: {"rouge1": {"mean": mean}} for pair, mean in likeness.items()}, "rouge1")
    assert {frozenset(names[:2]), frozenset(names[2:])} == {frozenset("ac"), frozenset("bd")}
    place = {name: number for number, name in enumerate(names)}
    assert values[place["a"], place["c"]] == values[place["c"], place["a"]] == 0.9
    assert np.isnan(values[place["c"], place["d"]]) and np.isnan(values[0, 0])


def test_a_heat_map_is_for_three_dgms_or_more(project: Path) -> None:
    assert "ROUGE-1 of every two" not in report()
    pairs = read_json(Path("data/similarity/.pairs.json"))
    write_json(
        Path("data/similarity/.pairs.json"), {key: pairs["rich plain"] for key in ("rich plain", "rich x", "plain x")}
    )
    page = report()
    assert "ROUGE-1 of every two DGMs" in page and "base64" not in page
    assert Path("data/report/charts/similarity-rouge1.svg").exists()


def test_every_average_has_its_column_and_says_what_it_lacks(project: Path) -> None:
    for model, printed in (("base", 0.5), ("tuned", None)):
        path = Path(f"data/evaluations/{model}/results.json")
        results = read_json(path)
        results["averages"]["average_printed"] = {"columns": ["math"], "value": printed}
        write_json(path, results)
        digests = read_json(Path(f"metrics/digests/models/{model}.json"))
        digests["evaluations"] = sha256_folder(path.parent)
        write_json(Path(f"metrics/digests/models/{model}.json"), digests)
        scores = read_json(Path(f"metrics/evaluate/{model}.json"))
        write_json(Path(f"metrics/evaluate/{model}.json"), scores | {"average_printed": printed})
    text = text_of(report())
    assert "The average is over quiz, math; the average printed is over math." in text
    assert "Model average average printed quiz math base missing 0.500 missing 0.500" in text
    assert "tuned has no average_printed: no value was written." in text


def test_the_judge_is_named_with_its_rates_ties_orders_and_words(project: Path) -> None:
    text = text_of(report())
    assert "Solomon scored every reply" in text
    assert "tuned 8.05 100.0 0.0 tied" in text  # 100 % of the turns against base, none tied
    assert "The two orders agree on 80.0 % of 20 turns" in text
    assert "base tuned 0.0 0.0 to 0.0 20.0 80.0 4 of 20" in text
    assert "all pairs clear" in text and "b, dim" in text  # a judge's words are text
    assert "tuned: 0 of 20" not in text  # no other model is there to flip against


def test_missing_verdicts_are_said(project: Path) -> None:
    counts = {"judge": "Solomon", "status": "partial", "failed": 3, "unanswered": 1}
    write_json(Path("metrics/judge/tuned.json"), counts)
    assert "tuned: 3 judgments missing (partial), 1 turn without a reply to judge." in text_of(report())


def test_without_a_score_nothing_was_judged(project: Path) -> None:
    nothing, _ = judged(base=4.0, tuned=8.0)
    for found in nothing["models"].values():
        found |= {"mean": None, "ci95": [None, None]}
    write_json(Path("data/preference/tables.json"), nothing)
    assert "Skipped: nothing was judged." in text_of(report())
