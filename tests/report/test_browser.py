"""The conversation browser: it shows what was said and judged, finds it, and nothing in it runs."""

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from stages.lib.console.errors import UserError
from stages.lib.report.browser import to_script, write_browser
from stages.lib.report.conversations import (
    Collection,
    Conversation,
    Turn,
    add_judgments,
    from_answers,
    from_pairings,
    from_responses,
    list_labels,
)
from stages.lib.report.page import render_markdown
from tests.support.chromium import Visit, visit

HOSTILE = """</script><script>window.pwned = 1</script><!-- <svg onload="window.pwned = 2">
<img src=x onerror="window.pwned = 3"> [go](javascript:alert(4)) ![dot](https://evil.example/dot.png)

<iframe srcdoc="<script>parent.pwned = 5</script>"></iframe> ');alert(6);(' \\');alert(7);//
<style>* { display: none }</style> {{ 7 * 191 }} \u2028 \u2029 \x00 end"""


def turn(user: str, assistant: str, finish_reason: str = "stop", **judged: Any) -> Turn:
    return Turn(user, assistant, finish_reason, **judged)


def said(key: str, reply: str, user: str = "", group: str = "English", **rest: Any) -> Conversation:
    """A conversation of one turn."""
    return Conversation(key, group, [turn(user or f"Tell me of {key}.", reply)], "ok", **rest)


def prompts(**models: Iterable[Conversation]) -> Collection:
    return Collection("prompts", "Prompts of the DGMs", "Language", models)


def rows_of(file: Path) -> list[Any]:
    """What a data file hands to the page: its lines without JavaScript's escapes are JSON."""
    first, *lines, last = file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    assert (first, last) == (f'receive("{file.stem}", [', "]);")
    unescaped = (re.sub(r"\\(u[0-9a-f]{4}|.)", unescape, line[1:-2]) for line in lines)
    return [json.loads(line) for line in unescaped]


def unescape(match: re.Match[str]) -> str:
    return chr(int(match[1][1:], 16)) if len(match[1]) > 1 else match[1]


# Markdown


def test_raw_html_in_a_reply_is_seen_as_text_and_what_could_load_or_link_is_gone() -> None:
    html = render_markdown("<b onclick=1>x</b> **y** [a](https://evil.example) ![a dot](https://evil.example/p.png)")
    assert html == "<p>&lt;b onclick=1&gt;x&lt;/b&gt; <strong>y</strong> a a dot</p>\n"


def test_tables_and_numbered_lists_are_shown_as_they_were_meant() -> None:
    assert "<td>2</td>" in render_markdown("| a | b |\n|:--|--:|\n| 1 | 2 |")
    assert '<ol start="3">' in render_markdown("1. one\n\n```\ncode\n```\n\n3. three")
    assert "style" not in render_markdown("| a |\n|:-:|\n| 1 |") and "align" not in render_markdown("| a |\n|:-:|")


@pytest.mark.parametrize(
    "text",
    [
        ">" * 100_000,
        ">" * 60_000 + "a" * 400_000,
        "[" * 100_000,
        "*a " * 50_000 + "a*" * 50_000,
        "> - " * 25_000,
        "|a" * 300 + "\n" + "|-" * 300,
    ],
    ids=["quotes", "quotes around much", "brackets", "emphasis", "lists in quotes", "a wide table"],
)
def test_text_that_is_made_to_break_a_parser_takes_no_time(text: str) -> None:
    start = time.process_time()
    html = render_markdown(text)
    assert time.process_time() - start < 2
    assert len(html) < 8 * len(text) + 20_000


def test_a_reply_nested_too_deep_is_shown_as_it_was_written() -> None:
    assert render_markdown(">" * 1000 + " <b>") == f"<pre>{'&gt;' * 1000} &lt;b&gt;</pre>"
    assert render_markdown("> a\n>\n> > b").count("<blockquote>") == 2


# From records


