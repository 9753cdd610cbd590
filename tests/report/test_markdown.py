"""Markdown as HTML that is safe to show."""

import time

import pytest

from stages.lib.report.page import keep_names, render_markdown
from tests.support.report import HOSTILE, Tags


def test_markdown_is_rendered_without_links_or_images() -> None:
    html = str(render_markdown(HOSTILE))
    assert set(Tags(html).tags) == {"p", "strong", "code"}
    assert Tags(html).attributes == []


def test_raw_html_is_shown_as_text_and_links_and_images_are_removed() -> None:
    html = render_markdown("<b onclick=1>x</b> **y** [a](https://evil.example) ![a dot](https://evil.example/p.png)")
    assert html == "<p>&lt;b onclick=1&gt;x&lt;/b&gt; <strong>y</strong> a a dot</p>\n"


def test_tables_and_numbered_lists_are_rendered() -> None:
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
def test_text_made_to_stall_a_parser_is_rendered_quickly(text: str) -> None:
    start = time.process_time()
    html = render_markdown(text)
    assert time.process_time() - start < 2
    assert len(html) < 8 * len(text) + 20_000


def test_a_reply_nested_too_deeply_is_shown_as_it_was_written() -> None:
    assert render_markdown(">" * 1000 + " <b>") == f"<pre>{'&gt;' * 1000} &lt;b&gt;</pre>"
    assert render_markdown("> a\n>\n> > b").count("<blockquote>") == 2


def test_a_table_of_60000_columns_is_shown_as_it_was_written_at_once() -> None:
    wide = f"|{'a|' * 60_000}\n|{'-|' * 60_000}\n|{'<b>|' * 60_000}\n"
    start = time.perf_counter()
    html = render_markdown(wide)
    assert time.perf_counter() - start < 5
    assert html.startswith("<pre>|a|") and "<b>" not in html and render_markdown("") == ""


def test_a_hyphenated_name_in_a_sentence_is_kept_whole_and_stays_text() -> None:
    assert keep_names("only-rich is <b>best</b>, 0.8 - 0.9.") == (
        '<bdi class="whole">only-rich</bdi> is &lt;b&gt;best&lt;/b&gt;, 0.8 - 0.9.'
    )
