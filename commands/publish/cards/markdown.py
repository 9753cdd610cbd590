"""Cards and LICENSE.md from templates. Texts of data and models stay text: they add no markup and no line."""

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stages.lib.console.formats import format_bytes

MARKUP = re.compile(r"([\\`*_\[\]<>|#$~])")
LONGEST = 200  # characters of a text in a table


def escape(value: object) -> str:
    """Return a value as text of one line that Markdown shows as it is."""
    text = " ".join(str(value).split())
    shown = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return MARKUP.sub(r"\\\1", shown)


def code(value: object) -> str:
    """Return a value as code within a line."""
    return f"`{' '.join(str(value).split()).replace('`', chr(39)).replace('|', '/')}`"


def number(value: float | None) -> str:
    """Format a count with separated thousands; a dash for none."""
    return "–" if value is None else f"{value:,}"  # noqa: RUF001  (a dash)


def share(part: float, whole: float) -> str:
    """Format a share in percent; a dash of nothing."""
    return f"{100 * part / whole:.1f} %" if whole else "–"  # noqa: RUF001  (a dash)


def plural(count: int, noun: str, many: str = "") -> str:
    """Format a count with its noun."""
    return f"{number(count)} {noun if count == 1 else many or noun + 's'}"


def render(template: str, content: dict[str, Any]) -> str:
    """Render a template of this folder, without runs of empty lines."""
    environment = Environment(  # noqa: S701  (Markdown: `escape` is applied where a text is from outside)
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"text": escape, "code": code, "number": number, "bytes": format_bytes}
    environment.globals |= {"share": share, "plural": plural}
    text = environment.get_template(template).render(content)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def with_metadata(metadata: str, body: str) -> str:
    """Return a card: YAML between dashes, then Markdown."""
    return f"---\n{metadata}\n---\n\n{body}"
