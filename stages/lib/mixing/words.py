"""Normalize texts and split them into words, to compare them whatever their case, punctuation and layout."""

import re
from unicodedata import normalize

import numpy as np

# Scripts without spaces between words (Thai, Lao, Burmese, Khmer, kana, Chinese characters): each character counts as
# a word. Korean has spaces.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")
ASCII_WORD = re.compile(r"\w+", re.ASCII)  # the same for ASCII, twice as fast
HASH_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd; the digits of the golden ratio, which have no pattern


def normalize_text(text: str) -> str:
    """Fold case and write each character in one way (Unicode's NFKC)."""
    return text.casefold() if text.isascii() else normalize("NFKC", text).casefold()


def split_words(text: str) -> list[str]:
    """Split a text into words without case and punctuation; see UNSPACED for scripts without spaces."""
    return (ASCII_WORD if text.isascii() else WORD).findall(normalize_text(text))
