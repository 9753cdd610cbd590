"""Find the benchmark documents that share n words in a row with a text.

Words are compared without case and punctuation, as GPT-3's authors did (arXiv:2005.14165, app. C). They took an n of 8
to 13, depending on the benchmark; lm-eval takes 13 everywhere. Tülu 3 (arXiv:2411.15124, sec. 3.2) takes 8, but counts
a text only if such n-grams cover half of the question. Here one n-gram is enough, so it must be long to mean something.
In scripts without spaces, where `words` splits a text into letters, an n-gram has as many letters as n words have.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat

import numpy as np
import xxhash
from numpy.typing import NDArray

from stages.lib.mixing.words import HASH_MULTIPLIER, QUARTERS, are_whole, split_words, weigh_words

NGRAM_WORDS = 13
MIN_WORDS = 8  # GPT-3's smallest n: a text of 8 to n - 1 words is looked up as a whole, a shorter one not at all
MAX_DOCUMENTS = 10  # an n-gram in more documents is the form in which a benchmark asks, not what it asks
FILTER_SLOTS_PER_NGRAM = 8  # at most one look-up in eight passes the filter by chance
INVERSE_MULTIPLIER = np.uint64(pow(int(HASH_MULTIPLIER), -1, 1 << 64))

Hashes = NDArray[np.uint64]
Document = tuple[str, str]  # benchmark, name of the document in it
# Hashes of the distinct n-grams of each document, by its number; those of texts shorter than n words are the whole
# texts, by their number of words and letters. The key of the others is 0.
Ngrams = dict[int, list[tuple[int, Hashes]]]


class NgramIndex:
    """An index of the n-grams of benchmarks, by hash.

    Hashes have 64 bits: if 10^9 words are looked up among 10^6 n-grams, the odds that any is taken for another are
    1 to 20,000. `unchecked` counts by benchmark the documents that cannot be found: those whose every text has fewer
    than n and than MIN_WORDS words, or only n-grams that more than MAX_DOCUMENTS documents share.
    """

    def __init__(self, texts: Iterable[tuple[str, str, str]], n: int = NGRAM_WORDS) -> None:
        """Index texts, each as (benchmark, document, text); a document may have several: question and answer."""
        self._n = n
        self._word_ids: dict[str, int] = {}  # of the words of the benchmarks; every other word has the id 0
        self._word_hashes: Hashes = np.zeros(1, dtype=np.uint64)  # by id
        self._documents: list[Document] = []
        ngrams = self._add(texts, n)
        self._tables = {length: NgramTable(documents) for length, documents in sorted(ngrams.items())}
        self.unchecked = self._count_unchecked()

    def _add(self, texts: Iterable[tuple[str, str, str]], n: int) -> Ngrams:
        """Give documents numbers and words ids; return the n-grams of all texts that are long enough."""
        numbers: dict[Document, int] = {}
        word_hashes = [0]
        ngrams: Ngrams = {}
        for benchmark, document, text in texts:
            number = numbers.setdefault((benchmark, document), len(numbers))
            words = split_words(text)
            size = weigh_words(words).sum()
            if size < QUARTERS * min(n, MIN_WORDS):
                continue
            for word in words:
                if self._word_ids.setdefault(word, len(word_hashes)) == len(word_hashes):
                    word_hashes.append(xxhash.xxh3_64_intdigest(word.encode("utf-8", "surrogatepass")))
            hashes = np.array([word_hashes[self._word_ids[word]] for word in words], dtype=np.uint64)
            length = 0 if size >= QUARTERS * n else len(words)
            ngrams.setdefault(length, []).append((number, np.unique(Runs(words, hashes).hash_ngrams(n, length))))
        self._documents = list(numbers)
        self._word_hashes = np.array(word_hashes, dtype=np.uint64)
        return ngrams

    def _count_unchecked(self) -> dict[str, int]:
        checked = {number for table in self._tables.values() for number in table.documents.tolist()}
        unchecked = (benchmark for number, (benchmark, _) in enumerate(self._documents) if number not in checked)
        return dict(Counter(unchecked))

    def find(self, text: str) -> list[Document]:
        """Find the documents that share n words in a row with a text, in the order in which they were indexed."""
        words = split_words(text)
        ids = np.fromiter(map(self._word_ids.get, words, repeat(0)), dtype=np.int32, count=len(words))
        runs = Runs(words, self._word_hashes[ids])
        numbers = {
            number for length, table in self._tables.items() for number in table.find(runs.hash_ngrams(self._n, length))
        }
        return [self._documents[number] for number in sorted(numbers)]


class Runs:
    """The runs of consecutive words of one text, hashed: the polynomial of their words' hashes modulo 2^64."""

    def __init__(self, words: Sequence[str], word_hashes: Hashes) -> None:
        self._words, self._are_whole = words, are_whole(words)
        self._powers = np.cumprod(np.full(len(words), HASH_MULTIPLIER)) * INVERSE_MULTIPLIER
        inverses = np.cumprod(np.full(len(words), INVERSE_MULTIPLIER)) * HASH_MULTIPLIER
        self._sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(word_hashes * inverses)])

    def hash_ngrams(self, n: int, length: int = 0) -> Hashes:
        """Hash every shortest run of at least n words, letters counted in part; with a length, every run so long."""
        if self._are_whole:
            return self._hash_all(length or n) if length <= n else self._sums[:0]  # longer runs have letters
        if length:
            return self._hash_all(length)
        ends = np.concatenate([[0], np.cumsum(weigh_words(self._words))])
        stops = np.searchsorted(ends, ends + QUARTERS * n)
        starts = np.flatnonzero(stops < len(ends))
        stops = stops[starts]
        hashes: Hashes = (self._sums[stops] - self._sums[starts]) * self._powers[stops - 1]
        return hashes

    def _hash_all(self, length: int) -> Hashes:
        """Hash every run of so many words or letters."""
        hashes: Hashes = (self._sums[length:] - self._sums[:-length]) * self._powers[length - 1 :]
        return hashes


