"""A page from a template, in which text from models and users is only ever text."""

from pathlib import Path
from typing import Any

import nh3
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

TAGS = set("p br hr em strong code pre blockquote ol ul li h1 h2 h3 h4 h5 h6".split())  # no links, no images


def render_markdown(text: str) -> Markup:
    """Markdown as HTML that can neither run, link nor load anything."""
    html = MarkdownIt("commonmark", {"html": False}).disable("image").render(text)
    return Markup(nh3.clean(html, tags=TAGS, attributes={}))  # noqa: S704  (cleaned)


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
