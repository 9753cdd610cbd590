"""The page as a whole: complete, safe, traceable, and the same bytes for the same inputs."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser

from stages.lib.core.files import read_json, write_json
from stages.lib.report.files import Files
from stages.lib.report.index import SECTIONS, write_report
from stages.lib.report.inputs import Inputs
from stages.lib.report.page import format_fixed
from stages.report import main
from tests.support.chromium import visit
from tests.support.project import ROOT
from tests.support.report import (
    PARAMS,
    RECIPES,
    Tags,
    measure_styles,
    render_report,
    visible_text,
    write_differences,
    write_model,
    write_preference,
)


def test_every_module_of_sections_is_on_the_page_and_has_its_template() -> None:
    folder = ROOT / "stages" / "lib" / "report" / "sections"
    modules = {path.stem for path in folder.glob("[!_]*.py")}
    assert {Path(section.template).stem for section in SECTIONS} == modules
    assert {path.stem for path in folder.glob("*.html")} == modules


def test_a_second_run_gives_the_same_bytes(pipeline: Path) -> None:
    main()
    first = {path: path.read_bytes() for path in Path("data/report").rglob("*") if path.is_file()}
    main()
    assert {path: path.read_bytes() for path in Path("data/report").rglob("*") if path.is_file()} == first
    assert {"index.html", "summary.json", "scores-quiz.svg", "styles-family_rich.svg", "runs-loss.svg"} <= {
        p.name for p in first
    }


def test_hostile_text_is_inert(pipeline: Path) -> None:
    page = render_report()
    seen = Tags(page)
    script = (ROOT / "stages/lib/report/page.tables.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in page, "and the policy lets nothing else run"
    assert seen.tags.count("script") == 1, "the page's own"
    assert not {"img", "iframe", "link", "object", "form"} & set(seen.tags)
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    links = {value for name, value in seen.attributes if name in {"href", "xlink:href", "src"}}
    assert {link.partition("#")[0] for link in links} == {"", "conversations.html"}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page, "shown as text"
    assert "&lt;b&gt;And?&lt;/b&gt;" in page, "users' text too"
    assert "OSError: &lt;no disk&gt;" in page, "and reasons"
    assert "{{ 7 * 191 }}" in page and "1337" not in page, "never a template"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_opens_from_disk_on_a_phone_without_an_error(
    pipeline: Path, chromium: Browser, theme: Literal["light", "dark"]
) -> None:
    main()
    with visit(chromium, Path("data/report/index.html").resolve(), width=380, theme=theme) as seen:
        assert seen.run("document.documentElement.scrollWidth") <= 380
        assert "<script>alert(1)</script>" in seen.text(".reply .text"), "hostile text is text"
        assert seen.run("document.querySelectorAll('.reply script, .reply img, .reply a, .reply svg').length") == 0
        paper = seen.run("getComputedStyle(document.body).backgroundColor")
        assert paper == {"light": "rgb(251, 250, 248)", "dark": "rgb(19, 21, 24)"}[theme]


def test_a_printed_page_is_complete_and_lists_its_sources(pipeline: Path, chromium: Browser) -> None:
    main()
    with visit(chromium, Path("data/report/index.html").resolve(), width=794) as seen:
        source = seen.page.locator("#style .traced li").first
        assert not source.is_visible()
        seen.page.emulate_media(media="print")
        assert source.is_visible()
        assert seen.run("document.documentElement.scrollWidth") <= 794


def test_the_page_links_to_the_first_conversations_of_each_dgm(pipeline: Path, chromium: Browser) -> None:
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


def test_a_pair_of_models_links_to_their_conversations_side_by_side(pipeline: Path, chromium: Browser) -> None:
    main()
    with visit(chromium, Path("data/report/index.html").resolve()) as seen:
        seen.page.locator("#judge a.read").first.click()
        seen.page.locator("#conversation").wait_for()
        chosen = [seen.page.locator(f"select[name={name}]").input_value() for name in ("set", "left", "right")]
        assert chosen == ["questions", "tuned", "base"], "the model with the higher score is first"


def test_a_page_contains_no_address_and_no_path_of_the_machine(pipeline: Path) -> None:
    page = render_report()
    loads = re.findall(r"(?:src|href|url|@import)\W+(?:https?:)?//", page)
    assert not loads
    assert "/home/me" not in page and str(pipeline) not in page


def test_every_step_of_the_pipeline_is_counted(pipeline: Path) -> None:
    main()
    steps = {step["name"]: step["count"] for step in read_json(Path("data/report/summary.json"))["flow"]}
    assert list(steps.values()) == [9, 5, 10, 8, 4, 2]


@pytest.mark.parametrize("profile", ["demo", "paper"])
def test_only_the_demo_is_called_a_demo(pipeline: Path, profile: str) -> None:
    Path("params.yaml").write_text(PARAMS.replace("demo", profile), encoding="utf-8")
    assert ("This is a demo." in render_report()) == (profile == "demo")


def test_a_profile_without_compared_models_has_a_page(pipeline: Path) -> None:
    Path("params.yaml").write_text(PARAMS.replace("[base, tuned]", "[]").replace(", plain", ""), encoding="utf-8")
    write_preference()
    write_json(Path("data/styling/tables.json"), measure_styles([], []))
    for name in ("summary", "pairs"):
        write_json(Path(f"data/similarity/.{name}.json"), {})
    text = visible_text(render_report())
    _, _, end = text.partition("What is not on this page?")
    assert "Which model does best? `compare` in params.yaml lists no model." in end
    assert "How alike do the DGMs answer? it needs two DGMs, and there is 1." in end
    assert "Is style inherited? the profile has no DGM." in end
    skipped = read_json(Path("data/report/summary.json"))["skipped"]
    assert {"benchmarks", "judge", "similarity", "style"} <= set(skipped)


def test_a_profile_without_runs_has_a_page(pipeline: Path) -> None:
    Path("params.yaml").write_text(PARAMS.replace("tuned", "rich"), encoding="utf-8")
    write_preference(base=5.0, rich=5.0)
    digests = read_json(Path("metrics/recipes.json"))["dgms"]
    write_json(Path("metrics/recipes.json"), {"dgms": digests, "runs": {}})
    write_model("rich", "Yes.", quiz=0.4)
    write_differences("base", "rich")
    text = visible_text(render_report())
    assert "How models answer the same prompts" in text and "training steps" not in text
    assert "What was each run trained on? `mix.runs` in params.yaml lists no run." in text


def test_the_page_of_an_analysis_says_why_each_missing_section_is_skipped(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    out.mkdir()
    write_json(data / "prompts/.summary.json", {"rows": 3, "prompts": 3, "left_out": {}})
    write_json(data / "styling/tables.json", measure_styles([], ["a"]))
    absent = {"preference": "only replies were analysed", "similarity": "only replies were analysed"}
    write_report(out, Inputs("mine", Files(data, data), dgms=["a"], recipes=RECIPES, is_analysis=True, absent=absent))
    page = (out / "index.html").read_text(encoding="utf-8")
    text = visible_text(page)
    assert "Rewild, analysis of mine" in text
    _, _, end = text.partition("What is not on this page?")
    assert end.count("only replies were analysed.") == len(absent)
    why = {
        "benchmarks": "Which model does best? existing replies were analysed; no model was evaluated. ",
        "differences": "Is the difference real? existing replies were analysed; no model was evaluated. ",
        "suitability": "Which model should teach? nothing is fine-tuned, so there is no base model. ",
        "teachers": "What makes a good teacher? nothing was fine-tuned, so there is no teacher. ",
        "runs": "What was each run trained on? nothing was mixed or trained. ",
        "throughput": "How fast were the DGMs, and what did they cost? the replies existed already; ",
    }
    for section, line in why.items():
        assert line in end and text.count(line.partition("? ")[0]) == 1, "not as an empty heading too"
        assert f'href="#{section}"' not in page
    assert set(read_json(out / "summary.json")["skipped"]) == {*why, "judge", "similarity", "answers"}


def test_every_section_lists_the_files_of_its_numbers(pipeline: Path) -> None:
    page = render_report()
    path = Path("data/styling/tables.json")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert f'<li>{path} <code title="sha256 {digest}">{digest[:12]}</code>' in page
    for section in ("benchmarks", "judge", "style", "similarity", "runs", "left-out", "throughput", "answers", "made"):
        start = page.index(f'<section id="{section}">')
        assert 'class="traced"' in page[start : page.index("</section>", start)], section


def test_answers_that_do_not_match_their_digest_in_metrics_are_rejected(pipeline: Path) -> None:
    digest = Path("metrics/digests/models/tuned.json")
    wrong = json.loads(digest.read_text(encoding="utf-8")) | {"answers": hashlib.sha256(b"").hexdigest()}
    write_json(digest, wrong)
    with pytest.raises(Exception, match="data/answers/tuned does not match the digest in metrics/"):
        main()


def test_a_number_has_the_decimals_of_its_column_and_zero_has_no_sign() -> None:
    assert [format_fixed(value, 2) for value in (0.8125, 1234.5, None)] == ["0.81", "1,234.50", "–"]
    assert [format_fixed(value, 1, "+") for value in (0.26, -0.26, 0.04, -0.04)] == ["+0.3", "-0.3", "0.0", "0.0"]
