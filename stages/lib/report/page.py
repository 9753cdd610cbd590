"""A page from a template, in which text from models and users is only ever text."""

import re
from pathlib import Path
from typing import Any

import nh3
from comrak import render_markdown as to_html
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stages.lib.style.markup import ESCAPE_HTML, EXTENSIONS

TAGS = set("p br hr em strong code pre blockquote ol ul li h1 h2 h3 h4 h5 h6 table thead tbody tr th td".split())
ATTRIBUTES = {"ol": {"start"}}  # or a list that code interrupts would count from 1 again
MOST_QUOTES = 500  # in one another nh3 takes time that grows with the square of them; the parser ends other nesting
NOTES = {"stop": "", "length": "cut at the token limit", "context_overflow": "did not fit the context window"}
_IMAGE = re.compile(r'<img src="[^"]*" alt="([^"]*)"[^>]*>')


def render_markdown(text: str) -> Markup:
    """Markdown (CommonMark with GitHub's tables) as HTML that can neither run, link nor load anything.

    Raw HTML is seen as text, of a link its text and of an image its description. Text that blows up as HTML (quotes in
    one another by the hundred, a table of empty cells) is shown as it was written.
    """
    html = to_html(text, extension_options=EXTENSIONS, render_options=ESCAPE_HTML)
    if len(html) > 8 * len(text) + 10_000 or html.count("<blockquote>") > MOST_QUOTES:
        return Markup("<pre>{}</pre>").format(text)
    html = _IMAGE.sub(r"\1", html)  # a description is escaped, so that it ends at the first quote
    return Markup(nh3.clean(html, tags=TAGS, attributes=ATTRIBUTES))  # noqa: S704  (cleaned)


def number(value: object) -> str:
    """A number for people: thousands separated, four digits of a fraction, a dash where there is none."""
    if value is None:
        return "–"  # noqa: RUF001  (a dash for people)
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def duration(seconds: float) -> str:
    """Seconds for people."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{seconds:.1f} s"


def render(template: Path, content: dict[str, Any]) -> str:
    """Fill a template; whatever is not Markup is escaped."""
    loader = FileSystemLoader([template.parent, Path(__file__).parent])  # page.css is beside this file
    jinja = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    jinja.filters |= {"number": number, "duration": duration, "svg": Markup}
    return jinja.get_template(template.name).render(content) + "\n"
