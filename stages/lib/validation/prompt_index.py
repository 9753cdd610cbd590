"""Look up the prompts of conversations that stand in the order of the prompts."""

from pathlib import Path

import numpy as np

from stages.lib.core.types import Row
from stages.lib.records.hashing import keyed_hash
from stages.lib.records.shards import read_rows

COLUMNS = ["conversation_hash", "system", "turns", "language", "toxic"]


class PromptIndex:
    """The prompts of a folder, read once while their conversations are looked up in order; 17 bytes of memory each."""

    def __init__(self, folder: Path) -> None:
        names = (row["conversation_hash"] for row in read_rows(folder, ["conversation_hash"]))
        keys = np.fromiter((keyed_hash(0, name) for name in names), np.int64)
        self._row_indices = np.argsort(keys)
        self._keys = keys[self._row_indices]
        self._is_answered = np.zeros(len(keys), dtype=bool)
        self._rows = read_rows(folder, COLUMNS)
        self._next_row = 0

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def missing(self) -> int:
        """The number of prompts that no conversation has answered yet."""
        return int(np.count_nonzero(~self._is_answered))

    def find(self, conversation_hash: str | None) -> Row | str:
        """Return the prompt of a conversation, or the reason why there is none; each prompt is found once."""
        key = keyed_hash(0, conversation_hash or "")
        position = int(np.searchsorted(self._keys, key))
        if position == len(self._keys) or self._keys[position] != key:
            return "unknown_conversation"
        if self._is_answered[position]:
            return "duplicate_conversation"
        self._is_answered[position] = True
        row_index = int(self._row_indices[position])
        return "out_of_order" if row_index < self._next_row else self._skip_to(row_index)

    def _skip_to(self, row_index: int) -> Row:
        """Read on to a row that was not read yet, and return it."""
        for prompt in self._rows:
            self._next_row += 1
            if self._next_row > row_index:
                return prompt
        raise AssertionError("the prompts became fewer while they were read")
