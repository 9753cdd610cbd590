"""The conversation browser in a real browser: it shows, finds and filters conversations."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from stages.lib.report.browser import write_browser
from stages.lib.report.conversations import (
    Conversation,
)
from tests.support.browser import (
    collection,
    conversation,
    expect_count,
    open_browser,
    read_replies,
    turn,
)
from tests.support.chromium import Visit


def test_two_models_replies_to_a_prompt_are_shown_side_by_side(opened: Visit) -> None:
    assert opened.text("#count") == "3 of 3"
    assert opened.text(".user") == "Tell me of cat."
    assert read_replies(opened) == ["A cat purrs.\n\nIt sleeps.", "The cat is an animal & <purrs>."]
    left, right = (opened.page.locator(".reply").nth(side).bounding_box() for side in (0, 1))
    assert left and right and left["y"] == right["y"] and left["x"] + left["width"] < right["x"]
    assert opened.text(".facts") == "30 characters · stop"
    assert opened.page.locator(".text strong").inner_text() == "cat"


def test_search_needs_all_words_in_the_prompt_and_both_replies_ignoring_case(opened: Visit) -> None:
    opened.page.get_by_label("Search").fill("CAT purrs")
    expect_count(opened, "1 of 3")
    opened.page.get_by_label("Search").fill("owl flies who")
    expect_count(opened, "1 of 3")
    expect(opened.page.locator(".user")).to_have_text("Tell me of owl.")
    opened.page.get_by_label("Search").fill('"of dog"')
    expect_count(opened, "1 of 3")
    opened.page.get_by_label("Search").fill("strong")  # an element's name is not a word
    expect_count(opened, "0 of 3")
    assert "No conversation matches" in opened.text("#conversation")
    opened.page.get_by_role("button", name="Show all").click()
    expect_count(opened, "3 of 3")


def test_a_system_message_is_shown_above_the_turns_and_found(tmp_path: Path, chromium: Browser) -> None:
    asked = [replace(conversation("a", "A."), system="Be brief."), conversation("b", "B.")]
    write_browser(tmp_path, [collection(one=asked, other=asked)], "Rewild")
    with open_browser(chromium, tmp_path) as opened:
        assert opened.text(".system .user") == "Be brief."
        opened.page.get_by_label("Search").fill("brief")
        expect_count(opened, "1 of 2")
        opened.page.get_by_label("Search").fill('"of b"')
        expect(opened.page.locator(".system")).to_have_count(0)


def test_search_words_are_highlighted_without_changing_the_elements(opened: Visit) -> None:
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


def test_conversations_are_filtered_by_the_length_of_either_reply(opened: Visit) -> None:
    opened.page.get_by_label("at least this many characters").fill("14")
    opened.page.get_by_label("at most this many characters").fill("40")
    expect_count(opened, "1 of 3")
    assert opened.text(".user") == "Tell me of cat."


def test_models_can_be_chosen_swapped_and_read_alone(opened: Visit) -> None:
    page = opened.page
    page.get_by_role("combobox", name="Right", exact=True).select_option("third")
    page.locator("#list a", has_text="dog").click()
    expect(page.locator(".right .text")).to_have_text("Third of dog.")
    page.get_by_role("button", name="Swap").click()
    expect(page.locator(".left .text")).to_have_text("Third of dog.")
    assert page.get_by_role("combobox", name="Left", exact=True).input_value() == "third"
    page.get_by_role("combobox", name="Right", exact=True).select_option(label="(none)")
    expect(page.locator(".reply")).to_have_count(1)


def test_a_model_is_loaded_when_it_is_chosen(chromium: Browser, browser_folder: Path) -> None:
    with open_browser(chromium, browser_folder) as opened:
        asked: list[str] = []
        opened.page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
        opened.page.wait_for_selector("#list a")
        names = opened.page.get_by_role("combobox", name="Left", exact=True).locator("option").all_inner_texts()
        assert names == ["rich", "plain (2 of 3)", "third (1 of 3)"]
        assert not {"prompts-3.js", "questions-0.js"} & set(asked)
        opened.page.get_by_role("combobox", name="Left", exact=True).select_option("third")
        expect(opened.page).to_have_url(re.compile("left=third"))
        assert "prompts-3.js" in asked and "questions-0.js" not in asked


def test_arrow_keys_move_between_conversations_but_not_while_typing(opened: Visit) -> None:
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
    write_browser(tmp_path, [collection(one=[conversation("a", long), conversation("b", long)])], "Rewild")
    with open_browser(chromium, tmp_path) as opened:
        opened.page.wait_for_selector("#list a")
        opened.run("scrollTo(0, 4000)")
        opened.page.keyboard.press("ArrowRight")
        expect(opened.page.locator(".user")).to_have_text("Tell me of b.")
        expect(opened.page.locator(".user")).to_be_in_viewport()


def test_a_side_has_the_colour_of_its_model(chromium: Browser, tmp_path: Path) -> None:
    models = collection(one=[conversation("a", "A.")], two=[conversation("a", "B.")])
    write_browser(tmp_path, [models], "Rewild", colours={"one": "#123456", "two": "#654321"})
    with open_browser(chromium, tmp_path) as opened:
        opened.page.wait_for_selector("#list a")
        border = "e => getComputedStyle(e).borderBottomColor"
        assert opened.page.eval_on_selector(".side.left.head", border) == "rgb(18, 52, 86)"
        opened.page.click("#swap")
        expect(opened.page.locator(".side.left.head")).to_contain_text("two")
        assert opened.page.eval_on_selector(".side.left.head", border) == "rgb(101, 67, 33)"


def test_an_unknown_prompt_without_replies_is_listed_by_its_key(chromium: Browser, tmp_path: Path) -> None:
    silent = Conversation("a-key", "", [turn("", "")], "ok")
    write_browser(tmp_path, [collection(one=[silent], two=[silent])], "Rewild")
    with open_browser(chromium, tmp_path) as opened:
        opened.page.wait_for_selector("#list a")
        assert "a-key" in opened.text("#list a")


def test_filters_with_a_single_value_are_hidden(opened: Visit) -> None:
    offered = [name for name in ("Language", "Turns", "Judgment") if opened.page.get_by_label(name).is_visible()]
    assert offered == ["Language"]
    assert "largest score difference" not in opened.text("select[name=sort]")


def test_the_address_of_a_view_restores_it(chromium: Browser, browser_folder: Path) -> None:
    with open_browser(chromium, browser_folder, "#set=prompts&left=plain&right=rich&at=owl&q=owl") as opened:
        opened.page.wait_for_selector("#list a")
        assert opened.text("#count") == "1 of 3" and read_replies(opened) == ["An owl flies.", "Who"]
        assert opened.page.get_by_label("Search").input_value() == "owl"
        assert "cut at the token limit" in opened.text(".head.right")


def test_an_address_with_an_unknown_model_or_conversation_says_so(chromium: Browser, browser_folder: Path) -> None:
    with open_browser(chromium, browser_folder, "#set=prompts&left=lost&at=zebra") as opened:
        opened.page.wait_for_selector("#list a")
        expect(opened.page.locator("#message")).to_have_text(
            "There is no model lost in this collection. There is no conversation zebra in this collection."
        )


def test_judgments_are_shown_with_the_replies_and_can_be_filtered(chromium: Browser, browser_folder: Path) -> None:
    with open_browser(chromium, browser_folder, "#set=questions") as opened:
        opened.page.wait_for_selector("#list a")
        assert [opened.page.locator(".facts").nth(side).inner_text() for side in (0, 1)] == [
            "8 characters · stop · score 4",
            "8 characters · stop · score 8",
        ]
        assert opened.text(".judge p") == "Short."
        assert opened.text(".choice > p") == "The judge, shown both, prefers: tuned"
        assert opened.page.locator(".choice > p").nth(1).inner_text().endswith("the two orders disagree")
        options = opened.page.get_by_label("Judgment").locator("option").all_inner_texts()
        assert "1 choice between models that are not here" in opened.text("footer")
        assert options == [
            "any",
            "no choice (1)",
            "right chosen (1)",
            "the two orders disagree (1)",
            "scored level (1)",
            "right scored higher (1)",
        ]
        opened.page.get_by_label("Judgment").select_option(label="scored level (1)")
        expect_count(opened, "1 of 2")
        assert "no score: no score was found" in opened.text("#conversation")


def test_matches_are_listed_a_hundred_at_a_time(chromium: Browser, tmp_path: Path) -> None:
    many = [conversation(f"{number:04}", "x") for number in range(250)]
    write_browser(tmp_path, [collection(one=many, two=many)], "Rewild")
    with open_browser(chromium, tmp_path, "#at=0149") as opened:
        opened.page.wait_for_selector("#list a[aria-current]")
        assert opened.text("#range") == "101–200" and opened.text("#count") == "250 of 250"
        opened.page.get_by_role("button", name="Later").click()
        assert opened.text("#range") == "201–250" and opened.page.locator("#list a").count() == 50
        opened.page.get_by_role("button", name="Previous").click()
        opened.page.wait_for_selector('#list a[aria-current][data-key="0148"]')
