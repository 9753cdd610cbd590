"""Rows that a mix should not hold, or should at least tell of: those that repeat another, and those of a benchmark."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.console.shell import progress
from stages.lib.core.artifacts import require
from stages.lib.mixing.contamination import Overlap
from stages.lib.mixing.duplicates import Duplicates
from stages.lib.mixing.selection import Source
from stages.lib.records.external_sort import RANK, read_by_rank
from stages.lib.records.shards import read_rows

FOUND = pa.schema([
    ("source", pa.string()),
    ("conversation_hash", pa.string()),
    ("reason", pa.string()),  # duplicate, contaminated
    ("dropped", pa.bool_()),  # else it is in the mix
    ("of", pa.string()),  # the row of the same source that it repeats, or the benchmark
    ("document", pa.string()),  # of the benchmark
])
BENCHMARKS = Path("data/benchmarks")


class Screening:
    """Looks at the rows that a mix would take, in key order, and drops or flags those with a reason."""

    def __init__(self, recipe: dict[str, Any]) -> None:
        self._duplicates, self._contamination = recipe.get("duplicates"), recipe.get("contamination")
        self._found: list[dict[str, Any]] = []
        if self._contamination:
            folder = require(BENCHMARKS, self._contamination["benchmarks"], "benchmarks")
            texts = ((row["benchmark"], row["document"], row["text"]) for row in read_rows(folder))
            self._overlap = Overlap(texts, self._contamination["words"])

    def passed(self, source: Source, order: np.ndarray, rows: int) -> np.ndarray:
        """The first so many of these places that are not dropped; fewer if there are no more.

        What is dropped is left out of the source's candidates under its reason.
        """
        if not (self._duplicates or self._contamination):
            return order
        seen = Duplicates(self._duplicates["similarity"]) if self._duplicates else None
        passed, tried = [order[:0]], 0
        while (missing := rows - sum(map(len, passed))) > 0 and tried < len(order):
            places = order[tried : tried + missing]
            reasons = np.array(list(self._reasons(source, places, seen)), dtype=object)
            for reason in set(reasons) - {""}:
                source.candidates.leave_out_places(reason, places[reasons == reason])
            passed.append(places[reasons == ""])
            tried += len(places)
        return np.concatenate(passed)

    def _reasons(self, source: Source, places: np.ndarray, seen: Duplicates | None) -> Iterator[str]:
        """Why each of these rows is dropped; empty for those that stay."""
        tables = read_by_rank([source.reading(places, np.arange(len(places)))])
        rows = (row for table in tables for row in table.drop([RANK]).to_pylist())
        for row in progress(rows, desc=f"{source.name}: duplicates, contamination", unit="rows", total=len(places)):
            yield self._reason(row, seen)

    def _reason(self, row: dict[str, Any], seen: Duplicates | None) -> str:
        """Why a row is dropped; empty if it stays. Whatever is found is remembered."""
        text = "\n".join(message["content"] for message in row["messages"])
        if self._duplicates and seen and (earlier := seen.find(row["conversation_hash"], text)):
            self._note(row, "duplicate", self._duplicates["then"], earlier)
            if self._duplicates["then"] == "drop":
                return "duplicate"
        if self._contamination and (hits := self._overlap.hits(text)):
            for benchmark, document in hits:
                self._note(row, "contaminated", self._contamination["then"], benchmark, document)
            if self._contamination["then"] == "drop":
                return "contaminated"
        return ""

    def _note(self, row: dict[str, Any], reason: str, then: str, of: str, document: str = "") -> None:
        """Remember what was found of a row."""
        names = {name: row[name] for name in ("source", "conversation_hash")}
        self._found.append({**names, "reason": reason, "dropped": then == "drop", "of": of, "document": document})

    def forget_all_but(self, source: str, names: pa.ChunkedArray) -> None:
        """Forget what was found of a source's rows that are neither in the mix nor dropped."""
        taken = set(names.to_pylist())
        self._found = [
            row for row in self._found if row["source"] != source or row["dropped"] or row["conversation_hash"] in taken
        ]

    def write(self, folder: Path) -> None:
        """List everything that was found."""
        pq.write_table(pa.Table.from_pylist(self._found, schema=FOUND), folder / "found.parquet", compression="zstd")

    def summary(self) -> dict[str, Any]:
        """How many rows were found, by source or by benchmark."""
        rows = {(row["source"], row["conversation_hash"], row["reason"], row["of"]) for row in self._found}
        duplicates = Counter(source for source, _, reason, _ in rows if reason == "duplicate")
        benchmarks = Counter(of for _, _, reason, of in rows if reason == "contaminated")
        return {"duplicates": duplicates, "contaminated": benchmarks}
