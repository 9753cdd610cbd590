"""Count what a mix is made of while it is written; `dvc metrics diff` compares two manifests."""

import hashlib
import threading
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.console.errors import UserError
from stages.lib.mixing.selection import NAMES_AT_ONCE
from stages.lib.records.chats import count_turns

LONGER_THAN = (512, 1024, 2048, 4096, 8192, 16384)  # tokens


class Manifest:
    """Rows and tokens of a mix by source, language and number of turns."""

    def __init__(self, names: pa.Array, languages: pa.Array) -> None:
        """Take the hashes of the rows that the mix will have, and the languages of their prompts, in its order."""
        self._names = names
        self._languages = languages
        self._rows: list[pa.Table] = []
        self._cut_replies = 0
        self._lock = threading.Lock()

    def add(self, first_row: int, rows: pa.Table, tokens: np.ndarray, cut_replies: int) -> None:
        """Count rows of the mix from index `first_row` on; may be called by several threads at once.

        Raises UserError if these are not the rows that the mix should have there.
        """
        here = slice(first_row, first_row + len(rows))
        if not rows["conversation_hash"].combine_chunks().equals(self._names[here]):
            raise UserError("responses and verdicts of a DGM come from different runs: `dvc repro` makes both again")
        columns = {"source": rows["source"], "name": self._names[here], "language": self._languages[here]}
        turns = count_turns(rows["messages"])
        self._rows.append(pa.table(columns | {"turns": turns, "tokens": pa.array(tokens)}))
        with self._lock:
            self._cut_replies += cut_replies

    def summary(self) -> dict[str, Any]:
        """Return all counts. `ids` is the sha256 of the sorted names of the rows: it does not depend on their order."""
        rows = pa.concat_tables(self._rows)
        ids = pc.binary_join_element_wise(rows["source"], rows["name"], "/")
        with_language = rows.filter(pc.not_equal(rows["language"], ""))
        return {
            "rows": rows.num_rows,  # integer: chats of the mix
            "tokens": pc.sum(rows["tokens"]).as_py(),  # integer: of all chats, as the base model counts them
            "sources": count_by(rows, "source"),  # object: rows and tokens of each DGM and auxiliary set
            "languages": count_by(with_language, "language"),  # object: rows and tokens by the prompts' language
            "turns": count_by(rows, "turns"),  # object: rows and tokens by the number of user messages
            # object: how many chats have more tokens than each limit
            "longer_than": {str(limit): count_true(pc.greater(rows["tokens"], limit)) for limit in LONGER_THAN},
            "cut_replies": self._cut_replies,  # integer: replies that were cut to the length of the reference's
            # string: sha256 of the sorted names of the rows
            "ids": hash_sorted(ids.combine_chunks()),
        }


def hash_sorted(names: pa.Array) -> str:
    """Return the sha256 of names, sorted and joined by line breaks."""
    in_order, total = names.take(pc.sort_indices(names)), hashlib.sha256()
    for start in range(0, len(names), NAMES_AT_ONCE):
        text = "\n".join(in_order.slice(start, NAMES_AT_ONCE).to_pylist())
        total.update((f"\n{text}" if start else text).encode())
    return total.hexdigest()


def count_by(rows: pa.Table, column: str) -> dict[str, dict[str, int]]:
    """Count rows and tokens by the values of a column."""
    groups = rows.group_by(column).aggregate([("tokens", "count"), ("tokens", "sum")]).to_pylist()
    return {str(group[column]): {"rows": group["tokens_count"], "tokens": group["tokens_sum"]} for group in groups}


def count_true(mask: pa.ChunkedArray) -> int:
    """Count the true values of a mask."""
    return int(pc.sum(mask.cast(pa.int64())).as_py() or 0)
