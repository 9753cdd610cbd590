"""Exact conversions of single values: a value as the pipeline has it, None if it is unknown, or the reason why neither.

What pyarrow and JSON hand over: text, bool, int, float, Decimal, bytes, UUID. Times come as text.
"""

import math
import re
from decimal import Decimal
from uuid import UUID

from stages.lib.core.text import is_blank
from stages.lib.readers.reasons import Reason

MAX_EXACT_FLOAT = 2**53  # from which a float may stand for several whole numbers
MAX_DIGITS = 40  # of a number that is an id
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
BOOLEANS = {"true": True, "false": False, "yes": True, "no": False, "t": True, "f": False, "1": True, "0": False}
UNKNOWN = ("", "nan", "none", "null", "n/a", "na", "unknown")


def is_missing(value: object) -> bool:
    """Whether a value is none: null, or NaN, which pandas writes for it."""
    return value is None or (isinstance(value, float | Decimal) and math.isnan(value))


def to_id(value: object) -> str | Reason | None:
    """Return an id as text; None for a missing or blank one. Whole numbers of any type give the same text."""
    if is_missing(value):
        return None
    if isinstance(value, bytes):
        value = decode_id(value)
    if isinstance(value, str):
        return value if not is_blank(value) else None
    if isinstance(value, UUID):
        return str(value)
    number = to_whole_number(value)
    return Reason("inexact_id") if isinstance(number, Reason) else str(number)


def decode_id(value: bytes) -> str:
    """Return the text that bytes are; of bytes that are no printable text, their hex digits."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return value.hex()
    return text if text.isprintable() else value.hex()


def to_whole_number(value: object) -> int | Reason:
    """Return a whole number of any type of number, also without decimals; never of a truth value or a text."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < MAX_DIGITS * 3:
        return value
    is_exact = isinstance(value, float) and abs(value) < MAX_EXACT_FLOAT and value.is_integer()
    if is_exact or (isinstance(value, Decimal) and value.is_finite() and is_whole(value)):
        return int(value)  # type: ignore[call-overload, no-any-return]
    return Reason("not_a_whole_number")


def is_whole(value: Decimal) -> bool:
    """Whether a decimal is a whole number of no more than MAX_DIGITS digits."""
    return value.adjusted() < MAX_DIGITS and value == value.to_integral_value()


def to_label(value: object) -> str | Reason:
    """Return a short text such as a language, without white space around it; empty if it is missing."""
    label = to_id(value)
    return label if isinstance(label, Reason) else (label or "").strip()


def to_bool(value: object) -> bool | Reason | None:
    """Return a truth value as bool, 0 or 1, or a word for it; None if it is unknown."""
    if isinstance(value, bool):
        return value
    if is_missing(value):
        return None
    if isinstance(value, str):
        word = value.strip().lower()
        return None if word in UNKNOWN or is_blank(word) else BOOLEANS.get(word, Reason("not_a_boolean"))
    if isinstance(value, int | float | Decimal) and value in {0, 1}:
        return value == 1
    return Reason("not_a_boolean")


def to_number(value: object) -> float | Reason | None:
    """Return a number of any type, or a text that is one, as the nearest float; None if it is missing."""
    if is_missing(value) or (isinstance(value, str) and (value.strip().lower() in UNKNOWN or is_blank(value))):
        return None
    if isinstance(value, str) and not NUMBER.fullmatch(value.strip()):
        return Reason("not_a_number")
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return Reason("not_a_number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    return number if math.isfinite(number) else Reason("not_a_number")
