"""Porter's stems as nltk makes them, cached by word."""

from functools import cache, lru_cache
from typing import Any

CACHE_SIZE = 1 << 18  # words, about 50 MB: the memory of a long run stays bounded


@cache
def porter() -> Any:
    """Return nltk's stemmer."""
    from nltk.stem.porter import PorterStemmer  # two seconds, which what only names the measures need not wait

    return PorterStemmer()


@lru_cache(maxsize=CACHE_SIZE)
def stem(word: str) -> str:
    """Return the stem of a word in lower case, as nltk.stem.porter.PorterStemmer in its default mode does."""
    return str(porter().stem(word))
