"""Text of models and programs, made safe and short enough to show."""

import re

import regex

FOLDERS = re.compile(r"(?<![\w:/.])/(?:[^\s/:'\"]+/)+")
# White space, separators, controls, formats, what Unicode lets a font ignore, and Braille's blank pattern show nothing.
VISIBLE = regex.compile(r"[^\s\p{Z}\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u2800]")


def escape_unprintable(text: str, length: int) -> str:
    """Return the first `length` characters of a text, with unprintable ones escaped."""
    shown = "".join(char if char.isprintable() or char == "\n" else escape(char) for char in text[:length])
    return shown + ("…" if len(text) > length else "")


def escape(char: str) -> str:
    """Return a character as Python writes it in a string literal."""
    return char.encode("unicode_escape").decode("ascii")


def strip_folders(text: str) -> str:
    """Remove the folders from absolute paths in a text, so that it is the same on every machine."""
    return FOLDERS.sub("", text)


def is_blank(text: str) -> bool:
    """Whether a text shows nothing: white space, zero-width and control characters, soft hyphens, blank letters."""
    return not VISIBLE.search(text)
