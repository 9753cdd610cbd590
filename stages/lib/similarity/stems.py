"""Porter's stems as nltk makes them, each word's once."""

from functools import lru_cache

from nltk.stem.porter import PorterStemmer

KEPT = 1 << 18  # words: some 50 MB; the memory of a long run stays bounded
_PORTER = PorterStemmer()


@lru_cache(maxsize=KEPT)
def stem(word: str) -> str:
    """The stem of a word in lower case, as nltk.stem.porter.PorterStemmer in its default mode gives it."""
    return str(_PORTER.stem(word))
