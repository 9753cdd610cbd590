"""The parts of a section of the page. A module of `sections/` builds them, the template of the same stem shows them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stages.lib.core.types import Json
from stages.lib.report.inputs import Inputs


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with its caption."""

    svg: str
    title: str  # what it shows, or better the finding, as a sentence
    note: str = ""  # what is drawn, in which unit
    is_wide: bool = False  # as wide as the page, in place of a column


@dataclass(frozen=True, slots=True)
class Content:
    """What a section shows of one report."""

    values: Json = field(default_factory=dict)  # `data` in its template
    charts: dict[str, Chart] = field(default_factory=dict)  # by the name of their file in charts/, in the page's order
    gaps: list[str] = field(default_factory=list)  # numbers that are missing, and why: listed at the end of the page
    numbers: dict[str, Any] = field(default_factory=dict)  # for summary.json
    skipped: str = ""  # why there is nothing to show; the section then consists of this sentence
    question: str = ""  # the heading, where it is not the section's own


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page."""

    name: str  # its anchor; with `_` for `-` the stem of its module and template
    title: str  # in the navigation
    question: str  # its heading
    sources: Mapping[str, str]  # what it takes from which folder (or file) of data/, metrics/ or models/
    build: Callable[[Inputs], Content | None]  # None: the page has no such section

    @property
    def template(self) -> str:
        """The template, relative to that of the page."""
        return f"sections/{self.name.replace('-', '_')}.html"


def name_extremes(values: Mapping[str, float | None], sentence: str, otherwise: str) -> str:
    """Name the largest and the smallest value in a sentence, whose four places are name, value, name, value.

    Where fewer than two values are known, return `otherwise`.
    """
    known = sorted((value, name) for name, value in values.items() if value is not None)
    if len(known) < 2:
        return otherwise
    (smallest, last), (largest, first) = known[0], known[-1]
    return sentence.format(first, largest, last, smallest)
