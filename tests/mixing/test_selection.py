"""Keys and repeats of selected rows."""

import numpy as np
import pyarrow as pa

from stages.lib.mixing.selection import keyed_hashes, number_repeats
from stages.lib.records.hashing import keyed_hash


def test_keyed_hashes_are_the_keyed_hash_of_each_name() -> None:
    hashes = keyed_hashes(7, "a", names=pa.chunked_array([["x", "日本"], [], ["y"]], pa.string()))
    assert hashes.tolist() == [keyed_hash(7, "a", name) for name in ("x", "日本", "y")]
    assert len(keyed_hashes(7, names=pa.chunked_array([], pa.string()))) == 0


def test_repeats_of_a_row_are_numbered_from_0() -> None:
    assert list(number_repeats(np.array([4, 9, 4, 4, 9]))) == [0, 0, 1, 2, 1]
