"""The page of a comparison; it works offline."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from commands.compare.chart import COLOURS, ONE, OTHER, plot_differences
from commands.compare.comparison import Comparison
from commands.compare.lines import (
    Line,
    Unit,
    describe_better,
    describe_equal,
    format_interval,
    format_p,
    format_value,
)
from stages.lib.core.types import Json, Row
from stages.lib.report.page import as_written, render, render_markdown
from stages.lib.report.section import Chart
from stages.lib.statistics.verdicts import Verdict

TESTS = {
    "mcnemar": "McNemar, exact",
    "permutation": "permutation",
    "independent": "independent",
    "seeds": "Student, over seeds",
}


def build_page(comparison: Comparison) -> str:
    """Return the page as HTML; texts of models and users are shown as text."""
    names = comparison.pair
    content = {
        "names": names,
        "colours": {"A": ONE, "B": OTHER},
        "better": comparison.better,
        "mixable": comparison.mixable,
        "notices": comparison.notices,
        "scores": [describe_line(line, describe_better(line, names)) for line in comparison.scores],
        "style": [describe_line(line, describe_equal(line)) for line in comparison.style],
        "mixing": [describe_line(line, describe_equal(line)) for line in comparison.mixing],
        "costs": [
            {"name": cost["name"], "values": [format_cell(cost[of], "number") for of in ("one", "other")]}
            for cost in comparison.costs
        ],
        "charts": {
            "scores": draw(comparison.scores, "Differences in scores"),
            "mixing": draw(comparison.mixing, "Differences between the replies"),
        },
        "likeness": describe_likeness(comparison.likeness),
        "num_prompts": comparison.num_prompts,
        "rows": [show_row(row) for row in comparison.rows],
    }
    return render(Path(__file__).with_suffix(".html"), content)


def draw(lines: Sequence[Line], title: str) -> Chart | None:
    """Draw the differences that there are; None without any."""
    known = [line for line in lines if not line.reason]
    if not known:
        return None
    note = "A minus B with its 95 % interval, in units of the margin; inside the green band means equivalent"
    return Chart(plot_differences(known, title), title=title, note=note)


def describe_line(line: Line, verdict: str) -> Json:
    """Format a line for a table of the page."""
    difference = line.difference
    return {
        "name": line.name,
        "values": [format_cell(cell, line.unit) for cell in (line.one, line.other)],
        "difference": format_value(difference["value"], line.unit, signed=True),
        "interval": format_interval(difference["ci95"], line.unit, signed=True),
        "margin": format_value(line.margin, line.unit),
        "p": format_p(difference.get("p")),
        "q": format_p(difference.get("q")),
        "test": TESTS.get(difference.get("test", ""), ""),
        "n": difference.get("n"),
        "counted": line.counted,
        "verdict": verdict,
        "colour": COLOURS[line.verdict],
        "is_decided": line.verdict != Verdict.NOT_DECIDED,
        "needed": line.needed,
        "reason": line.reason,
    }


def format_cell(cell: Mapping[str, Any], unit: Unit) -> tuple[str, str]:
    """Format a value and its interval."""
    return format_value(cell["value"], unit), format_interval(cell["ci95"], unit)


def describe_likeness(likeness: Json) -> Json:
    """Format what says how alike the replies are."""
    if not likeness:
        return {}
    return {
        "equal": format_cell(likeness["equal"], "share"),
        "rouge1": format_cell(likeness["rouge1"], "share"),
        "replies": likeness["replies"],
        "others": {
            name: (format_value(other["value"], "share"), other["dgms"])
            for name, other in (likeness["others"] or {}).items()
        },
    }


def show_row(row: Row) -> Json:
    """Return a row to read: the prompt as it was written, and both replies with their scores."""
    replies = zip(row["replies"], row["scores"], strict=True)
    return {
        **{name: row[name] for name in ("task", "part", "id", "turn", "prompt")},
        "replies": [{"html": show_reply(text), "score": f"{score:.4g}"} for text, score in replies],
    }


def show_reply(text: str) -> Markup:
    """Return a reply as HTML that can neither run, link nor load anything."""
    return render_markdown(text) if text.strip() else as_written("(no text)")
