"""Numbers, durations and tables as people read them on a screen."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from textwrap import wrap

TIMES = ((86400.0, "days"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
COUNTS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
ROUNDED_FROM = 10_000  # a smaller count is shown exactly


def format_scaled(value: float, units: Sequence[tuple[float, str]]) -> str:
    """Format a value in the largest unit that it reaches, else in the smallest: `1.50 kB`."""
    unit, name = next((pair for pair in units if value >= pair[0]), units[-1])
    return f"{format_digits(value / unit)} {name}"


def format_digits(value: float) -> str:
    """Format a number with two decimals below 10, one below 100, else none."""
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def format_duration(seconds: float) -> str:
    """Format a duration given in seconds: `1.50 min`."""
    return format_scaled(seconds, TIMES)


def format_bytes(num_bytes: float) -> str:
    """Format a number of bytes in units of 1000: `1.50 GB`."""
    return format_scaled(num_bytes, SIZES)


def format_count(number: float) -> str:
    """Format a count: exact below 10,000, else rounded: `12.0 k`."""
    return format_scaled(number, COUNTS) if number >= ROUNDED_FROM else f"{number:.0f}"


def format_range(values: tuple[float, float] | None, format_value: Callable[[float], str]) -> str:
    """Format a range as `low to high`, as one value when both read the same, as `-` when there is none."""
    if values is None:
        return "-"
    low, high = format_value(values[0]), format_value(values[1])
    return low if low == high else f"{low} to {high}"


def format_shares(counts: Counter[str], most: int = 4) -> str:
    """Format the most frequent names, each with its share: `stop 95%, length 5%`."""
    named = [f"{name} {number / counts.total():.0%}" for name, number in counts.most_common(most)]
    return ", ".join(named + (["…"] if len(counts) > most else []))


def format_counts(counts: Mapping[str, int]) -> str:
    """Format counts in their order, without zeros: `loop 3, empty 1`."""
    return ", ".join(f"{name} {number}" for name, number in counts.items() if number)


def cut_end(text: str, most: int) -> str:
    """Cut the end of a text that has more than so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def fold(text: str, width: int) -> list[str]:
    """Break a text into lines; all but the first are indented."""
    return wrap(text, width, subsequent_indent="  ", break_on_hyphens=False)


def align_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align rows of cells as lines: the first column to the left, the others to the right."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
