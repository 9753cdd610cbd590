"""WordNet's synonyms, from the folders where nltk looks for data. `make wordnet` downloads it, nothing here does."""

import hashlib
from functools import cache, lru_cache
from io import StringIO
from typing import Any

from nltk.corpus.reader.wordnet import WordNetCorpusReader
from nltk.corpus.util import LazyCorpusLoader

from stages.lib.console.errors import MachineError
from stages.lib.console.shell import log_line
from stages.lib.settings.reading import run
from stages.lib.similarity.stems import CACHE_SIZE

PARTS = ("adj", "adv", "noun", "verb")
FILES = [*(f"{kind}.{part}" for kind in ("data", "index") for part in PARTS), *(f"{part}.exc" for part in PARTS)]
LEXICOGRAPHER_FILES = 45


class WordNet(WordNetCorpusReader):  # type: ignore[misc]
    """nltk's reader without the files that synonyms do not need: Debian's package lacks them, and they are slow."""

    def map_wn(self, version: str = "wordnet") -> None:
        """Skip the map between the versions of WordNet."""

    def open(self, file: str) -> Any:
        """Open one of FILES; the names of the lexicographers' files, which synonyms do not need, are made up."""
        if file == "lexnames":
            return StringIO("".join(f"{number} - 0\n" for number in range(LEXICOGRAPHER_FILES)))
        return super().open(file)


@cache
def open_wordnet() -> WordNet:
    """Open the dictionary; raise MachineError if there is none.

    Each process must open its own, since reading moves the position in the file.
    """
    # False: no other languages, and no warning about them.
    loader: WordNet = LazyCorpusLoader("wordnet", WordNet, False)
    try:
        loader.synsets("")
    except (LookupError, OSError):  # OSError: a file of it is missing
        raise MachineError(
            "similarity.synonyms: WordNet is not there, or not whole: run `make wordnet`, or set `synonyms: false`"
        ) from None
    return loader


@lru_cache(maxsize=CACHE_SIZE)
def synonyms(word: str) -> frozenset[str]:
    """Return the words of all senses of a word, without compounds."""
    names = (lemma.name() for sense in open_wordnet().synsets(word) for lemma in sense.lemmas())
    return frozenset(name for name in names if "_" not in name)


@cache
def wordnet_sha256() -> str:
    """Return the sha256 over FILES, in hex; raise MachineError if WordNet is not there."""
    total = hashlib.sha256()
    for name in FILES:
        with open_wordnet().open(name) as file:
            total.update(f"{name}\0{file.read()}\0".encode())
    return total.hexdigest()


def main() -> None:
    """Print which WordNet is there."""
    log_line(f"WordNet is there; sha256 {wordnet_sha256()}")


if __name__ == "__main__":
    run(main)
