"""Find rows whose text repeats an earlier row's: exactly, or nearly by MinHash (Broder 1997).

Near duplicates are compared by the Jaccard similarity of their sets of shingles, SHINGLE_TOKENS tokens in a row. It is
estimated from signatures of NUM_HASHES values, at 0.8 with a standard error of 0.035. Of each value the lowest byte is
kept: b-bit minwise hashing (Li and König, arXiv:0910.3349), which takes a quarter of the memory and adds little to the
error. Only rows that agree in one of BANDS bands of their signatures are compared; a pair of similarity s does so with
the probability 1 - (1 - s^8)^16: 0.95 at 0.8, 0.9999 at 0.9.
"""

import numpy as np
import xxhash
from numpy.typing import NDArray
from rensa import RMinHash

from stages.lib.mixing.words import HASH_MULTIPLIER, normalize_text, split_words_and_signs

SHINGLE_TOKENS = 5
NUM_HASHES = 128
BANDS = 16  # of 8 bytes each: a band is one 64-bit number
SEED = 42
EACH_BAND = np.arange(BANDS)
BUCKET_BITS = 19  # half a million buckets per band; more rows than that only make the chains longer
SHIFT = np.uint64(64 - BUCKET_BITS)
ROW_NUMBER = np.dtype(np.int32)
NO_ROWS = np.zeros(0, dtype=ROW_NUMBER)
CHANCE_EQUAL = 1 / 256  # probability that two bytes are equal although their values are not


class Duplicates:
    """The rows so far that repeat no earlier one, by the fingerprints of their texts."""

    def __init__(self, threshold: float) -> None:
        """Take the similarity from which a row is a duplicate; 1: only if its text is equal but for case and spaces.

        Below 0.7 most pairs of that similarity are missed.
        """
        self._rows: ExactDuplicates | NearDuplicates
        self._rows = ExactDuplicates() if threshold == 1 else NearDuplicates(threshold)

    def find_or_add(self, name: str, fingerprint: bytes) -> str | None:
        """Return the name of the first row that this one repeats; if there is none, add it and return None.

        All fingerprints must have been taken for the threshold of this object.
        """
        return self._rows.find_or_add(name, fingerprint)


def take_fingerprint(text: str, threshold: float) -> bytes:
    """Return all that decides whether a text is a duplicate of others by this similarity."""
    if threshold != 1:
        return compute_signature(text).tobytes()
    spaced = " ".join(normalize_text(text).split())
    return xxhash.xxh3_128_digest(spaced.encode("utf-8", "surrogatepass"))


class ExactDuplicates:
    """Rows by the hash of their text: among 10^6 rows, the odds that any two share one by chance are 10^-27."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}

    def find_or_add(self, name: str, fingerprint: bytes) -> str | None:
        """See Duplicates.find_or_add."""
        earlier = self._names.get(fingerprint)
        self._names.setdefault(fingerprint, name)
        return earlier


class NearDuplicates:
    """Rows by the bands of their signatures: in each band, the rows of one bucket are linked as a chain."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._names: list[str] = [""]  # rows are numbered from 1, so that 0 ends a chain
        self._signatures = bytearray(NUM_HASHES)  # a bytearray grows in place, where an array would be copied
        self._links = bytearray(BANDS * ROW_NUMBER.itemsize)  # per row and band: the row before it in the chain
        self._heads = np.zeros((BANDS, 1 << BUCKET_BITS), dtype=ROW_NUMBER)  # the last row of each chain

    def find_or_add(self, name: str, fingerprint: bytes) -> str | None:
        """See Duplicates.find_or_add."""
        buckets = (np.frombuffer(fingerprint, dtype=np.uint64) * HASH_MULTIPLIER) >> SHIFT
        if len(rows := self._rows_in(buckets)):
            signatures = np.frombuffer(self._signatures, dtype=np.uint8).reshape(-1, NUM_HASHES)
            similarity = estimate_similarity(signatures[rows], np.frombuffer(fingerprint, dtype=np.uint8))
            duplicates = rows[similarity >= self._threshold]
            del signatures  # a bytearray cannot grow while an array looks into it
            if len(duplicates):
                return self._names[int(duplicates[0])]
        self._links += self._heads[EACH_BAND, buckets].tobytes()
        self._heads[EACH_BAND, buckets] = len(self._names)
        self._signatures += fingerprint
        self._names.append(name)
        return None

    def _rows_in(self, buckets: NDArray[np.uint64]) -> NDArray[np.int32]:
        """Follow the chains of these buckets, one for each band; return their rows in ascending order."""
        links = np.frombuffer(self._links, dtype=ROW_NUMBER).reshape(-1, BANDS)
        rows = self._heads[EACH_BAND, buckets]
        bands = EACH_BAND
        steps = [NO_ROWS]
        while len(rows := rows[linked := rows > 0]):
            steps.append(rows)
            bands = bands[linked]
            rows = links[rows, bands]
        return np.unique(np.concatenate(steps))


def compute_signature(text: str) -> NDArray[np.uint8]:
    """Compute the signature of a text: the lowest byte of each MinHash value of its shingles."""
    tokens = split_words_and_signs(text)
    shingles = zip(*(tokens[start:] for start in range(SHINGLE_TOKENS)), strict=False)
    minhash = RMinHash(NUM_HASHES, SEED)
    minhash.update([" ".join(shingle) for shingle in shingles] or [" ".join(tokens)])
    return np.array(minhash.digest(), dtype=np.uint32).astype(np.uint8)


def estimate_similarity(signatures: NDArray[np.uint8], signature: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Estimate the Jaccard similarity of each signature to one (Li and König, theorem 1, for large sets)."""
    equal: NDArray[np.float64] = (signatures == signature).mean(axis=1)
    return (equal - CHANCE_EQUAL) / (1 - CHANCE_EQUAL)