def test_a_dgms_responses_come_with_their_verdicts() -> None:
    rows = [response("a", "One."), response("b", "Two")]
    verdicts = [verdict("a", keep=True), verdict("b", keep=False, reasons=["loop", "too_short"], language="Korean")]
    one, two = from_responses(rows, verdicts)
    assert (one.key, one.group, one.keep, one.turns) == ("a", "English", True, [turn("Say a.", "One.")])
    assert (two.group, two.keep, two.reasons) == ("Korean", False, ["loop", "too_short"])


def test_without_verdicts_a_response_is_neither_kept_nor_dropped() -> None:
    (found,) = from_responses([response("a", "One.")])
    assert (found.group, found.keep, list_labels(found)) == ("", None, ["answered"])


@pytest.mark.parametrize("keys", [["b"], [], ["a", "b"]], ids=["another", "too few", "too many"])
def test_verdicts_on_other_responses_are_refused(keys: list[str]) -> None:
    with pytest.raises(UserError, match="run `dvc repro validate`"):
        list(from_responses([response("a", "One.")], [verdict(key, keep=True) for key in keys]))


def test_an_imported_row_with_nothing_in_it_is_shown_as_one_without_text() -> None:
    row = {"conversation_hash": None, "turns": [None, {"user": None, "assistant": None}], "status": None}
    (found,) = from_responses([row])
    assert found == Conversation("", "", [turn("", "", ""), turn("", "", "")], "")
    assert list_labels(found) == ["ended early: no status", "no text"]


def test_answers_come_with_the_judgments_on_their_turns() -> None:
    turns = [vars_of("Why?", "So."), vars_of("And?", "")]
    row = {"question_id": 7, "category": "explain", "turns": turns, "status": "ok"}
    judgments: list[dict[str, Any]] = [
        {"question_id": 7, "turn": 1, "score": 8.0, "text": "Clear. [[8]]", "reason": ""},
        {"question_id": 7, "turn": 2, "score": None, "text": "", "reason": "the model gave no reply"},
    ]
    (found,) = from_answers([row], judgments)
    assert (found.key, found.group) == ("7", "explain")
    assert found.turns[0] == turn("Why?", "So.", score=8.0, judgment="Clear. [[8]]")
    assert found.turns[1] == turn("And?", "", unscored="the model gave no reply")


def test_a_dgms_replies_come_with_the_scores_of_the_place_of_their_prompt() -> None:
    judged = {"question_id": 1, "turn": 1, "score": 8.0, "text": "Clear.", "reason": ""}
    first, second = add_judgments([said("a", "So."), said("b", "No.")], [judged])
    assert first == said("a", "So.")
    assert second.turns == [turn("Tell me of b.", "No.", score=8.0, judgment="Clear.")]


def test_what_became_of_a_conversation_is_said_in_words_to_filter_by() -> None:
    def of(status: str = "ok", reply: str = "x", finish: str = "stop", **rest: Any) -> list[str]:
        return list_labels(Conversation("a", "", [turn("", reply, finish)], status, **rest))

    assert of() == ["answered"]
    assert of(keep=True, reasons=["off_topic"]) == ["kept", "noted: off topic"]
    assert of(finish="length", keep=False, reasons=["finish_length"]) == [
        "dropped",
        "dropped: finish length",
        "cut at the token limit",
    ]
    assert of("context_overflow", "", "context_overflow") == ["ended early: did not fit the context window"]
    assert of("failed", "", "failed") == ["ended early: failed"]
    assert of(reply=" \n") == ["no text"]


# The files


def test_hostile_text_is_inert_in_every_file(tmp_path: Path) -> None:
    write_browser(tmp_path, hostile(), HOSTILE)
    page = (tmp_path / "conversations.html").read_text(encoding="utf-8")
    assert page.count("</script>") == page.count("<script") == 2 and "pwned = 1</script>" not in page
    for file in (tmp_path / "conversations").iterdir():
        text = file.read_text(encoding="utf-8")
        assert "</" not in text and "\u2028" not in text and "\u2029" not in text and "\x00" not in text
    assert rows_of(tmp_path / "conversations" / "prompts-0.js")[0]["users"] == [HOSTILE]


