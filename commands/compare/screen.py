"""A comparison on the screen: one table of at most 100 columns for each part, and the answers in words."""

from collections.abc import Callable, Iterator, Sequence

from commands.compare.comparison import Comparison
from commands.compare.lines import (
    Line,
    describe_better,
    describe_equal,
    format_interval,
    format_p,
    format_value,
    format_with_interval,
)
from stages.lib.console.formats import align_columns, cut_end, fold
from stages.lib.core.text import escape_unprintable

LINE_CHARS = 100
NAME_CHARS = 24
MANY = 4  # names of one margin, which are counted instead
HEAD = ("", "A", "B", "A - B [95 % interval]", "n", "q", "verdict", "needed")


def describe(comparison: Comparison) -> Iterator[str]:
    """Yield the lines of a comparison."""
    one, other = comparison.pair
    yield from fold(f"A: {one}, B: {other}", LINE_CHARS)
    if comparison.scores:
        yield ""
        yield from table(comparison.scores, lambda line: describe_better(line, ("A", "B")))
        yield ""
        yield from table(comparison.style, describe_equal)
    if comparison.costs:
        yield ""
        costs = [
            (cost["name"], *(format_with_interval(cost[side], "number") for side in ("one", "other")))
            for cost in comparison.costs
        ]
        yield from align_columns([("", "A", "B"), *costs])
    if comparison.mixing:
        yield ""
        yield f"Replies to the first {comparison.num_prompts} prompts that both answered:"
        yield from table(comparison.mixing, describe_equal)
        equal = format_value(comparison.likeness["equal"]["value"], "share")
        yield f"share of replies that are equal word for word: {equal}"
    yield ""
    for sentence in list_sentences(comparison):
        yield from fold(sentence, LINE_CHARS)


def list_sentences(comparison: Comparison) -> Iterator[str]:
    """Yield the answers, and what limits them."""
    one, other = comparison.pair
    if comparison.better:
        yield f"Is {one} better than {other}?"
    yield from (f"  {answer.by}: {answer.verdict}, {answer.numbers}" for answer in comparison.better)
    if comparison.mixable:
        yield f"May the rows of both be mixed? {comparison.mixable}"
    yield from comparison.notices


def table(lines: Sequence[Line], describe_verdict: Callable[[Line], str]) -> list[str]:
    """Return lines as a table; below it stand why a measure has no difference, and the margins."""
    compared = [line for line in lines if not line.reason]
    rows = [HEAD, *(cells(line, describe_verdict(line)) for line in compared)]
    missing = [text for line in lines if line.reason for text in fold(f"{line.name}: {line.reason}", LINE_CHARS)]
    return [*align_columns(rows), *missing, *(fold(describe_margins(compared), LINE_CHARS) if compared else [])]


def describe_margins(lines: Sequence[Line]) -> str:
    """Say within which margin each measure counts as equivalent; those with the same margin stand together."""
    names: dict[str, list[str]] = {}
    for line in lines:
        names.setdefault(format_value(line.margin, line.unit), []).append(line.name)
    parts = (
        f"±{margin} ({', '.join(each) if len(each) < MANY else f'{len(each)} measures'})"
        for margin, each in names.items()
    )
    return f"equivalent within {'; '.join(parts)}"


def cells(line: Line, verdict: str) -> tuple[str, ...]:
    """Return the cells of one row; `needed` is how many rows would decide."""
    difference, unit = line.difference, line.unit
    name = escape_unprintable(line.name, len(line.name))
    interval = format_interval(difference["ci95"], unit, signed=True)
    return (
        cut_end(name, NAME_CHARS),
        format_value(line.one["value"], unit),
        format_value(line.other["value"], unit),
        f"{format_value(difference['value'], unit, signed=True)} {interval}".strip(),
        f"{difference['n']:,}",
        format_p(difference["q"]),
        verdict,
        f"{line.needed:,}" if line.needed else "",
    )
