"""Rows of many files in an order of their own, a part at a time: a worker holds one part in memory, not the data."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.records.shards import parquet_files

T = TypeVar("T")
RANK = "rank"
ROWS_PER_PART = 5_000  # in memory at once, in each worker
ROWS_AT_ONCE = 8_000  # that a worker gathers before it hands them on
WORKERS = min(4, len(os.sched_getaffinity(0)))


@dataclass(frozen=True, slots=True)
class Reading:
    """Which rows of a folder to read, and where each of them goes."""

    folder: Path
    columns: list[str]
    convert: Callable[[pa.Table, np.ndarray], pa.Table]  # rows as they were read, in an order, as what is wanted
    places: np.ndarray  # of the rows, counted through the folder's files; a row can be wanted twice
    ranks: np.ndarray  # beside `places`; no rank twice

    def in_order_of_files(self) -> "Reading":
        """The same, with ascending places."""
        order = np.argsort(self.places, kind="stable")
        return Reading(self.folder, self.columns, self.convert, self.places[order], self.ranks[order])


def in_order(readings: list[Reading], rows_per_part: int = ROWS_PER_PART) -> Iterator[pa.Table]:
    """The rows of all readings by rank, so many ranks in each table; the ranks stand in the column `rank`."""
    with ThreadPoolExecutor(WORKERS) as pool, scattered(readings, rows_per_part, pool) as parts:
        yield from ahead(pool, (part.sorted for part in parts))


@contextmanager
def scattered(readings: list[Reading], rows_per_part: int, pool: ThreadPoolExecutor) -> Iterator[list["Part"]]:
    """Put each row of the readings into the file of its part; what the parts hold depends on nothing but the ranks."""
    num_ranks = max((int(reading.ranks.max(initial=-1)) for reading in readings), default=-1) + 1
    with TemporaryDirectory(dir=scratch()) as folder:
        parts = [Part(Path(folder) / str(number)) for number in range(-(-num_ranks // rows_per_part))]
        scatter([reading.in_order_of_files() for reading in readings], parts, rows_per_part, pool)
        yield parts


def scratch() -> Path:
    """Where parts are written meanwhile: beside the data, not in a /tmp that may be memory."""
    folder = Path(".dvc/tmp/rewild")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def ahead(pool: ThreadPoolExecutor, tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
    """What the tasks give, in their order, as many under way as there are workers."""
    running = deque[Future[T]]()
    for task in tasks:
        running.append(pool.submit(task))
        if len(running) >= WORKERS:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


class Part:
    """The rows of one part, in a file, as they come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._open: ExitStack | None = None

    def add(self, rows: pa.Table) -> None:
        """Append rows; threads may do so at once."""
        with self._lock:
            if self._open is None:
                self._open = ExitStack()
                file = self._open.enter_context(pa.OSFile(str(self._path), "wb"))
                self._writer = self._open.enter_context(pa.ipc.new_stream(file, rows.schema))
            self._writer.write_table(rows)

    def sorted(self) -> pa.Table:
        """All its rows by rank. The file is gone afterwards."""
        assert self._open, "there must be a row for some rank of every part"
        self._open.close()
        with pa.OSFile(str(self._path)) as file, pa.ipc.open_stream(file) as reader:
            rows = reader.read_all()
        self._path.unlink()
        return rows.take(np.argsort(rows[RANK].to_numpy()))


def scatter(readings: list[Reading], parts: list[Part], rows_per_part: int, pool: ThreadPoolExecutor) -> None:
    """Put each row of the readings into its part."""
    tasks = []
    for reading in readings:
        first = 0
        for file in parquet_files(reading.folder):
            rows = pq.read_metadata(file).num_rows
            low, high = np.searchsorted(reading.places, [first, first + rows])
            if high > low:
                tasks.append(pool.submit(scatter_file, file, first, reading, parts, rows_per_part))
            first += rows
    for task in tasks:
        task.result()


def scatter_file(file: Path, first: int, reading: Reading, parts: list[Part], rows_per_part: int) -> None:
    """Put the rows of one file into their parts; its first row has the place `first`."""
    for rows, ranks in gathered(taken_rows(file, first, reading)):
        order = np.argsort(ranks)
        ranks, rows = ranks[order], reading.convert(rows, order).append_column(RANK, pa.array(ranks[order]))
        numbers = ranks // rows_per_part
        for start, stop in zip(*bounds(numbers), strict=True):
            parts[numbers[start]].add(rows.slice(start, stop - start))


def taken_rows(file: Path, first: int, reading: Reading) -> Iterator[tuple[pa.Table, np.ndarray]]:
    """The wanted rows of a file and their ranks, from one row group after the other."""
    with pq.ParquetFile(file) as shard:
        for number in range(shard.num_row_groups):
            rows = shard.metadata.row_group(number).num_rows
            low, high = np.searchsorted(reading.places, [first, first + rows])
            if high > low:
                table = shard.read_row_group(number, columns=reading.columns, use_threads=False)
                yield table.take(reading.places[low:high] - first), reading.ranks[low:high]
            first += rows


def gathered(found: Iterator[tuple[pa.Table, np.ndarray]]) -> Iterator[tuple[pa.Table, np.ndarray]]:
    """The same rows in larger tables."""
    tables: list[pa.Table] = []
    ranks: list[np.ndarray] = []
    for table, more in found:
        tables.append(table)
        ranks.append(more)
        if sum(map(len, ranks)) >= ROWS_AT_ONCE:
            yield pa.concat_tables(tables), np.concatenate(ranks)
            tables, ranks = [], []
    if tables:
        yield pa.concat_tables(tables), np.concatenate(ranks)


def bounds(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where runs of equal numbers start and stop."""
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    return starts, np.append(starts[1:], len(numbers))
