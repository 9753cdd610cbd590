"""Text of models and programs, made safe and short enough to show."""

import re

FOLDERS = re.compile(r"(?<![\w:/.])/(?:[^\s/:'\"]+/)+")


def visible(text: str, length: int) -> str:
    """The beginning of a text, with every character that does not print as its escape."""
    shown = "".join(char if char.isprintable() or char == "\n" else escape(char) for char in text[:length])
    return shown + ("…" if len(text) > length else "")


def escape(char: str) -> str:
    """A character as Python writes it in a string."""
    return char.encode("unicode_escape").decode("ascii")


def without_folders(text: str) -> str:
    """A text in which the files of this machine are named without the folders that they lie in."""
    return FOLDERS.sub("", text)