def test_text_comes_back_from_a_data_file_as_it_was(tmp_path: Path) -> None:
    row = {"text": "a 'b' \"c\" \\ \\n \n \u2028 </script> 漢字 \U0001f44d"}
    (tmp_path / "x.js").write_text(f'receive("x", [\n{to_script(row)},\n]);\n', encoding="utf-8")
    assert rows_of(tmp_path / "x.js") == [row]


def test_equal_conversations_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_browser(tmp_path / name, site(), "Rewild")
    one, two = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("one", "two")
    )
    assert one == two and len(one) == 10


def test_no_name_of_a_model_becomes_the_name_of_a_file(tmp_path: Path) -> None:
    write_browser(tmp_path, [prompts(**{"../../x": [said("a", "A")], "<b>": [said("a", "B")]})], "Rewild")
    assert sorted(path.name for path in tmp_path.rglob("*.js")) == ["prompts-0.js", "prompts-1.js", "prompts-2.js"]


def test_a_prompt_is_known_from_whoever_knows_it_and_a_different_one_is_said(tmp_path: Path) -> None:
    imported = Conversation("a", "", [turn("", "I.")], "ok")
    other = said("a", "O.", user="Not that.")
    write_browser(tmp_path, [prompts(imported=[imported], asked=[said("a", "A.")], other=[other])], "Rewild")
    data = tmp_path / "conversations"
    assert rows_of(data / "prompts-0.js") == [{"key": "a", "group": "English", "users": ["Tell me of a."]}]
    replies = [rows_of(data / f"prompts-{number}.js")[0]["turns"][0].get("asked") for number in (1, 2, 3)]
    assert replies == [None, None, "Not that."]


def test_a_second_reply_to_a_prompt_is_not_lost(tmp_path: Path) -> None:
    write_browser(tmp_path, [prompts(m=[said("a", "1"), said("a", "2")], n=[said("b", "3"), said("a", "4")])], "Rewild")
    data = tmp_path / "conversations"
    assert [row["key"] for row in rows_of(data / "prompts-0.js")] == ["a", "a (2)", "b"]
    assert [row["at"] for row in rows_of(data / "prompts-2.js")] == [2, 0]


def test_conversations_are_written_as_they_come(tmp_path: Path) -> None:
    seen = []

    def stream() -> Iterator[Conversation]:
        for number in range(2_000):
            yield said(str(number), "word " * 50)
            seen.append((tmp_path / "conversations" / "prompts-1.js").stat().st_size)

    write_browser(tmp_path, [prompts(m=stream())], "Rewild")
    assert seen[-1] > 1900 / 2000 * (tmp_path / "conversations" / "prompts-1.js").stat().st_size


# The page in a browser


def response(key: str, reply: str) -> dict[str, Any]:
    return {"conversation_hash": key, "turns": [vars_of(f"Say {key}.", reply)], "status": "ok"}


def vars_of(user: str, assistant: str) -> dict[str, Any]:
    return {"user": user, "assistant": assistant, "finish_reason": "stop"}


def verdict(key: str, keep: bool, reasons: Sequence[str] = (), language: str = "English") -> dict[str, Any]:
    return {"conversation_hash": key, "keep": keep, "reasons": list(reasons), "language": language}


def hostile() -> list[Collection]:
    conversations = [Conversation(HOSTILE, HOSTILE, [turn(HOSTILE, HOSTILE, HOSTILE, judgment=HOSTILE)], HOSTILE)]
    return [prompts(**{HOSTILE: conversations, "other": conversations})]


