"""Texts of others, made safe to show."""

import pytest

from stages.lib.core.text import escape_unprintable, is_blank


def test_control_characters_are_escaped_and_long_texts_are_cut() -> None:
    assert escape_unprintable("a\x1b[1m\u202eb\nc", 99) == "a\\x1b[1m\\u202eb\nc"
    assert escape_unprintable("abc", 2) == "ab…"


BLANK = (
    *("", " \n\t\r\x0b\x0c", "\u200b", "\u200c\u200d\u2060", "\ufeff", "\xad", "\xa0\u3000\u2003", "\u2028\u2029"),
    *("\x00\x1b", "\u202a\u202c", "\u2800", "\u3164\u115f\uffa0", "\ufe0f", "\u034f", "\U000e0020", " \u200b \ufeff\n"),
)
VISIBLE = ("a", "\u200ba", ".", "0", "\u0301", "👍", "\u200b。", "ㅎ", "\ue000", "\ufffd", "\U0001fae9")


@pytest.mark.parametrize("text", BLANK)
def test_a_text_that_shows_nothing_is_blank(text: str) -> None:
    assert is_blank(text)


@pytest.mark.parametrize("text", VISIBLE)
def test_a_text_that_shows_a_sign_is_not_blank(text: str) -> None:
    assert not is_blank(text)
