"""Whether a reply ends in a loop: one piece again and again, or text that zlib compresses to almost nothing."""

import zlib
from collections.abc import Iterator

from stages.lib.validation.check_input import AnsweredTurn
from stages.lib.validation.endings import strip_truncation_mark

MAX_PERIOD = 1_000  # characters: a loop may repeat whole paragraphs
MAX_LOOP_CHARS = 10_000  # characters at the end of a text that are searched for a loop
MIN_REPEATS = 3  # a refrain may come twice
MIN_SHORT_LOOP_CHARS, MIN_SHORT_LOOP_REPEATS = 100, 5  # of a loop that is half of a short reply
MIN_COMPRESSED_BYTES = 200  # shorter texts are not compressed: of 80 bytes and their share nothing can be said
PIECE_BYTES = 80  # that zlib needs for the first piece of a loop, however long the loop is


def is_loop(turn: AnsweredTurn) -> bool:
    """Whether a reply ends in a loop longer than `max_loop_chars`, is mostly a shorter one, or compresses too well."""
    text, settings = turn.reply, turn.settings
    chars = count_loop_chars(text)
    if chars > settings.max_loop_chars or compresses_too_well(text, settings.min_compressed_share):
        return True
    is_most = MIN_SHORT_LOOP_CHARS <= chars >= len(text) / 2
    return is_most and count_loop_chars(text, MIN_SHORT_LOOP_REPEATS) >= MIN_SHORT_LOOP_CHARS


def count_loop_chars(text: str, min_repeats: int = MIN_REPEATS) -> int:
    """Count the characters at the end of a text that are one piece of at most MAX_PERIOD, `min_repeats` times or more.

    A mark of truncation behind the loop is ignored.
    """
    text = strip_truncation_mark(text)[-MAX_LOOP_CHARS:]
    lengths: dict[int, int] = {}
    for period in find_periods(text):
        if not any(period % shorter == 0 and length >= 2 * period for shorter, length in lengths.items()):
            lengths[period] = measure_loop(text, period)
    return max((length for period, length in lengths.items() if length >= min_repeats * period), default=0)


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


def compresses_too_well(text: str, min_share: float) -> bool:
    """Whether zlib leaves less of a text than PIECE_BYTES and a share of its bytes; false for a short one."""
    content = text.encode("utf-8", "surrogatepass")
    if len(content) < MIN_COMPRESSED_BYTES:
        return False
    return len(zlib.compress(content)) < PIECE_BYTES + min_share * len(content)
