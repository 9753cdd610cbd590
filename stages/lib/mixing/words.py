"""Normalize texts and split them into words, to compare them whatever their case, punctuation and layout.

A letter keeps its marks: vowel signs, tones, accents. Scripts without spaces are split into letters, as Unicode's
default word boundaries do (UAX #29), since to find their words takes a dictionary. Such a letter counts as a part of a
word: Chinese and Japanese as a half; Thai, Lao, Khmer, Burmese and their kin as a quarter. In 1,000 sentences that were
translated from one another (the PUD treebanks of Universal Dependencies), an English word stands beside 1.6 Chinese
characters and 4.0 Thai letters; their own words have 1.7 and 3.4.
"""

import re
from collections.abc import Sequence
from unicodedata import normalize

import numpy as np
import regex

from stages.lib.core.types import Ints

HALF_WORDS = r"\p{Han}\p{Hiragana}\p{Katakana}ー"
QUARTER_WORDS = r"\p{Line_Break=SA}"  # scripts in which it takes a dictionary to find where a line can break
LETTER = rf"[{HALF_WORDS}{QUARTER_WORDS}--\p{{M}}]\p{{M}}*"
SPACED_WORD = rf"[\w--\p{{M}}{HALF_WORDS}{QUARTER_WORDS}][\w--\p{{Me}}{HALF_WORDS}{QUARTER_WORDS}]*"
SIGN = r"[^\w\s]"
WORD = regex.compile(rf"{LETTER}|{SPACED_WORD}", regex.V1)
WORD_OR_SIGN = regex.compile(rf"{LETTER}|{SPACED_WORD}|{SIGN}", regex.V1)
# The same, many times as fast, for texts of Latin letters, punctuation and symbols, and again for ASCII.
BEYOND_LATIN = re.compile("[\u0300-\u1fff\u20d0-\u20ff\u2c00-\U0010ffff]")
LATIN_WORD = re.compile(r"\w+")
LATIN_WORD_OR_SIGN = re.compile(rf"\w+|{SIGN}")
ASCII_WORD = re.compile(r"\w+", re.ASCII)
INVISIBLE = re.compile(  # Unicode's Default_Ignorable_Code_Point: soft hyphens, joiners, marks of direction
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
QUARTERS = 4  # of a word: what `weigh_words` counts in
HASH_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd; the digits of the golden ratio, which have no pattern


def normalize_text(text: str) -> str:
    """Fold case, write each character in one way and remove invisible ones (Unicode's NFKC_Casefold)."""
    return text.casefold() if text.isascii() else INVISIBLE.sub("", normalize("NFKC", text).casefold())


def split_words(text: str) -> list[str]:
    """Split a text into words without case and punctuation; scripts without spaces into letters."""
    normal = normalize_text(text)
    if normal.isascii():
        return ASCII_WORD.findall(normal)
    return WORD.findall(normal) if BEYOND_LATIN.search(normal) else LATIN_WORD.findall(normal)


def split_words_and_signs(text: str) -> list[str]:
    """Split a text into words, as `split_words` does, and signs: 2 + 2 is not 2 - 2."""
    normal = normalize_text(text)
    return WORD_OR_SIGN.findall(normal) if BEYOND_LATIN.search(normal) else LATIN_WORD_OR_SIGN.findall(normal)


class LetterWeights(dict[str, int]):
    """The quarters of a word that a word counts, by its first letter."""

    _HALF, _QUARTER = regex.compile(f"[{HALF_WORDS}]"), regex.compile(f"[{QUARTER_WORDS}]")

    def __missing__(self, letter: str) -> int:
        self[letter] = 2 if self._HALF.match(letter) else 1 if self._QUARTER.match(letter) else QUARTERS
        return self[letter]


_WEIGHTS = LetterWeights()


def are_whole(words: Sequence[str]) -> bool:
    """Whether none of these words can be a letter that counts in part; quickly, for Latin texts."""
    joined = "".join(words)
    return joined.isascii() or not BEYOND_LATIN.search(joined)


def weigh_words(words: Sequence[str]) -> Ints:
    """Return how many QUARTERS of a word each of `split_words` counts."""
    return np.fromiter((_WEIGHTS[word[0]] for word in words), dtype=np.int64, count=len(words))
