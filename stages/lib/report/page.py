"""Renders a page from a template. Text from models and users stays text: it can add no markup."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import nh3
from comrak import render_markdown as to_html
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stages.lib.core.numbers import num_decimals
from stages.lib.style.markup import ESCAPE_HTML, EXTENSIONS, has_wide_table

TAGS = set("p br hr em strong code pre blockquote ol ul li h1 h2 h3 h4 h5 h6 table thead tbody tr th td".split())
ATTRIBUTES = {"ol": {"start"}}  # else a list that code interrupts would start at 1 again
MOST_QUOTES = 500  # nested: the time of nh3 grows with their square; the parser limits other nesting
NOTES = {  # on replies, by finish reason
    "stop": "",
    "length": "cut at the token limit",
    "context_overflow": "did not fit the context window",
    "no_system_role": "not asked: the model takes no system message",
}
TABLES_SCRIPT = Path(__file__).with_suffix(".tables.js")  # what tables do in a browser
_IMAGE = re.compile(r'<img src="[^"]*" alt="([^"]*)"[^>]*>')


def render_markdown(text: str) -> Markup:
    """Convert Markdown (CommonMark with GitHub's tables) to HTML that can neither run, link nor load anything.

    Raw HTML is shown as text, a link as its text, an image as its description. Text whose HTML would be huge (hundreds
    of nested quotes, a table of empty cells) or take long (a table of many columns) is shown as it was written.
    """
    if has_wide_table(text):
        return as_written(text)
    html = to_html(text, extension_options=EXTENSIONS, render_options=ESCAPE_HTML)
    if len(html) > 8 * len(text) + 10_000 or html.count("<blockquote>") > MOST_QUOTES:
        return as_written(text)
    html = _IMAGE.sub(r"\1", html)  # a description is escaped, so it ends at the first quote
    return Markup(nh3.clean(html, tags=TAGS, attributes=ATTRIBUTES))  # noqa: S704  (cleaned)


def as_written(text: str) -> Markup:
    """Return a text as HTML that shows it as it was written."""
    return Markup("<pre>{}</pre>").format(text)


def format_number(value: object) -> str:
    """Format a number: thousands separated, four significant digits of a fraction, a dash for None."""
    if value is None:
        return "–"  # noqa: RUF001  (a dash)
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def format_fixed(value: float | None, decimals: int, sign: str = "") -> str:
    """Format a number with so many decimals, and with `+` for `sign` any but zero with its sign; a dash for None."""
    if value is None:
        return "–"  # noqa: RUF001  (a dash)
    rounded = round(value, decimals) + 0.0  # never -0.0
    return f"{rounded:{sign if rounded else ''},.{decimals}f}"


def format_duration(seconds: float) -> str:
    """Format seconds as hours and minutes, minutes and seconds, or seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{seconds:.1f} s"


def keep_names(text: str) -> Markup:
    """Return a sentence as HTML in which a line ends inside a hyphenated name only where the name fills the line."""
    words = (
        Markup('<bdi class="whole">{}</bdi>').format(word) if "-" in word[1:-1] else word for word in text.split(" ")
    )
    return Markup(" ").join(words)


def hash_script(script: str) -> str:
    """Return the hash by which the policy of a page names a script that may run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def render(template: Path, content: dict[str, Any]) -> str:
    """Fill a template; everything but Markup is escaped."""
    loader = FileSystemLoader([template.parent, Path(__file__).parent])  # page.css is beside this file
    jinja = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    jinja.filters |= {"number": format_number, "duration": format_duration, "svg": Markup}
    jinja.filters |= {"fixed": format_fixed, "decimals": num_decimals}
    script = TABLES_SCRIPT.read_text(encoding="utf-8")
    jinja.globals |= {"tables_script": Markup(script), "tables_script_hash": hash_script(script)}  # noqa: S704  (our own)
    jinja.filters["names"] = keep_names
    return jinja.get_template(template.name).render(content) + "\n"
