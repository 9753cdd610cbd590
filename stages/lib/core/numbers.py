"""Numbers as the stages write them: rounded in every depth of JSON, with null for NaN and infinity; sums of counts."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import floor, isfinite, log10
from typing import Any

DIGITS = 4
MOST_DECIMALS = 3  # on a page
COARSE = 3  # first digits below it are followed by a second one


def round_decimals(value: Any) -> Any:
    """Round every float in a JSON value to four decimals: for shares, and for scores of one scale."""
    return _each(value, lambda number: round(number, DIGITS))


def round_significant(value: Any) -> Any:
    """Round every float in a JSON value to four significant digits: for p values and ratios."""
    return _each(value, lambda number: float(f"{number:.{DIGITS}g}"))


def _each(value: Any, shorten: Callable[[float], float]) -> Any:
    if isinstance(value, Mapping):
        return {key: _each(item, shorten) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_each(item, shorten) for item in value]
    if isinstance(value, float):
        return shorten(value) if isfinite(value) else None
    return value


def sum_counts(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add counts up by name, the largest sum first, equal ones by name."""
    total = Counter[str]()
    for each in counts:
        total.update(each)
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def num_decimals(cells: Sequence[Mapping[str, Any]]) -> int:
    """Return how many decimals the narrowest interval of cells (value, ci95) supports; without intervals, two.

    The last decimal is the first digit of half the interval's width, or the second one after a 1 or 2, which alone
    would be coarse: 0.81 (0.76 to 0.85), 0.314 (0.302 to 0.326).
    """
    halves = [(cell["ci95"][1] - cell["ci95"][0]) / 2 for cell in cells if cell.get("ci95")]
    known = [half for half in halves if half > 0]
    if not known:
        return 2
    first = -floor(log10(min(known)))
    is_coarse = bool(min(known) * 10.0**first < COARSE)
    return min(max(first + is_coarse, 0), MOST_DECIMALS)
