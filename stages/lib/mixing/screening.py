"""Screen the rows of a mix for duplicates and for texts of benchmarks: drop them, or flag them in the manifest."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.console.shell import progress
from stages.lib.core.artifacts import require_folder
from stages.lib.core.types import Row
from stages.lib.mixing.contamination import NgramIndex
from stages.lib.mixing.duplicates import Duplicates
from stages.lib.mixing.selection import Source
from stages.lib.records.chats import Message
from stages.lib.records.external_sort import RANK, read_by_rank
from stages.lib.records.shards import read_rows

FINDING = pa.schema([
    ("source", pa.string()),  # the DGM or auxiliary set
    ("conversation_hash", pa.string()),  # the row
    ("reason", pa.string()),  # duplicate or contaminated
    ("dropped", pa.bool_()),  # whether it was left out of the mix
    ("of", pa.string()),  # the row of the same source that it repeats, or the benchmark
    ("document", pa.string()),  # the document of the benchmark
])
BENCHMARKS = Path("data/benchmarks")


class Screening:
    """Checks rows in key order as the recipe says, drops or flags those with a reason, and keeps all findings."""

    def __init__(self, recipe: dict[str, Any]) -> None:
        self._duplicates: dict[str, Any] | None = recipe.get("duplicates")
        self._contamination: dict[str, Any] | None = recipe.get("contamination")
        self._findings: list[Row] = []
        if self._contamination:
            folder = require_folder(BENCHMARKS, self._contamination["benchmarks"], "benchmarks")
            texts = ((row["benchmark"], row["document"], row["text"]) for row in read_rows(folder))
            self._ngrams = NgramIndex(texts, self._contamination["words"])

    def filter_rows(self, source: Source, order: np.ndarray, rows: int) -> np.ndarray:
        """Return the first `rows` of these row indices that are not dropped; fewer if there are no more.

        Marks each dropped row in the source's candidates as left out under its reason.
        """
        if not (self._duplicates or self._contamination):
            return order
        earlier = Duplicates(self._duplicates["similarity"]) if self._duplicates else None
        kept, num_screened = [order[:0]], 0
        while (num_missing := rows - sum(map(len, kept))) > 0 and num_screened < len(order):
            row_indices = order[num_screened : num_screened + num_missing]
            reasons = np.array(list(self._reasons(source, row_indices, earlier)), dtype=object)
            for reason in set(reasons) - {""}:
                source.candidates.leave_out_rows(reason, row_indices[reasons == reason])
            kept.append(row_indices[reasons == ""])
            num_screened += len(row_indices)
        return np.concatenate(kept)

    def _reasons(self, source: Source, row_indices: np.ndarray, earlier: Duplicates | None) -> Iterator[str]:
        """Yield the reason to drop each of these rows; empty for rows to keep."""
        tables = read_by_rank([source.select(row_indices, np.arange(len(row_indices)))])
        rows = (row for table in tables for row in table.drop([RANK]).to_pylist())
        desc = f"{source.name}: duplicates, contamination"
        for row in progress(rows, desc=desc, unit="rows", total=len(row_indices)):
            yield self._reason(row, earlier)

    def _reason(self, row: Row, earlier: Duplicates | None) -> str:
        """Return the reason to drop a row, empty to keep it; note every finding.

        A system message does not count for duplicates: a long one, which many rows have, would make them alike.
        """
        said = join_texts(message for message in row["messages"] if message["role"] != "system")
        if self._duplicates and earlier and (original := earlier.find_or_add(row["conversation_hash"], said)):
            self._note(row, "duplicate", self._duplicates["then"], original)
            if self._duplicates["then"] == "drop":
                return "duplicate"
        if self._contamination and (documents := self._ngrams.find(join_texts(row["messages"]))):
            for benchmark, document in documents:
                self._note(row, "contaminated", self._contamination["then"], benchmark, document)
            if self._contamination["then"] == "drop":
                return "contaminated"
        return ""

    def _note(self, row: Row, reason: str, action: str, of: str, document: str = "") -> None:
        """Add a finding about a row."""
        names = {name: row[name] for name in ("source", "conversation_hash")}
        finding = {**names, "reason": reason, "dropped": action == "drop", "of": of, "document": document}
        self._findings.append(finding)

    def keep_findings_of(self, source: str, taken: pa.ChunkedArray) -> None:
        """Of a source's findings, keep those about dropped rows and about the rows taken (conversation hashes)."""
        names = set(taken.to_pylist())
        self._findings = [
            finding
            for finding in self._findings
            if finding["source"] != source or finding["dropped"] or finding["conversation_hash"] in names
        ]

    def write(self, folder: Path) -> None:
        """Write all findings to found.parquet."""
        table = pa.Table.from_pylist(self._findings, schema=FINDING)
        pq.write_table(table, folder / "found.parquet", compression="zstd")

    def summary(self) -> dict[str, Any]:
        """Count the rows with findings: duplicates by source, contaminated rows by benchmark."""
        columns = ("source", "conversation_hash", "reason", "of")
        rows = {tuple(finding[name] for name in columns) for finding in self._findings}
        duplicates = Counter(source for source, _, reason, _ in rows if reason == "duplicate")
        benchmarks = Counter(of for _, _, reason, of in rows if reason == "contaminated")
        return {
            "duplicates": duplicates,  # object: how many rows repeat another, by source
            "contaminated": benchmarks,  # object: how many rows hold a text of a benchmark, by benchmark
        }


def join_texts(messages: Iterable[Message]) -> str:
    """Join the texts of messages to one."""
    return "\n".join(message["content"] for message in messages)
