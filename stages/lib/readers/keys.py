"""Which of several rows with one key is used: it depends on the rows alone, never on the order of rows or files."""

from array import array
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from stages.lib.core.types import Ints


@dataclass(frozen=True, slots=True)
class Choice:
    """The rows that are used, and how many of the others say the same as the one used, or something else."""

    rows: Ints  # indices in the order in which rows were added, sorted by `rank` and key
    duplicates: int
    conflicts: int


class KeyedRows:
    """Collects what decides the choice: 40 bytes of each row."""

    def __init__(self) -> None:
        self._columns = tuple(array("Q") for _ in range(5))

    def __len__(self) -> int:
        return len(self._columns[0])

    def add(self, key: str, rank: int, content: str, rest: str = "", missing: int = 0) -> None:
        """Add a row.

        `rank`, below 2^64, orders the rows and is the same for one key. Rows with one key and equal `content` are
        duplicates. Of all with one key the row with the fewest `missing` is used, and of these the one with the
        smallest hash of its content and then of the `rest` of the row.
        """
        values = rank, hash64(key), missing, hash64(content), hash64(rest)
        for column, value in zip(self._columns, values, strict=True):
            column.append(value)

    def choose(self) -> Choice:
        """Choose a row of each key."""
        if not len(self):
            return Choice(np.empty(0, np.int64), 0, 0)
        columns = [np.frombuffer(column, np.uint64) for column in self._columns]
        order = np.lexsort(columns[::-1])
        rank, key, _, content, _ = (column[order] for column in columns)
        is_first = np.append(True, (rank[1:] != rank[:-1]) | (key[1:] != key[:-1]))
        group = np.cumsum(is_first) - 1
        is_equal = content == content[is_first][group]
        return Choice(order[is_first], int((is_equal & ~is_first).sum()), int((~is_equal).sum()))


def hash64(text: str) -> int:
    """Hash a text to 64 bits."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
