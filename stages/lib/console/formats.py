"""Numbers, durations and tables as people read them on a screen."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

TIMES = ((86400.0, "days"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
COUNTS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
MANY = 10_000  # from which on a count is rounded


def scaled(value: float, units: Sequence[tuple[float, str]]) -> str:
    """A value in the largest unit that it reaches, else in the smallest."""
    unit, name = next((pair for pair in units if value >= pair[0]), units[-1])
    return f"{digits(value / unit)} {name}"


def digits(value: float) -> str:
    """Two digits after the point below 10, one below 100, else none."""
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def duration(seconds: float) -> str:
    """A length of time."""
    return scaled(seconds, TIMES)


def size(num_bytes: float) -> str:
    """Bytes, in units of 1000."""
    return scaled(num_bytes, SIZES)


def count(number: float) -> str:
    """How many."""
    return scaled(number, COUNTS) if number >= MANY else f"{number:.0f}"


def between(values: tuple[float, float] | None, say: Callable[[float], str]) -> str:
    """A range, or one value when both ends read the same; `-` when there is none."""
    if values is None:
        return "-"
    low, high = say(values[0]), say(values[1])
    return low if low == high else f"{low} to {high}"


def shares(counts: Counter[str], most: int = 4) -> str:
    """The most frequent of some names, each with its share."""
    named = [f"{name} {number / counts.total():.0%}" for name, number in counts.most_common(most)]
    return ", ".join(named + (["…"] if len(counts) > most else []))


def listed(counts: Mapping[str, int]) -> str:
    """Counts in their order, without those that are 0."""
    return ", ".join(f"{name} {number}" for name, number in counts.items() if number)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines: the first column to the left, the others to the right."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
