"""Finished conversations by identity: append-only parquet segments outside DVC's outs.

A kill loses only what was in flight, and more prompts, other filters or an experiment pay only for what is new.
"""

import hashlib
import time
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from stages.lib.console.shell import log_line
from stages.lib.generation.costs import COST
from stages.lib.records.responses import RESPONSE

SEGMENT = pa.schema([*RESPONSE, *COST])
LENGTHS = [f"turns.list.element.{name}" for name in ("finish_reason", "prompt_tokens", "completion_tokens")]


# A compared model's answers and a judge's replies are in the store under its id, which has no dot, and these.
ANSWERS = ".answers"
VERDICTS = ".verdicts"


class RowLocation(NamedTuple):
    """Where a conversation is in the store."""

    segment: Path
    row: int


def matches_limits(turns: pa.ListArray, max_tokens: int, window: int) -> np.ndarray:
    """Tell for each stored conversation whether these limits would give the same: one boolean per conversation.

    A reply may take at most what both limits leave to it. One that ended by itself must not be longer; one that was
    cut must be exactly that long; a prompt that did not fit must still not fit.
    """
    fields = pc.list_flatten(turns)
    finish = fields.field("finish_reason")
    prompt, completion = (fields.field(name).to_numpy() for name in ("prompt_tokens", "completion_tokens"))
    room = np.minimum(max_tokens, window - prompt)
    overflown = np.asarray(pc.equal(finish, "context_overflow"))
    cut = np.asarray(pc.equal(finish, "length"))
    turn_matches = np.where(overflown, room < 1, np.where(cut, completion == room, completion <= room))
    matches = np.ones(len(turns), dtype=bool)
    matches[np.asarray(pc.list_parent_indices(turns))[~turn_matches]] = False
    return matches


class Store:
    """The finished conversations of one DGM, answers of one compared model, or replies of one judge, in segments."""

    def __init__(self, folder: Path, dgm: str) -> None:
        self.dgm = dgm
        self.folder = folder / dgm

    @property
    def kind(self) -> str:
        """What is in it: the suffix after the model's id, empty for the responses of a DGM."""
        return self.dgm[len(self.model_id) :]

    @property
    def model_id(self) -> str:
        """The id of the model that answers."""
        return self.dgm.partition(".")[0]

    def named(self, table: pa.Table) -> pa.Table:
        """Return rows, such as those copied from another folder, as rows of this model: their `dgm` is its id."""
        if "dgm" not in table.column_names or pc.all(pc.equal(table["dgm"], self.model_id)).as_py() is not False:
            return table
        names = pa.array([self.model_id] * table.num_rows, SEGMENT.field("dgm").type)
        return table.set_column(table.column_names.index("dgm"), SEGMENT.field("dgm"), names)

    def segments(self) -> list[Path]:
        """Return the paths of the segments, oldest first."""
        return sorted(self.folder.glob("*.parquet"))

    def append(self, rows: list[dict[str, Any]]) -> None:
        """Add rows of SEGMENT as one segment; none for no rows."""
        if rows:
            self.write(pa.Table.from_pylist(rows, schema=SEGMENT))

    def write(self, table: pa.Table) -> None:
        """Add a table as one segment: written under another name, then renamed, so several writers need no lock.

        Its name holds when it was written and the hash of its bytes, which readers verify.
        """
        buffer = pa.BufferOutputStream()
        pq.write_table(table, buffer, compression="zstd")
        content = buffer.getvalue()
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / f".{uuid.uuid4().hex}"
        draft.write_bytes(content)
        draft.rename(self.folder / f"{time.time_ns():020d}-{segment_digest(content)}.parquet")

    def find(
        self, identities: Collection[str], max_tokens: int, window: int, *, failed: bool = True
    ) -> dict[str, RowLocation]:
        """Locate the conversations of these identities that match the limits; those that are missing are left out.

        Of several with one identity the oldest counts, and a failed one only if there is no other, or not at all.
        """
        wanted = frozenset(identities)  # pyarrow would index them again for each segment
        answered: dict[str, RowLocation] = {}
        unanswered: dict[str, RowLocation] = {}
        for segment in self.segments():
            table = read_segment(segment, ["identity", "status", *LENGTHS])
            if table is None:
                continue
            is_wanted = np.fromiter(map(wanted.__contains__, table["identity"].to_pylist()), bool, table.num_rows)
            hits = is_wanted & matches_limits(table["turns"].combine_chunks(), max_tokens, window)
            for row in np.flatnonzero(hits).tolist():
                locations = unanswered if table["status"][row].as_py() == "failed" else answered
                locations.setdefault(table["identity"][row].as_py(), RowLocation(segment, row))
        return (unanswered if failed else {}) | answered

    def read(self, locations: Sequence[RowLocation], columns: list[str] | None = None) -> pa.Table:
        """Read the rows at these locations, in this order, as SEGMENT or these columns of it; see `named`."""
        positions: dict[Path, list[int]] = defaultdict(list)
        for position, location in enumerate(locations):
            positions[location.segment].append(position)
        parts = [
            pq.read_table(segment, columns=columns).take([locations[position].row for position in in_segment])
            for segment, in_segment in positions.items()
        ]
        order = np.argsort([position for in_segment in positions.values() for position in in_segment])
        return self.named(pa.concat_tables(parts).take(order))

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Be the only one that generates into this store or prunes it; print a line while another holds it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log_line(f"{self.dgm}: another run is writing to {self.folder}; waiting for it to end")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()


def segment_digest(content: pa.Buffer) -> str:
    """Return the part of a segment's name that verifies its bytes: 32 hex digits of their sha256."""
    return hashlib.sha256(content).hexdigest()[:32]


def read_segment(segment: Path, columns: list[str] | None = None) -> pa.Table | None:
    """Read a segment; print a line and return None when it is corrupt: another hash than in its name, or schema."""
    try:
        content = pa.py_buffer(segment.read_bytes())
        if segment.stem.partition("-")[2] != segment_digest(content):
            raise pa.ArrowInvalid("its bytes do not match the hash in its name")
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            if not file.schema_arrow.equals(SEGMENT):
                raise pa.ArrowInvalid("its schema is not that of the store")
            return file.read(columns=columns)
    except (pa.ArrowException, OSError) as error:
        log_line(f"store: {segment} is skipped: {str(error).splitlines()[0]}")
        return None
