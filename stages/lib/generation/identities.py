"""The identities of conversations by their prompts, compact: a run may have a million of them."""

from array import array
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from stages.lib.core.types import Ints
from stages.lib.records.hashing import keyed_hash

Names = NDArray[np.bytes_]  # identities: 32 hex digits each


class Identities:
    """The identities of conversations in the order of their prompts, looked up by conversation_hash: 48 bytes each."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Take pairs of conversation_hash and identity; of equal hashes only the first counts."""
        keys, names = array("q"), bytearray()
        for conversation_hash, name in pairs:
            keys.append(keyed_hash(0, conversation_hash))
            names += name.encode()
        self._keys, places = np.unique(np.frombuffer(keys, np.int64), return_index=True)
        in_order = np.sort(places)
        self.names: Names = np.frombuffer(names, "S32")[in_order]
        self._places: Ints = np.searchsorted(in_order, places)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, conversation_hash: str) -> bool:
        return self._find(conversation_hash) >= 0

    def __getitem__(self, conversation_hash: str) -> str:
        return bytes(self.names[self._find(conversation_hash)]).decode()

    def where(self, mask: NDArray[np.bool_]) -> "Identities":
        """Return those whose place in the order is true in a mask."""
        part = Identities(())
        is_kept = mask[self._places]
        part._keys, part.names = self._keys[is_kept], self.names[mask]
        part._places = (np.cumsum(mask) - 1)[self._places[is_kept]]
        return part

    def _find(self, conversation_hash: str) -> int:
        """Return the place of a conversation in the order; -1 if it is none of these."""
        key = keyed_hash(0, conversation_hash)
        position = int(np.searchsorted(self._keys, key))
        is_there = position < len(self._keys) and self._keys[position] == key
        return int(self._places[position]) if is_there else -1
