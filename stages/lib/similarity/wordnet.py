"""WordNet's synonyms, from where nltk keeps its data. Nothing is downloaded here: `make wordnet` puts it there."""

import hashlib
from functools import cache, lru_cache
from io import StringIO
from typing import Any

from nltk.corpus.reader.wordnet import WordNetCorpusReader
from nltk.corpus.util import LazyCorpusLoader

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.settings.reading import run
from stages.lib.similarity.stems import KEPT

PARTS = ("adj", "adv", "noun", "verb")
FILES = [*(f"{kind}.{part}" for kind in ("data", "index") for part in PARTS), *(f"{part}.exc" for part in PARTS)]
LEXICOGRAPHER_FILES = 45


class WordNet(WordNetCorpusReader):  # type: ignore[misc]
    """nltk's reader without what synonyms do not need: Debian's package lacks it, and it takes seconds to read."""

    def map_wn(self, version: str = "wordnet") -> None:
        """No map between the versions of WordNet."""

    def open(self, file: str) -> Any:  # noqa: ANN401  (nltk's streams)
        """One of FILES; the names of the lexicographers' files are made up."""
        if file == "lexnames":
            return StringIO("".join(f"{number} - 0\n" for number in range(LEXICOGRAPHER_FILES)))
        return super().open(file)


@cache
def open_wordnet() -> WordNet:
    """The dictionary; raises UserError where there is none. Each process opens its own: to read moves the place."""
    loader: WordNet = LazyCorpusLoader("wordnet", WordNet, False)  # False: no other languages, and no warning of it
    try:
        loader.synsets("")
    except LookupError:
        raise UserError(
            "similarity.synonyms: WordNet is not there: run `make wordnet`, or put `synonyms: false`"
        ) from None
    return loader


@lru_cache(maxsize=KEPT)
def synonyms(word: str) -> frozenset[str]:
    """The single words of all senses of a word."""
    names = (lemma.name() for sense in open_wordnet().synsets(word) for lemma in sense.lemmas())
    return frozenset(name for name in names if "_" not in name)


@cache
def wordnet_sha256() -> str:
    """The sha256 over FILES, in hex: which WordNet it is, wherever it came from."""
    total = hashlib.sha256()
    for name in FILES:
        with open_wordnet().open(name) as file:
            total.update(f"{name}\0{file.read()}\0".encode())
    return total.hexdigest()


def main() -> None:
    """Say which WordNet is there."""
    log_line(f"WordNet is there; sha256 {wordnet_sha256()}")


if __name__ == "__main__":
    run(main)
