"""Features of style: elements, visible length and emoji of answers, by both parsers."""

import random
import time
from typing import Any

import pytest
from markdown_it import MarkdownIt

from stages.lib.style.features import count_answers
from stages.lib.style.markup import FEATURES, TAGS, count_commonmark, count_emoji, count_paper, visible_length
from tests.support.styles import turn_of

TABLE = "| a | b |\n|---|---|\n| 1 | **2** |\n"


DRESSED = """# Title

**Bold** and *slanted*: see [here](https://x.example) and <https://y.example>. 👍

- one
  - two
    1. three

```python
# no heading, **no bold**, - no list
```

| a | b |
|---|---|
| 1 | 2 |
"""


def counts(text: str, parser: Any = count_commonmark) -> dict[str, int]:
    """The features that an answer has, without its length."""
    features = dict(zip(FEATURES, parser(text), strict=True))
    del features["chars"]
    return {name: count for name, count in features.items() if count}


def chars(text: str) -> int:
    return counted(text)[FEATURES.index("chars")]


def counted(text: str) -> tuple[int, ...]:
    """The features of an answer that can be parsed."""
    counts = count_commonmark(text)
    assert counts is not None
    return counts


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("plain", {"p": 1}),
        ("one\n\ntwo\nstill two", {"p": 2}),
        ("**a** __b__ ***c***", {"p": 1, "strong": 3, "em": 1}),
        ("*a* _b_ snake_case_name 2 * 3 * 4", {"p": 1, "em": 2}),
        ("**not closed", {"p": 1}),
        ("# a\n## b\n### c\n#### d\n##### e", {"h1": 1, "h2": 1, "h3": 1, "h4": 1}),
        ("#hashtag", {"p": 1}),
        ("A\n===\n\nB\n---", {"h1": 1, "h2": 1}),
        ("- a\n- b", {"ul": 1}),
        ("- a\n\n- b", {"ul": 1, "p": 2}),
        ("- a\n  - b\n    1. c\n       1. d", {"ul": 2, "ol": 2}),
        ("1. a\n2. b\n\ntext\n\n5. c", {"ol": 2, "p": 1}),
        ("- a\n* b", {"ul": 2}),
        ("```\n# a\n- **b**\n<h1>c</h1>\n```", {"code_blocks": 1}),
        ("```python\nopen", {"code_blocks": 1}),
        ("a\n\n    # indented", {"p": 1, "code_blocks": 1}),
        ("a `**b** <h1>` c", {"p": 1}),
        (TABLE, {"tables": 1, "strong": 1}),
        ("a | b\nno table", {"p": 1}),
        ("[a](https://x.example) [b] ![c](d.png)", {"p": 1, "links": 1}),
        ("[a]\n\n[a]: https://x.example", {"p": 1, "links": 1}),
        ("<https://x.example> https://bare.example", {"p": 1, "links": 1}),
        ('[a](/x "<h1> > \\" <em>")', {"p": 1, "links": 1}),
        ("> - a\n> # b", {"ul": 1, "h1": 1}),
        ("👍 ok", {"p": 1, "emoji": 1}),
        ("", {}),
        (DRESSED, dict.fromkeys("h1 strong em p ol code_blocks tables emoji".split(), 1) | {"ul": 2, "links": 2}),
    ],
)  # fmt: skip
def test_the_elements_of_an_answer_are_counted(text: str, elements: dict[str, int]) -> None:
    assert counts(text) == elements


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("<h1>a</h1>", {}),
        ("<div>\n\n# a\n\n</div>", {"h1": 1}),
        ("a <b>b</b> <strong>c</strong> <a href='x'>d</a>", {"p": 1}),
        ("<!-- <p> -->", {}),
        ("<pre>\n**a**\n</pre>", {}),
        ("&lt;h1&gt;a&lt;/h1&gt;", {"p": 1}),
    ],
)
def test_raw_html_makes_no_element(text: str, elements: dict[str, int]) -> None:
    assert counts(text) == elements


def test_raw_html_is_visible_text() -> None:
    assert chars("<h1>a</h1>") == len("<h1>a</h1>")
    assert chars("a <b>c</b>") == len("a <b>c</b>")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**a** *b*", "a b"),
        ("# a\n\n- b\n- c", "a b c"),
        ("[a](https://x.example) ![picture](d.png) c", "a c"),
        ("a   b\n\n\n\nc  ", "a b c"),
        ("a &amp; b &lt;c&gt; &copy;", "a & b <c> ©"),
        ("&amp;lt;", "&lt;"),
        ("```py\nif a:\n    b\n```", "if a: b"),
        (TABLE, "a b 1 2"),
        ("é 中 👍", "é 中 👍"),
        (" \n", ""),
    ],
)
def test_the_visible_length_is_that_of_the_text_without_markup(text: str, shown: str) -> None:
    assert chars(text) == len(shown)


