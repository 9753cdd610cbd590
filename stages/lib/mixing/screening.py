"""Screen the rows of a mix for duplicates and for texts of benchmarks: drop them, or flag them in the manifest."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.console.shell import progress
from stages.lib.core.artifacts import require_folder
from stages.lib.core.types import Row
from stages.lib.core.workers import choose_num_processes, start_workers
from stages.lib.mixing.contamination import Document, NgramIndex
from stages.lib.mixing.duplicates import Duplicates, take_fingerprint
from stages.lib.mixing.selection import Source
from stages.lib.records.chats import Message
from stages.lib.records.external_sort import read_by_rank
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
ROWS_PER_TASK = 200  # that a process looks at at a time
ROWS_PER_PROCESS = 5_000  # from which on another process is worth its start
MAX_PROCESSES = 8  # more would wait for the rows, which one process reads


class LookedAt(NamedTuple):
    """What one row shows by itself."""

    name: str
    fingerprint: bytes  # by which duplicates are found; empty if they are not looked for
    documents: list[Document]  # of benchmarks whose text it holds


@dataclass(frozen=True, slots=True)
class Look:
    """What to look for in rows; it goes to every process that looks."""

    similarity: float  # from which a row is a duplicate; 0: they are not looked for
    ngram_words: int  # that a row shares with a benchmark; 0: they are not looked for
    benchmarks: str  # the digest of their texts

    def at(self, table: bytes) -> list[LookedAt]:
        """Look at rows of CHAT, as `to_bytes` writes them."""
        return [self._at_row(row) for row in pa.ipc.open_stream(table).read_all().to_pylist()]

    def _at_row(self, row: Row) -> LookedAt:
        """Look at a row.

        A system message does not count for duplicates: a long one, which many rows have, would make them alike.
        """
        said = join_texts(message for message in row["messages"] if message["role"] != "system")
        fingerprint = take_fingerprint(said, self.similarity) if self.similarity else b""
        index = index_benchmarks(self.benchmarks, self.ngram_words) if self.ngram_words else None
        documents = index.find(join_texts(row["messages"])) if index else []
        return LookedAt(row["conversation_hash"], fingerprint, documents)


@lru_cache(maxsize=1)
def index_benchmarks(digest: str, ngram_words: int) -> NgramIndex:
    """Index the texts of all benchmarks, which have this digest, once in every process."""
    del digest
    texts = ((row["benchmark"], row["document"], row["text"]) for row in read_rows(BENCHMARKS))
    return NgramIndex(texts, ngram_words)


def to_bytes(table: pa.Table) -> bytes:
    """Write a table to Arrow's stream format: a pickled slice of a table would hold all of it."""
    buffer = pa.BufferOutputStream()
    with pa.ipc.new_stream(buffer, table.schema) as writer:
        writer.write_table(table)
    return bytes(buffer.getvalue())


class Screening:
    """Checks rows in key order as the recipe says, drops or flags those with a reason, and keeps all findings."""

    def __init__(self, recipe: dict[str, Any]) -> None:
        self._duplicates: dict[str, Any] | None = recipe.get("duplicates")
        self._contamination: dict[str, Any] | None = recipe.get("contamination")
        self._findings: list[Row] = []
        if self._contamination:
            require_folder(BENCHMARKS, self._contamination["benchmarks"], "benchmarks")
        self._look = Look(
            similarity=self._duplicates["similarity"] if self._duplicates else 0,
            ngram_words=self._contamination["words"] if self._contamination else 0,
            benchmarks=self._contamination["benchmarks"] if self._contamination else "",
        )

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
        parts = (
            to_bytes(table.slice(start, ROWS_PER_TASK))
            for table in tables
            for start in range(0, table.num_rows, ROWS_PER_TASK)
        )
        desc = f"{source.name}: duplicates, contamination"
        num_processes = choose_num_processes(len(row_indices), ROWS_PER_PROCESS, MAX_PROCESSES)
        with start_workers(num_processes, "screened rows") as map_in_order:
            looked_at = chain.from_iterable(map_in_order(self._look.at, parts, 1))
            for row in progress(looked_at, desc=desc, unit="rows", total=len(row_indices)):
                yield self._reason(source.name, row, earlier)

    def _reason(self, source: str, row: LookedAt, earlier: Duplicates | None) -> str:
        """Return the reason to drop a row, empty to keep it; note every finding."""
        if self._duplicates and earlier and (original := earlier.find_or_add(row.name, row.fingerprint)):
            self._note(source, row.name, "duplicate", self._duplicates["then"], original)
            if self._duplicates["then"] == "drop":
                return "duplicate"
        if self._contamination and row.documents:
            for benchmark, document in row.documents:
                self._note(source, row.name, "contaminated", self._contamination["then"], benchmark, document)
            if self._contamination["then"] == "drop":
                return "contaminated"
        return ""

    def _note(self, source: str, name: str, reason: str, action: str, of: str, document: str = "") -> None:
        """Add a finding about a row."""
        names = {"source": source, "conversation_hash": name}
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
