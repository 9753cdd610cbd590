"""What a mix is made of, counted while it is written: `dvc metrics diff` between two of them says how they differ."""

import hashlib
import threading
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.console.errors import UserError
from stages.lib.records.chats import count_turns

LONGER_THAN = (512, 1024, 2048, 4096, 8192, 16384)  # tokens


class Manifest:
    """Rows and tokens of a mix by source, language and number of turns."""

    def __init__(self, names: pa.Array, languages: pa.Array) -> None:
        """The names of the rows that the mix is to have, and the languages of their prompts, in its order."""
        self._names, self._languages = names, languages
        self._rows: list[pa.Table] = []
        self._cut_replies = 0
        self._lock = threading.Lock()

    def add(self, first: int, rows: pa.Table, tokens: np.ndarray, cut_replies: int) -> None:
        """Count rows of the mix, the first of which has this place in it; threads may do so at once.

        Raises UserError if they are not those that the mix is to have.
        """
        here = slice(first, first + len(rows))
        if not rows["conversation_hash"].combine_chunks().equals(self._names[here]):
            raise UserError("responses and verdicts of a DGM are of different runs: `dvc repro` makes them anew")
        columns = {"source": rows["source"], "name": self._names[here], "language": self._languages[here]}
        turns = count_turns(rows["messages"])
        self._rows.append(pa.table(columns | {"turns": turns, "tokens": pa.array(tokens)}))
        with self._lock:
            self._cut_replies += cut_replies

    def summary(self) -> dict[str, Any]:
        """All counts. `ids` is the sha256 of the sorted names of the rows: equal for the same choice in any order."""
        rows = pa.concat_tables(self._rows)
        ids = pc.binary_join_element_wise(rows["source"], rows["name"], "/")
        languages = by(rows.filter(pc.not_equal(rows["language"], "")), "language")
        return {
            "rows": rows.num_rows,
            "tokens": pc.sum(rows["tokens"]).as_py(),
            "sources": by(rows, "source"),
            "languages": languages,
            "turns": by(rows, "turns"),
            "longer_than": {str(limit): count(pc.greater(rows["tokens"], limit)) for limit in LONGER_THAN},
            "cut_replies": self._cut_replies,
            "ids": hashlib.sha256("\n".join(sorted(ids.to_pylist())).encode()).hexdigest(),
        }


def by(rows: pa.Table, column: str) -> dict[str, dict[str, int]]:
    """Rows and tokens by the values of a column."""
    found = rows.group_by(column).aggregate([("tokens", "count"), ("tokens", "sum")]).to_pylist()
    return {str(row[column]): {"rows": row["tokens_count"], "tokens": row["tokens_sum"]} for row in found}


def count(mask: pa.ChunkedArray) -> int:
    """How many values are true."""
    return int(pc.sum(mask.cast(pa.int64())).as_py() or 0)
