"""Whether a reply ends in a loop: one piece again and again, or text that zlib compresses to almost nothing."""

import zlib
from collections.abc import Iterator

from stages.lib.validation.check_input import AnsweredTurn
from stages.lib.validation.endings import strip_truncation_mark

MAX_PERIOD = 1_000  # characters: a loop may repeat whole paragraphs
MAX_LOOP_CHARS = 10_000  # characters at the end of a text that are searched for a loop
MIN_REPEATS = 3  # a refrain may come twice
MIN_COMPRESSED_BYTES = 500  # shorter texts are not compressed


def is_loop(turn: AnsweredTurn) -> bool:
    """Whether a reply ends in a loop longer than `max_loop_chars`, or zlib leaves less than `min_compression` of it."""
    settings = turn.settings
    return (
        count_loop_chars(turn.reply) > settings.max_loop_chars
        or compression_ratio(turn.reply) < settings.min_compression
    )


def count_loop_chars(text: str) -> int:
    """Count the characters at the end of a text that are one piece of at most MAX_PERIOD, MIN_REPEATS times or more.

    A mark of truncation behind the loop is ignored.
    """
    text = strip_truncation_mark(text)[-MAX_LOOP_CHARS:]
    lengths: dict[int, int] = {}
    for period in find_periods(text):
        if not any(period % shorter == 0 and length >= 2 * period for shorter, length in lengths.items()):
            lengths[period] = measure_loop(text, period)
    return max((length for period, length in lengths.items() if length >= MIN_REPEATS * period), default=0)


def find_periods(text: str) -> Iterator[int]:
    """Yield the lengths of the pieces that stand twice in a row at the end of a text, the shortest first."""
    start = last = len(text) - 1
    while text and (start := text.rfind(text[last], 0, start)) >= max(0, last - MAX_PERIOD):
        if text.endswith(text[start + 1 :], 0, start + 1):
            yield last - start


def measure_loop(text: str, period: int) -> int:
    """Count the characters at the end of a text that equal those one period before them, and the first period."""
    length = period
    while length < len(text) and text[-length - 1] == text[-length - 1 + period]:
        length += 1
    return length


def compression_ratio(text: str) -> float:
    """Return compressed bytes over bytes of a text under zlib; 1 for a text of at most MIN_COMPRESSED_BYTES."""
    content = text.encode("utf-8", "surrogatepass")
    return len(zlib.compress(content)) / len(content) if len(content) > MIN_COMPRESSED_BYTES else 1.0
