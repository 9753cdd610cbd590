"""The features of style: counts of the elements of an answer's Markdown (paper, sec. 3.2, Tab. 3)."""

import re
from collections.abc import Callable
from html.parser import HTMLParser

import regex
from comrak import ExtensionOptions, RenderOptions, render_markdown

from stages.lib.settings.sections import Parser

TAGS = ("strong", "em", "ol", "ul", "h1", "h2", "h3", "h4", "p")
TABLE_3 = (*TAGS, "chars")  # its columns, in its order
EXTRA_TAGS = {"code_blocks": "pre", "tables": "table", "links": "a"}  # features that are not in Tab. 3, and their tags
FEATURES = (*TABLE_3, *EXTRA_TAGS, "emoji")
MARKUP = ("strong", "em", "ol", "ul", "h1", "h2", "h3", "h4")  # absent from plain prose
Counts = tuple[int, ...]  # of one answer, in the order of FEATURES

MAX_PIPES = 201  # of the line below the head of a table: 200 columns
_NOT_A_DIVIDER = re.compile(r"[^|:>\s-]")
COUNTED_TAGS = (*TAGS, *EXTRA_TAGS.values())
OPENING_TAG = re.compile(rf"<({'|'.join(COUNTED_TAGS)})[ >]")
_TAG = re.compile(r"<[^>]*>")
_SPACE_OR_X = bytes(ord(" ") if byte in b" \t\n\f\r" else ord("x") for byte in range(256))
_ESCAPES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&"))  # all that the renderer writes
# An emoji by UTS #51: a character that Unicode shows as a picture, or that U+FE0F makes one. A joined sequence, a flag
# and a keycap are one each.
_TAIL = r"(?:\p{EMod}|\uFE0F|[\U000E0020-\U000E007E]+\U000E007F)?"
_START = r"(?:\p{Emoji_Presentation}(?!\uFE0E)|(?![0-9#*])\p{Emoji}(?=\uFE0F|\p{EMod}))"
_EMOJI = regex.compile(rf"\p{{RI}}\p{{RI}}|[0-9#*]\uFE0F?\u20E3|{_START}{_TAIL}(?:\u200D\p{{Emoji}}{_TAIL})*")


def _allow_tables() -> ExtensionOptions:
    options = ExtensionOptions()
    options.table = True
    return options


def _escape_html() -> RenderOptions:
    options = RenderOptions()
    options.escape = True
    return options


EXTENSIONS = _allow_tables()
ESCAPE_HTML = _escape_html()


def has_wide_table(text: str) -> bool:
    """Whether a line that can divide the head of a table from its body has more than MAX_PIPES pipes.

    The time of the parser grows with the square of the columns.
    """
    return text.count("|") > MAX_PIPES and any(
        line.count("|") > MAX_PIPES and not _NOT_A_DIVIDER.search(line) for line in text.splitlines()
    )


def count_commonmark(text: str) -> Counts | None:
    """Count the features of one answer as CommonMark 0.31 with GitHub's tables; None for a table that is too wide.

    Raw HTML is text, as chat programs show it, and makes no element. The renderer escapes every `<`, `>` and `"` of
    the text, so that one expression finds its own tags.
    """
    if has_wide_table(text):
        return None
    html = render_markdown(text, extension_options=EXTENSIONS, render_options=ESCAPE_HTML)
    visible = _TAG.sub("", html)
    if "&" in visible:
        for escape, character in _ESCAPES:
            visible = visible.replace(escape, character)
    return _to_counts(OPENING_TAG.findall(html), visible)


def count_paper(text: str) -> Counts | None:
    """Count the features of one answer as the paper's code parsed it: markdown2 without extras, raw HTML counted too.

    None for a text that it cannot parse: markdown2 recurses without end on some degenerate texts, and the HTML parser,
    the standard library's as the paper's was, refuses some raw HTML.
    """
    from markdown2 import markdown  # imported only for this parser

    page = _PageParser()
    try:
        page.feed(markdown(text.strip()))
        page.close()
    except (RecursionError, AssertionError):
        return None
    return _to_counts(page.tags, "".join(page.texts))


PARSERS: dict[Parser, Callable[[str], Counts | None]] = {"commonmark": count_commonmark, "paper": count_paper}


def count_emoji(text: str) -> int:
    """Count the emoji of a text, each sequence (family, flag, skin tone, keycap) as one."""
    return 0 if text.isascii() else len(_EMOJI.findall(text))


def visible_length(text: str) -> int:
    """Count the code points of a text as a browser shows it: white space is trimmed, and a run of it is one.

    Translating the bytes to white space or `x` takes a third of the time of splitting the text.
    """
    marks = text.encode().translate(_SPACE_OR_X)
    return len(text) - marks.count(b" ") + marks.strip().count(b" x")


def _to_counts(tags: list[str], visible: str) -> Counts:
    """Count the features by the names of the opening tags and by the text between the tags."""
    counts = [tags.count(name) for name in COUNTED_TAGS]
    return (*counts[: len(TAGS)], visible_length(visible), *counts[len(TAGS) :], count_emoji(visible))


class _PageParser(HTMLParser):
    """Collects the opening tags and the text of a page, without scripts and style sheets."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:
            self.texts.append(data)
