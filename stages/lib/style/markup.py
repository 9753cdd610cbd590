"""What Markdown makes of an answer, counted: the features of style (paper, sec. 3.2, Tab. 3)."""

import re
from collections.abc import Callable
from html.parser import HTMLParser

import regex
from comrak import ExtensionOptions, RenderOptions, render_markdown

from stages.lib.settings.sections import Parser

TAGS = ("strong", "em", "ol", "ul", "h1", "h2", "h3", "h4", "p")
TABLE_3 = (*TAGS, "chars")  # its columns, in its order
EXTRA_TAGS = {"code_blocks": "pre", "tables": "table", "links": "a"}  # features that Tab. 3 has not, and their tags
FEATURES = (*TABLE_3, *EXTRA_TAGS, "emoji")
MARKUP = ("strong", "em", "ol", "ul", "h1", "h2", "h3", "h4")  # what plain prose has none of
Counts = tuple[int, ...]  # of one answer, in the order of FEATURES

_NAMES = (*TAGS, *EXTRA_TAGS.values())
_COUNTED = re.compile(rf"<({'|'.join(_NAMES)})[ >]")
_TAG = re.compile(r"<[^>]*>")
_MARKS = bytes(ord(" ") if byte in b" \t\n\f\r" else ord("x") for byte in range(256))
_ESCAPED = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&"))  # all that the renderer escapes
# An emoji by UTS #51: what Unicode shows as a picture, or is told to by U+FE0F; joined ones, flags and keycaps are one.
_TAIL = r"(?:\p{EMod}|\uFE0F|[\U000E0020-\U000E007E]+\U000E007F)?"
_START = r"(?:\p{Emoji_Presentation}(?!\uFE0E)|(?![0-9#*])\p{Emoji}(?=\uFE0F|\p{EMod}))"
_EMOJI = regex.compile(rf"\p{{RI}}\p{{RI}}|[0-9#*]\uFE0F?\u20E3|{_START}{_TAIL}(?:\u200D\p{{Emoji}}{_TAIL})*")


def _with_tables() -> ExtensionOptions:
    options = ExtensionOptions()
    options.table = True
    return options


def _escaping() -> RenderOptions:
    options = RenderOptions()
    options.escape = True
    return options


EXTENSIONS, ESCAPE_HTML = _with_tables(), _escaping()


def count_commonmark(text: str) -> Counts:
    """The features of one answer as CommonMark 0.31 with GitHub's tables.

    Raw HTML is text, as chat programs show it: it makes no element. The renderer escapes every `<`, `>` and `"` that is
    not its own, so that its tags can be found by one expression.
    """
    html = render_markdown(text, extension_options=EXTENSIONS, render_options=ESCAPE_HTML)
    shown = _TAG.sub("", html)
    if "&" in shown:
        for name, character in _ESCAPED:
            shown = shown.replace(name, character)
    return _counts(_COUNTED.findall(html), shown)


def count_paper(text: str) -> Counts | None:
    """The features of one answer as the paper's code parsed it: markdown2 without extras, raw HTML counted too.

    None for what it cannot parse: markdown2 recurses without end on some degenerate texts, and the HTML parser, of the
    standard library as the paper's was, refuses some raw HTML.
    """
    from markdown2 import markdown  # only where it is asked for

    page = _Page()
    try:
        page.feed(markdown(text.strip()))
        page.close()
    except (RecursionError, AssertionError):
        return None
    return _counts(page.tags, "".join(page.shown))


PARSERS: dict[Parser, Callable[[str], Counts | None]] = {"commonmark": count_commonmark, "paper": count_paper}


def count_emoji(text: str) -> int:
    """The emoji of a text, each sequence (family, flag, skin tone, keycap) as one."""
    return 0 if text.isascii() else len(_EMOJI.findall(text))


def visible_length(shown: str) -> int:
    """Code points of a text, HTML's white space at its ends left out and in a row as one, as a browser shows it.

    Bytes are marked as white space or not, which takes a third of the time of splitting the text.
    """
    marks = shown.encode().translate(_MARKS)
    return len(shown) - marks.count(b" ") + marks.strip().count(b" x")


def _counts(tags: list[str], shown: str) -> Counts:
    """The features by the names of the opening tags and the text between the tags."""
    counts = [tags.count(name) for name in _NAMES]
    return (*counts[: len(TAGS)], visible_length(shown), *counts[len(TAGS) :], count_emoji(shown))


class _Page(HTMLParser):
    """The opening tags and the text of a page; scripts and style sheets are no text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.shown: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:
            self.shown.append(data)