def site() -> list[Collection]:
    """Three prompts and three DGMs; two questions of two turns, judged; names that need no explaining."""
    rich = [
        said("cat", "A **cat** purrs.\n\n- It sleeps.", keep=True),
        said("dog", "A dog " + "barks. " * 30, group="Korean", keep=False, reasons=["loop"]),
        Conversation("owl", "English", [turn("Tell me of owl.", "Who", "length")], "ok", True),
    ]
    plain = [said("cat", "The cat is an animal & <purrs>.", keep=True), said("owl", "An owl flies.", keep=True)]
    third = [said("dog", "Third of dog.")]

    def answer(one: float, two: float) -> list[Conversation]:
        turns = [
            turn("Why?", "Because.", score=one, judgment="Short."),
            turn("And?", "So.", score=two, judgment="Shorter."),
        ]
        rest = [turn("Where?", "There.", score=5.0), turn("When?", "Then.", unscored="no verdict was found")]
        return [Conversation("1", "explain", turns, "ok"), Conversation("2", "places", rest, "ok")]

    pair = {"one": "base", "other": "tuned", "question_id": 1, "text": "Because.", "reason": ""}
    choices = [{**pair, "turn": 1, "first": first, "winner": "tuned"} for first in ("base", "tuned")]
    choices += [{**pair, "turn": 2, "first": first, "winner": first} for first in ("base", "tuned")]
    choices += [{**choices[0], "one": "gone"}]
    return [
        prompts(rich=rich, plain=plain, third=third),
        Collection(
            "questions",
            "Questions",
            "Category",
            {"base": answer(4, 6), "tuned": answer(8, 8), "tied": answer(4, 6)},
            from_pairings(choices),
        ),
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with little on it. Not to be changed."""
    folder = tmp_path_factory.mktemp("site")
    write_browser(folder, site(), "Rewild, profile demo")
    return folder


@pytest.fixture
def opened(chromium: Browser, folder: Path) -> Iterator[Visit]:
    with visit(chromium, folder / "conversations.html") as found:
        found.page.wait_for_selector("#list a")
        yield found


def opens(chromium: Browser, folder: Path, hash: str = "", **options: Any) -> Any:
    return visit(chromium, folder / "conversations.html", hash=hash, **options)


def replies(found: Visit) -> list[str]:
    """The texts of the replies that are shown, left to right and down."""
    return found.page.locator(".reply .text").all_inner_texts()


def expect_count(found: Visit, text: str) -> None:
    expect(found.page.locator("#count")).to_have_text(text)


def test_it_shows_two_models_replies_to_a_prompt_side_by_side(opened: Visit) -> None:
    assert opened.text("#count") == "3 of 3"
    assert opened.text(".user") == "Tell me of cat."
    assert replies(opened) == ["A cat purrs.\n\nIt sleeps.", "The cat is an animal & <purrs>."]
    left, right = (opened.page.locator(".reply").nth(side).bounding_box() for side in (0, 1))
    assert left and right and left["y"] == right["y"] and left["x"] + left["width"] < right["x"]
    assert opened.text(".facts") == "30 characters · stop"
    assert opened.page.locator(".text strong").inner_text() == "cat"


def test_search_finds_all_words_in_any_case_over_prompt_and_both_replies(opened: Visit) -> None:
    opened.page.get_by_label("Search").fill("CAT purrs")
    expect_count(opened, "1 of 3")
    opened.page.get_by_label("Search").fill("owl flies who")
    expect_count(opened, "1 of 3")
    expect(opened.page.locator(".user")).to_have_text("Tell me of owl.")
    opened.page.get_by_label("Search").fill('"of dog"')
    expect_count(opened, "1 of 3")
    opened.page.get_by_label("Search").fill("strong")  # an element's name is no word
    expect_count(opened, "0 of 3")
    assert "No conversation matches" in opened.text("#conversation")
    opened.page.get_by_role("button", name="Show all").click()
    expect_count(opened, "3 of 3")


def test_what_was_searched_is_painted_without_a_change_to_the_elements(opened: Visit) -> None:
    before = opened.run("document.querySelector('.text').innerHTML")
    opened.page.get_by_label("Search").fill("cat <purrs>")
    expect_count(opened, "1 of 3")
    painted = opened.run("[...CSS.highlights.get('matches')].map(String)")
    assert painted == ["cat", "cat", "cat", "<purrs>"]
    assert opened.run("document.querySelector('.text').innerHTML") == before


@pytest.mark.parametrize(
    ("label", "option", "keys"),
    [
        ("Language", "Korean (1)", ["dog"]),
        ("Status of either", "dropped: loop (1)", ["dog"]),
        ("Status of either", "cut at the token limit (1)", ["owl"]),
        ("Status of either", "no reply in the data (1)", ["dog"]),
        ("Order", "longest reply first", ["dog", "cat", "owl"]),
    ],
)
def test_filters_and_orders(opened: Visit, label: str, option: str, keys: list[str]) -> None:
    opened.page.get_by_label(label).select_option(label=option)
    expect_count(opened, f"{len(keys)} of 3")
    assert opened.run("[...document.querySelectorAll('#list a')].map(a => a.dataset.key)") == keys


def test_the_length_of_either_reply_is_a_filter(opened: Visit) -> None:
    opened.page.get_by_label("at least this many characters").fill("14")
    opened.page.get_by_label("at most this many characters").fill("40")
    expect_count(opened, "1 of 3")
    assert opened.text(".user") == "Tell me of cat."


def test_models_are_chosen_and_swapped_and_one_can_be_read_alone(opened: Visit) -> None:
    page = opened.page
    page.get_by_role("combobox", name="Right", exact=True).select_option("third")
    page.locator("#list a", has_text="dog").click()
    expect(page.locator(".right .text")).to_have_text("Third of dog.")
    page.get_by_role("button", name="Swap").click()
    expect(page.locator(".left .text")).to_have_text("Third of dog.")
    assert page.get_by_role("combobox", name="Left", exact=True).input_value() == "third"
    page.get_by_role("combobox", name="Right", exact=True).select_option(label="(none)")
    expect(page.locator(".reply")).to_have_count(1)


def test_a_model_is_loaded_when_it_is_chosen(chromium: Browser, folder: Path) -> None:
    with opens(chromium, folder) as found:
        asked: list[str] = []
        found.page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
        found.page.wait_for_selector("#list a")
        names = found.page.get_by_role("combobox", name="Left", exact=True).locator("option").all_inner_texts()
        assert names == ["rich", "plain (2 of 3)", "third (1 of 3)"]
        assert not {"prompts-3.js", "questions-0.js"} & set(asked)
        found.page.get_by_role("combobox", name="Left", exact=True).select_option("third")
        expect(found.page).to_have_url(re.compile("left=third"))
        assert "prompts-3.js" in asked and "questions-0.js" not in asked


def test_arrow_keys_go_on_and_back_but_not_while_typing(opened: Visit) -> None:
    press = opened.page.keyboard.press
    press("ArrowRight")
    expect(opened.page.locator(".user")).to_have_text("Tell me of dog.")
    press("ArrowLeft")
    expect(opened.page.locator(".user")).to_have_text("Tell me of cat.")
    press("ArrowLeft")  # there is none before
    opened.page.get_by_label("Search").fill("tell")
    expect(opened.page).to_have_url(re.compile("q=tell"))  # or the search could redraw what is clicked below
    expect_count(opened, "3 of 3")
    press("ArrowRight")
    press("ArrowLeft")
    opened.page.wait_for_timeout(100)
    assert opened.text(".user") == "Tell me of cat."
    opened.page.get_by_role("button", name="Next").click()
    expect(opened.page.locator(".user")).to_have_text("Tell me of dog.")
    assert opened.page.locator("#list a[aria-current]").count() == 1


def test_the_next_conversation_is_shown_from_its_beginning(chromium: Browser, tmp_path: Path) -> None:
    long = "A line.\n\n" * 200
    write_browser(tmp_path, [prompts(one=[said("a", long), said("b", long)])], "Rewild")
    with opens(chromium, tmp_path) as found:
        found.page.wait_for_selector("#list a")
        found.run("scrollTo(0, 4000)")
        found.page.keyboard.press("ArrowRight")
        expect(found.page.locator(".user")).to_have_text("Tell me of b.")
        expect(found.page.locator(".user")).to_be_in_viewport()


def test_a_prompt_that_nobody_knows_and_nobody_answered_is_listed_by_its_key(chromium: Browser, tmp_path: Path) -> None:
    silent = Conversation("a-key", "", [turn("", "")], "ok")
    write_browser(tmp_path, [prompts(one=[silent], two=[silent])], "Rewild")
    with opens(chromium, tmp_path) as found:
        found.page.wait_for_selector("#list a")
        assert "a-key" in found.text("#list a")


def test_filters_that_would_tell_nothing_apart_are_not_offered(opened: Visit) -> None:
    offered = [name for name in ("Language", "Turns", "Judgment") if opened.page.get_by_label(name).is_visible()]
    assert offered == ["Language"]
    assert "largest score difference" not in opened.text("select[name=sort]")


def test_a_view_is_linked_by_its_address(chromium: Browser, folder: Path) -> None:
    with opens(chromium, folder, "#set=prompts&left=plain&right=rich&at=owl&q=owl") as found:
        found.page.wait_for_selector("#list a")
        assert found.text("#count") == "1 of 3" and replies(found) == ["An owl flies.", "Who"]
        assert found.page.get_by_label("Search").input_value() == "owl"
        assert "cut at the token limit" in found.text(".head.right")


def test_an_address_that_names_what_is_not_there_says_so(chromium: Browser, folder: Path) -> None:
    with opens(chromium, folder, "#set=prompts&left=lost&at=zebra") as found:
        found.page.wait_for_selector("#list a")
        expect(found.page.locator("#message")).to_have_text(
            "There is no model lost in this collection. There is no conversation zebra in this collection."
        )


def test_judgments_stand_beside_the_replies_and_can_be_filtered(chromium: Browser, folder: Path) -> None:
    with opens(chromium, folder, "#set=questions") as found:
        found.page.wait_for_selector("#list a")
        assert [found.page.locator(".facts").nth(side).inner_text() for side in (0, 1)] == [
            "8 characters · stop · score 4",
            "8 characters · stop · score 8",
        ]
        assert found.text(".judge p") == "Short."
        assert found.text(".choice > p") == "The judge, shown both, prefers: tuned"
        assert found.page.locator(".choice > p").nth(1).inner_text().endswith("the two orders disagree")
        options = found.page.get_by_label("Judgment").locator("option").all_inner_texts()
        assert "1 choice between models that are not here" in found.text("footer")
        assert options == [
            "any",
            "no choice (1)",
            "right chosen (1)",
            "the two orders disagree (1)",
            "scored level (1)",
            "right scored higher (1)",
        ]
        found.page.get_by_label("Judgment").select_option(label="scored level (1)")
        expect_count(found, "1 of 2")
        assert "no score: no verdict was found" in found.text("#conversation")


def test_hostile_text_stays_text(chromium: Browser, tmp_path: Path) -> None:
    write_browser(tmp_path, hostile(), HOSTILE)
    with opens(chromium, tmp_path) as found:
        found.page.wait_for_selector("#list a")
        assert found.text("#count") == "1 of 1"
        assert found.run("window.pwned") is None
        assert (
            found.run("document.querySelectorAll('main :is(script, img, svg, iframe, style, a[href^=java])').length")
            == 0
        )
        assert found.run("document.scripts.length") == 2
        for place in (".user", ".text", ".judge p", ".head"):
            assert "<script>window.pwned = 1</script>" in found.text(place)


def test_even_html_that_slipped_through_could_not_run(chromium: Browser, folder: Path) -> None:
    with opens(chromium, folder) as found:
        found.page.wait_for_selector("#list a")
        found.run("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.pwned = 1\">')")
        found.page.wait_for_timeout(200)
        assert found.run("window.pwned") is None
        assert any("Content Security Policy" in fault for fault in found.faults)
        found.faults.clear()


def tear(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-40])


@pytest.mark.parametrize(("damage", "says"), [(Path.unlink, "is not there"), (tear, "is damaged")])
def test_a_data_file_that_is_missing_or_torn_is_said_in_a_line(
    chromium: Browser, tmp_path: Path, damage: Callable[[Path], None], says: str
) -> None:
    write_browser(tmp_path, site(), "Rewild")
    damage(tmp_path / "conversations" / "prompts-2.js")
    with opens(chromium, tmp_path) as found:
        found.page.wait_for_selector("#message:not([hidden])")
        assert found.text("#message").startswith(f"conversations/prompts-2.js {says}.")
        assert found.faults
        found.faults.clear()
        found.page.get_by_role("combobox", name="Right", exact=True).select_option("third")  # the rest still works
        found.page.wait_for_selector("#list a")
        assert found.page.locator("#message").is_hidden()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(chromium: Browser, tmp_path: Path, theme: Any) -> None:
    wide = "| " + " | ".join("column" * 3 for _ in range(9)) + " |\n" + "|-" * 9 + "|\n\n" + "x" * 3000
    code = "```\n" + "y" * 500 + "\n```\n\n# " + "W" * 200
    long = "z" * 600
    models = {"m" * 90: [said("a", wide, user=long, group=long, reasons=[long])], "n": [said("a", code, user=long)]}
    write_browser(tmp_path, [prompts(**models)], long)
    with opens(chromium, tmp_path, width=380, theme=theme) as found:
        found.page.wait_for_selector("#list a")
        found.page.locator("summary").first.click()
        assert found.run("document.documentElement.scrollWidth") <= 380
        tops = [found.page.locator(".reply").nth(side).bounding_box() for side in (0, 1)]
        assert tops[0] and tops[1] and tops[0]["y"] + tops[0]["height"] <= tops[1]["y"]


def test_only_the_conversation_is_printed(opened: Visit) -> None:
    opened.page.emulate_media(media="print")
    assert not opened.page.locator("#controls").is_visible() and not opened.page.locator("#list").is_visible()
    assert opened.page.locator(".reply").first.is_visible()


def test_with_nothing_to_read_it_says_what_to_do(chromium: Browser, tmp_path: Path) -> None:
    write_browser(tmp_path, [prompts()], "Rewild")
    with opens(chromium, tmp_path) as found:
        assert "run dvc repro" in found.text("#message")


def test_without_scripts_it_says_so(chromium: Browser, folder: Path) -> None:
    with opens(chromium, folder, scripts=False) as found:
        assert "scripts are switched off" in found.text("noscript")


def test_every_control_has_a_name(opened: Visit) -> None:
    unnamed = """[...document.querySelectorAll('select, input, button')]
        .filter(node => !node.labels?.length && !node.ariaLabel && !node.textContent.trim()).length"""
    assert opened.run(unnamed) == 0
    assert opened.page.locator("header a").get_attribute("href") == "index.html"


def test_ten_thousand_matches_are_listed_a_hundred_at_a_time(chromium: Browser, tmp_path: Path) -> None:
    many = [said(f"{number:04}", "x") for number in range(250)]
    write_browser(tmp_path, [prompts(one=many, two=many)], "Rewild")
    with opens(chromium, tmp_path, "#at=0149") as found:
        found.page.wait_for_selector("#list a[aria-current]")
        assert found.text("#range") == "101–200" and found.text("#count") == "250 of 250"
        found.page.get_by_role("button", name="Later").click()
        assert found.text("#range") == "201–250" and found.page.locator("#list a").count() == 50
        found.page.get_by_role("button", name="Previous").click()
        found.page.wait_for_selector('#list a[aria-current][data-key="0148"]')