class NgramTable:
    """Sorted hashes of n-grams with the numbers of their documents, behind a filter that rejects most look-ups."""

    def __init__(self, ngrams: list[tuple[int, Hashes]]) -> None:
        """Take the n-grams of each document, without those that more than MAX_DOCUMENTS documents share."""
        hashes = np.concatenate([own for _, own in ngrams])
        documents = np.concatenate([np.full(len(own), number, dtype=np.int32) for number, own in ngrams])
        order = np.argsort(hashes, kind="stable")
        _, group, group_sizes = np.unique(hashes[order], return_inverse=True, return_counts=True)
        kept = order[group_sizes[group] <= MAX_DOCUMENTS]
        self.hashes = hashes[kept]
        self.documents = documents[kept]
        bits = (FILTER_SLOTS_PER_NGRAM * len(kept) | 1).bit_length()
        self._shift = np.uint64(64 - bits)
        self._filter = np.zeros(1 << bits, dtype=np.bool_)
        self._filter[self._slots(self.hashes)] = True

    def _slots(self, hashes: Hashes) -> NDArray[np.intp]:
        """Compute the filter slots of hashes: their highest bits."""
        return (hashes >> self._shift).astype(np.intp)

    def find(self, hashes: Hashes) -> Iterator[int]:
        """Yield the numbers of the documents that have any of these n-grams."""
        likely = hashes[self._filter[self._slots(hashes)]]
        if not len(likely):
            return
        # Without the last hash, so that every position found is one that can be compared.
        positions = np.searchsorted(self.hashes[:-1], likely)
        for ngram in likely[self.hashes[positions] == likely]:
            start = np.searchsorted(self.hashes, ngram)
            stop = np.searchsorted(self.hashes, ngram, side="right")
            yield from self.documents[start:stop].tolist()
