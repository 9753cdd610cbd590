"""Numbers as the stages write them: rounded in every depth of JSON, with null for NaN and infinity; sums of counts."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import Any

DIGITS = 4


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