def test_the_visible_length_equals_that_of_splitting_at_htmls_white_space() -> None:
    drawn = random.Random(1)
    for _ in range(2000):
        text = "".join(drawn.choice(" \t\n\f\rab\u00a0é👍") for _ in range(drawn.randrange(12)))
        parts = text.translate(dict.fromkeys(map(ord, "\t\n\f\r"), " ")).split(" ")
        assert visible_length(text) == len(" ".join(filter(None, parts)))


@pytest.mark.parametrize(
    ("text", "emoji"),
    [
        ("👍👍", 2),
        ("👨‍👩‍👧‍👦", 1),  # joined
        ("👋🏽 🏃🏽‍♀️", 2),  # skin tones
        ("🇩🇪🇫🇷", 2),  # flags
        ("🏴󠁧󠁢󠁥󠁮󠁧󠁿", 1),
        ("1️⃣ #️⃣ 12 #", 2),  # keycaps; digits are none
        ("❤️ ❤ ✔️ ✔ ☺️", 3),  # a sign of text unless U+FE0F follows
        ("⌚\ufe0e ⌚", 1),  # U+FE0E makes it text
        ("© ™ → • — é 中", 0),
        (":smile: :)", 0),
    ],
)
def test_emoji_are_characters_that_unicode_shows_as_pictures_and_a_sequence_is_one(text: str, emoji: int) -> None:
    assert count_emoji(text) == emoji


def test_counts_equal_those_of_the_tokens_of_another_parser() -> None:
    """markdown-it-py is other code in another language, without HTML in between."""
    markdown = MarkdownIt("commonmark").enable("table")
    for text in (DRESSED, DRESSED.replace("\n", "\n> "), DRESSED + "\n1) " + DRESSED.replace("\n", "\n   "), TABLE):
        tokens = [part for token in markdown.parse(text) for part in (token, *(token.children or []))]
        tags = [token.tag for token in tokens if token.nesting == 1 and not token.hidden]
        ours = counts(text)
        assert {tag: tags.count(tag) for tag in TAGS} == {tag: ours.get(tag, 0) for tag in TAGS}
        assert (tags.count("table"), tags.count("a")) == (ours["tables"], ours.get("links", 0))


def test_the_papers_parser_has_no_fences_and_no_tables_and_counts_raw_html() -> None:
    assert counts("```\n\n# a comment\n\n```", count_paper) == {"h1": 1, "p": 2}, "24 comments are Tab. 3's h1"
    assert counts(TABLE, count_paper) == {"p": 1, "strong": 1}
    assert counts("a <em>b</em>\n\n<h1>c</h1>", count_paper) == {"p": 1, "em": 1, "h1": 1}
    assert counts("# a\n\n**b** [c](d)\n\n- e\n", count_paper) == counts("# a\n\n**b** [c](d)\n\n- e\n")


def test_a_script_is_not_visible_text_for_the_papers_parser() -> None:
    features = count_paper("<script>var a</script>\n\nb")
    assert features and features[FEATURES.index("chars")] == 1


def test_an_answer_that_the_papers_parser_recurses_on_is_counted_as_unparsable() -> None:
    degenerate = "a" + "\t" * 5000 + "b"
    rows = [{"id": 1, "turns": [turn_of(degenerate), turn_of("**b**")]}]
    counted = count_answers(rows, "id", "paper")
    assert list(counted.answers) == [(1, 2)] and counted.left_out == {"unparsable": 1}
    assert len(count_answers(rows, "id", "commonmark").answers) == 2


@pytest.mark.parametrize("text", [">" * 30_000, "[" * 30_000, "*a " * 30_000, "- " * 10_000 + "a", "**a " * 10_000])
def test_degenerate_answers_are_counted_like_others(text: str) -> None:
    assert len(counted(text)) == len(FEATURES)


def test_a_table_of_60000_columns_is_left_out_at_once_and_one_of_200_is_counted() -> None:
    wide, most = (f"|{'a|' * number}\n|{'-|' * number}\n|{'b|' * number}\n" for number in (60_000, 200))
    start = time.perf_counter()
    turns = [turn_of(text) for text in (wide, f"> {wide}", most)]
    counted_of = count_answers([{"id": 1, "turns": turns}], "id", "commonmark")
    assert time.perf_counter() - start < 5
    assert counted_of.left_out == {"unparsable": 2} and list(counted_of.answers) == [(1, 3)]
    assert counts(most) == {"tables": 1}


def test_many_pipes_that_divide_no_table_are_text() -> None:
    assert counts("|" * 1000 + "x") == {"p": 1}
    assert counts("a | b" * 1000) == {"p": 1}


def test_turns_without_a_reply_are_left_out_and_counted_by_reason() -> None:
    turns = [turn_of("**a**"), turn_of(" \n"), turn_of("", "failed"), turn_of("", "context_overflow")]
    counted = count_answers([{"id": 7, "turns": turns}], "id", "commonmark")
    assert list(counted.answers) == [(7, 1)]
    assert counted.left_out == {"empty": 1, "unanswered": 2}
