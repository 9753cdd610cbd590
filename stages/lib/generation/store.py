"""Finished conversations, found by identity: append-only parquet segments outside DVC's outs.

A kill loses only what was in flight, and more prompts, other filters or an experiment pay only for what is new.
"""

import hashlib
import os
import subprocess
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


class RowLocation(NamedTuple):
    """Where a conversation stands."""

    segment: Path
    row: int


def store_folder() -> Path:
    """Where the store is: $REWILD_STORE, else `store` beside DVC's cache, which experiments share."""
    if "REWILD_STORE" in os.environ:
        return Path(os.environ["REWILD_STORE"])
    found = subprocess.run(["dvc", "cache", "dir"], capture_output=True, text=True, check=True)  # noqa: S607
    return Path(found.stdout.strip()).parent / "store"


def matches_limits(turns: pa.ListArray, max_tokens: int, window: int) -> np.ndarray:
    """Whether each stored conversation is what these limits would give: one boolean per conversation.

    A reply may take at most what both limits leave to it. One that ended by itself must not be longer; one that was
    cut must be exactly so long; a prompt that did not fit must still not fit.
    """
    fields = pc.list_flatten(turns)
    finish = fields.field("finish_reason")
    prompt, completion = (fields.field(name).to_numpy() for name in ("prompt_tokens", "completion_tokens"))
    room = np.minimum(max_tokens, window - prompt)
    overflown = np.asarray(pc.equal(finish, "context_overflow"))
    cut = np.asarray(pc.equal(finish, "length"))
    holds = np.where(overflown, room < 1, np.where(cut, completion == room, completion <= room))
    kept = np.ones(len(turns), dtype=bool)
    kept[np.asarray(pc.list_parent_indices(turns))[~holds]] = False
    return kept


class Store:
    """The segments of one DGM."""

    def __init__(self, folder: Path, dgm: str) -> None:
        self.dgm = dgm
        self.folder = folder / dgm

    def segments(self) -> list[Path]:
        """The segments, oldest first."""
        return sorted(self.folder.glob("*.parquet"))

    def append(self, rows: list[dict[str, Any]]) -> None:
        """Add rows as one segment."""
        if rows:
            self.write(pa.Table.from_pylist(rows, schema=SEGMENT))

    def write(self, table: pa.Table) -> None:
        """Add a table as one segment: written beside its place, then renamed, so several writers need no lock.

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
        self, wanted: Collection[str], max_tokens: int, window: int, *, failed: bool = True
    ) -> dict[str, RowLocation]:
        """Where the conversations of these identities stand that the limits leave as they are.

        Of equals the oldest, and one that failed only if there is no other, or not at all.
        """
        names = pa.array(wanted, pa.string())
        found: dict[str, RowLocation] = {}
        lost: dict[str, RowLocation] = {}
        for segment in self.segments():
            table = read_segment(segment, ["identity", "status", *LENGTHS])
            if table is None:
                continue
            hits = np.asarray(pc.is_in(table["identity"], names)) & matches_limits(
                table["turns"].combine_chunks(), max_tokens, window
            )
            for row in np.flatnonzero(hits).tolist():
                kind = lost if table["status"][row].as_py() == "failed" else found
                kind.setdefault(table["identity"][row].as_py(), RowLocation(segment, row))
        return (lost if failed else {}) | found

    def read(self, places: Sequence[RowLocation], columns: list[str] | None = None) -> pa.Table:
        """The rows at these places, in this order, as SEGMENT or these columns of it."""
        positions: dict[Path, list[int]] = defaultdict(list)
        for position, place in enumerate(places):
            positions[place.segment].append(position)
        parts = [
            pq.read_table(segment, columns=columns).take([places[position].row for position in here])
            for segment, here in positions.items()
        ]
        order = np.argsort([position for here in positions.values() for position in here])
        return pa.concat_tables(parts).take(order)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only one that generates into this store or tidies it; say so while another is at it."""
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
    """The part of a segment's name that says what it holds: 32 hex digits of sha256."""
    return hashlib.sha256(content).hexdigest()[:32]


def read_segment(segment: Path, columns: list[str] | None = None) -> pa.Table | None:
    """Read a segment; say so and return None when it is torn or foreign: not the bytes that its name promises."""
    try:
        content = pa.py_buffer(segment.read_bytes())
        if segment.stem.partition("-")[2] != segment_digest(content):
            raise pa.ArrowInvalid("its bytes are not those that it was written with")
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            if not file.schema_arrow.equals(SEGMENT):
                raise pa.ArrowInvalid("its columns are others")
            return file.read(columns=columns)
    except (pa.ArrowException, OSError) as error:
        log_line(f"store: {segment} is left aside: {str(error).splitlines()[0]}")
        return None
