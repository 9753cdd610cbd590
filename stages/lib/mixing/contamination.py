"""Whether a text has words in common with a benchmark, n in a row.

Words are compared without case and punctuation, as GPT-3's authors did (arXiv:2005.14165, app. C). They took an n of 8
to 13, by the benchmark; lm-eval takes 13 everywhere. Tülu 3 (arXiv:2411.15124, sec. 3.2) takes 8, but counts a text
only when such pieces cover half of the question. Here one piece is enough, so it must be long to mean something.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import repeat
from unicodedata import normalize

import numpy as np
import xxhash
from numpy.typing import NDArray

N = 13  # words
SHORTEST = 8  # words, GPT-3's smallest n: a text of as many, but fewer than n, is looked for as a whole
COMMON = 10  # documents: words that stand in more of them are the form in which a benchmark asks, not what it asks
SLOTS_PER_NGRAM = 8  # of the first filter, which one look-up in eight or fewer passes by chance
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd; the golden ratio's digits, which have no pattern
# Scripts without spaces between words (Thai, Lao, Burmese, Khmer, kana, Chinese characters): each character counts as
# a word. Korean has spaces.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")
ASCII_WORD = re.compile(r"\w+", re.ASCII)  # the same for ASCII, twice as fast

Hashes = NDArray[np.uint64]
Document = tuple[str, str]  # the benchmark, and the document's name in it


def normal(text: str) -> str:
    """A text without differences of case, and with one way to write each character (Unicode's NFKC)."""
    return text.casefold() if text.isascii() else normalize("NFKC", text).casefold()


def words(text: str) -> list[str]:
    """The words of a text without case and punctuation; see UNSPACED for scripts without spaces."""
    return (ASCII_WORD if text.isascii() else WORD).findall(normal(text))


class Overlap:
    """The n-grams of benchmarks, by hash.

    Hashes have 64 bits: when 10^9 words are looked up among 10^6 n-grams, the odds that any is taken for another are
    1 to 20,000. `unchecked` counts by benchmark the documents that cannot be found: those whose every text is shorter
    than n words and than SHORTEST, or has nothing but words that more than COMMON documents share.
    """

    def __init__(self, texts: Iterable[tuple[str, str, str]], n: int = N) -> None:
        """Index texts, each as (benchmark, document, text); a document may have several: question and answer."""
        self._ids: dict[str, int] = {}  # of the words that benchmarks have; 0 is every other word
        hashes = [0]  # by id
        numbers: dict[Document, int] = {}
        pieces: dict[int, list[tuple[int, Hashes]]] = {}  # by the length of their n-grams: a document's, and its number
        for benchmark, document, text in texts:
            number = numbers.setdefault((benchmark, document), len(numbers))
            found = words(text)
            length = min(len(found), n)
            if length < min(n, SHORTEST):
                continue
            for word in found:
                if self._ids.setdefault(word, len(hashes)) == len(hashes):
                    hashes.append(xxhash.xxh3_64_intdigest(word.encode("utf-8", "surrogatepass")))
            *_, (_, grams) = ngrams(np.array([hashes[self._ids[word]] for word in found], dtype=np.uint64), length)
            pieces.setdefault(length, []).append((number, np.unique(grams)))
        self._hashes = np.array(hashes, dtype=np.uint64)
        self._documents = list(numbers)
        self._tables = {length: Table(found) for length, found in sorted(pieces.items())}
        self.unchecked = self._count_unchecked()

    def _count_unchecked(self) -> dict[str, int]:
        checked = {number for table in self._tables.values() for number in table.owners.tolist()}
        missed = (benchmark for number, (benchmark, _) in enumerate(self._documents) if number not in checked)
        return dict(Counter(missed))

    def hits(self, text: str) -> list[Document]:
        """The documents that have n words in a row in common with a text, in the order in which they were given."""
        found = words(text)
        ids = np.fromiter(map(self._ids.get, found, repeat(0)), dtype=np.int32, count=len(found))
        numbers = {
            number
            for length, hashes in ngrams(self._hashes[ids], max(self._tables, default=0))
            if length in self._tables
            for number in self._tables[length].owners_of(hashes)
        }
        return [self._documents[number] for number in sorted(numbers)]


def ngrams(hashes: Hashes, longest: int) -> Iterator[tuple[int, Hashes]]:
    """For every length up to the longest, a hash of each so many words in a row: their polynomial modulo 2^64."""
    total = np.zeros_like(hashes)
    for length in range(1, min(longest, len(hashes)) + 1):
        total = total[: len(hashes) - length + 1] * MULTIPLIER + hashes[length - 1 :]
        yield length, total


class Table:
    """Sorted n-grams with the documents that they stand in, behind a filter that most look-ups do not pass."""

    def __init__(self, pieces: list[tuple[int, Hashes]]) -> None:
        """Take the n-grams of each document, without those that more than COMMON documents share."""
        hashes = np.concatenate([grams for _, grams in pieces])
        owners = np.concatenate([np.full(len(grams), number, dtype=np.int32) for number, grams in pieces])
        order = np.argsort(hashes, kind="stable")
        _, which, counts = np.unique(hashes[order], return_inverse=True, return_counts=True)
        kept = order[counts[which] <= COMMON]
        self.hashes, self.owners = hashes[kept], owners[kept]
        bits = (SLOTS_PER_NGRAM * len(kept) | 1).bit_length()
        self._shift = np.uint64(64 - bits)
        self._filter = np.zeros(1 << bits, dtype=np.bool_)
        self._filter[self._slots(self.hashes)] = True

    def _slots(self, hashes: Hashes) -> NDArray[np.intp]:
        """Where the filter keeps hashes: by their highest bits."""
        return (hashes >> self._shift).astype(np.intp)

    def owners_of(self, hashes: Hashes) -> Iterator[int]:
        """The numbers of the documents that any of these n-grams stand in."""
        likely = hashes[self._filter[self._slots(hashes)]]
        if not len(likely):
            return
        first = np.searchsorted(self.hashes[:-1], likely)  # without the last: a place to compare with for all
        for found in likely[self.hashes[first] == likely]:
            start, end = np.searchsorted(self.hashes, found), np.searchsorted(self.hashes, found, side="right")
            yield from self.owners[start:end].tolist()
