"""Texts of others, made safe to show."""

from stages.lib.core.text import escape_unprintable


def test_control_characters_are_escaped_and_long_texts_are_cut() -> None:
    assert escape_unprintable("a\x1b[1m\u202eb\nc", 99) == "a\\x1b[1m\\u202eb\nc"
    assert escape_unprintable("abc", 2) == "ab…"
