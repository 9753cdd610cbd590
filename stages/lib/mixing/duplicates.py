"""Whether a row repeats an earlier one: the same text, or nearly the same by MinHash (Broder 1997).

Near duplicates are told by the Jaccard similarity of their sets of shingles, pieces of SHINGLE tokens in a row. It is
estimated from signatures of NUM_HASHES values, at 0.8 with a standard error of 0.035. Of each value the lowest byte is
kept: b-bit minwise hashing (Li and König, arXiv:0910.3349), which takes a quarter of the memory and adds little to the
error. Only rows that agree in one of BANDS bands of their signatures are compared, as a pair of similarity s does with
the probability 1 - (1 - s^8)^16: 0.95 at 0.8, 0.9999 at 0.9.
"""

import re

import numpy as np
import xxhash
from numpy.typing import NDArray
from rensa import RMinHash

from stages.lib.mixing.contamination import MULTIPLIER, UNSPACED, normal

SHINGLE = 5  # tokens
NUM_HASHES = 128
BANDS = 16  # of 8 bytes each: a band is one 64-bit number
SEED = 42
EACH_BAND = np.arange(BANDS)
BUCKET_BITS = 19  # half a million buckets per band; more rows than these only make the chains longer
SHIFT = np.uint64(64 - BUCKET_BITS)
ROW = np.dtype(np.int32)
NO_ROWS = np.zeros(0, dtype=ROW)
CHANCE = 1 / 256  # that two bytes are equal though their values are not
TOKEN = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+|[^\w\s]")  # words and signs: 2 + 2 is not 2 - 2


class Duplicates:
    """The rows met so far that repeat none before them."""

    def __init__(self, threshold: float) -> None:
        """Rows repeat one another from this similarity on; 1: when their texts are equal but for case and white space.

        Below 0.7 most pairs that are so alike are not found.
        """
        self._rows: Exact | Near = Exact() if threshold == 1 else Near(threshold)

    def find(self, name: str, text: str) -> str | None:
        """The name of the first row that this one repeats; when there is none, remember it and return None."""
        return self._rows.find(name, text)


class Exact:
    """Rows by the hash of their text: of 10^6 rows, the odds that any two share one by chance are 10^-27."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}

    def find(self, name: str, text: str) -> str | None:
        """See Duplicates."""
        spaced = " ".join(normal(text).split())
        digest = xxhash.xxh3_128_digest(spaced.encode("utf-8", "surrogatepass"))
        earlier = self._names.get(digest)
        self._names.setdefault(digest, name)
        return earlier


class Near:
    """Rows by the bands of their signatures: in each band, rows that fall into one bucket are linked as a chain."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._names: list[str] = [""]  # rows are numbered from 1, so that 0 is no row
        self._signatures = bytearray(NUM_HASHES)  # a bytearray grows in place, where an array would be copied
        self._links = bytearray(BANDS * ROW.itemsize)  # of each row, the row before it in the chain of every band
        self._heads = np.zeros((BANDS, 1 << BUCKET_BITS), dtype=ROW)  # the last row of each chain

    def find(self, name: str, text: str) -> str | None:
        """See Duplicates."""
        signature = sign(text)
        buckets = (signature.view(np.uint64) * MULTIPLIER) >> SHIFT
        rows = self._linked(buckets)
        signatures = np.frombuffer(self._signatures, dtype=np.uint8).reshape(-1, NUM_HASHES)
        alike = rows[similarity(signatures[rows], signature) >= self._threshold]
        if len(alike):
            return self._names[int(alike[0])]
        del signatures  # a bytearray that is looked into cannot grow
        self._links += self._heads[EACH_BAND, buckets].tobytes()
        self._heads[EACH_BAND, buckets] = len(self._names)
        self._signatures += signature.tobytes()
        self._names.append(name)
        return None

    def _linked(self, buckets: NDArray[np.uint64]) -> NDArray[np.int32]:
        """The rows in the chains of these buckets, one for each band, in order."""
        links = np.frombuffer(self._links, dtype=ROW).reshape(-1, BANDS)
        rows, bands, found = self._heads[EACH_BAND, buckets], EACH_BAND, [NO_ROWS]
        while len(rows := rows[linked := rows > 0]):
            found.append(rows)
            bands = bands[linked]
            rows = links[rows, bands]
        return np.unique(np.concatenate(found))


def sign(text: str) -> NDArray[np.uint8]:
    """The signature of a text: the lowest byte of each MinHash value of its shingles."""
    tokens = TOKEN.findall(normal(text))
    shingles = zip(*(tokens[start:] for start in range(SHINGLE)), strict=False)
    minhash = RMinHash(NUM_HASHES, SEED)
    minhash.update([" ".join(shingle) for shingle in shingles] or [" ".join(tokens)])
    return np.array(minhash.digest(), dtype=np.uint32).astype(np.uint8)


def similarity(signatures: NDArray[np.uint8], signature: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The estimated Jaccard similarity of each signature to one (Li and König, theorem 1, for large sets)."""
    equal: NDArray[np.float64] = (signatures == signature).mean(axis=1)
    return (equal - CHANCE) / (1 - CHANCE)
