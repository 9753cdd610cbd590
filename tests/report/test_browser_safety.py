"""The conversation browser in a real browser: nothing runs in it, and it works on every device."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from stages.lib.report.browser import write_browser
from tests.support.browser import (
    HOSTILE,
    collection,
    conversation,
    example_collections,
    hostile_collections,
    open_browser,
)
from tests.support.chromium import Visit


def tear(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-40])


def test_hostile_text_stays_text(chromium: Browser, tmp_path: Path) -> None:
    write_browser(tmp_path, hostile_collections(), HOSTILE)
    with open_browser(chromium, tmp_path) as opened:
        opened.page.wait_for_selector("#list a")
        assert opened.text("#count") == "1 of 1"
        assert opened.run("window.pwned") is None
        assert (
            opened.run("document.querySelectorAll('main :is(script, img, svg, iframe, style, a[href^=java])').length")
            == 0
        )
        assert opened.run("document.scripts.length") == 2
        for place in (".user", ".text", ".judge p", ".head"):
            assert "<script>window.pwned = 1</script>" in opened.text(place)


def test_injected_html_cannot_run(chromium: Browser, browser_folder: Path) -> None:
    with open_browser(chromium, browser_folder) as opened:
        opened.page.wait_for_selector("#list a")
        opened.run("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.pwned = 1\">')")
        opened.page.wait_for_timeout(200)
        assert opened.run("window.pwned") is None
        assert any("Content Security Policy" in fault for fault in opened.faults)
        opened.faults.clear()


@pytest.mark.parametrize(("damage", "says"), [(Path.unlink, "is not there"), (tear, "is damaged")])
def test_a_missing_or_truncated_data_file_is_reported_in_one_line(
    chromium: Browser, tmp_path: Path, damage: Callable[[Path], None], says: str
) -> None:
    write_browser(tmp_path, example_collections(), "Rewild")
    damage(tmp_path / "conversations" / "prompts-2.js")
    with open_browser(chromium, tmp_path) as opened:
        opened.page.wait_for_selector("#message:not([hidden])")
        assert opened.text("#message").startswith(f"conversations/prompts-2.js {says}.")
        assert opened.faults
        opened.faults.clear()
        opened.page.get_by_role("combobox", name="Right", exact=True).select_option("third")  # the rest still works
        opened.page.wait_for_selector("#list a")
        assert opened.page.locator("#message").is_hidden()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(chromium: Browser, tmp_path: Path, theme: Any) -> None:
    wide = "| " + " | ".join("column" * 3 for _ in range(9)) + " |\n" + "|-" * 9 + "|\n\n" + "x" * 3000
    code = "```\n" + "y" * 500 + "\n```\n\n# " + "W" * 200
    long = "z" * 600
    models = {
        "m" * 90: [conversation("a", wide, user=long, group=long, reasons=[long])],
        "n": [conversation("a", code, user=long)],
    }
    write_browser(tmp_path, [collection(**models)], long)
    with open_browser(chromium, tmp_path, width=380, theme=theme) as opened:
        opened.page.wait_for_selector("#list a")
        opened.page.locator("summary").first.click()
        assert opened.run("document.documentElement.scrollWidth") <= 380
        tops = [opened.page.locator(".reply").nth(side).bounding_box() for side in (0, 1)]
        assert tops[0] and tops[1] and tops[0]["y"] + tops[0]["height"] <= tops[1]["y"]


def test_only_the_conversation_is_printed(opened: Visit) -> None:
    opened.page.emulate_media(media="print")
    assert not opened.page.locator("#controls").is_visible() and not opened.page.locator("#list").is_visible()
    assert opened.page.locator(".reply").first.is_visible()


def test_an_empty_page_says_what_to_do(chromium: Browser, tmp_path: Path) -> None:
    write_browser(tmp_path, [collection()], "Rewild")
    with open_browser(chromium, tmp_path) as opened:
        assert "run dvc repro" in opened.text("#message")


def test_the_page_says_that_it_needs_scripts(chromium: Browser, browser_folder: Path) -> None:
    with open_browser(chromium, browser_folder, scripts=False) as opened:
        assert "scripts are switched off" in opened.text("noscript")


def test_every_control_has_a_name(opened: Visit) -> None:
    unnamed = """[...document.querySelectorAll('select, input, button')]
        .filter(node => !node.labels?.length && !node.ariaLabel && !node.textContent.trim()).length"""
    assert opened.run(unnamed) == 0
    assert opened.page.locator("header a").get_attribute("href") == "index.html"
