"""Porter's stems as nltk makes them, cached by word."""

from functools import lru_cache

from nltk.stem.porter import PorterStemmer

CACHE_SIZE = 1 << 18  # words, about 50 MB: the memory of a long run stays bounded
_PORTER = PorterStemmer()


@lru_cache(maxsize=CACHE_SIZE)
def stem(word: str) -> str:
    """Return the stem of a word in lower case, as nltk.stem.porter.PorterStemmer in its default mode does."""
    return str(_PORTER.stem(word))
