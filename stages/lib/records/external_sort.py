"""Sort the rows of many files by rank without holding them in memory: an external distribution sort.

Each row is appended to the file of its partition, a range of ranks; the partitions are then sorted one by one. A worker
holds one partition in memory, never the data.
"""

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
ROWS_PER_PARTITION = 5_000  # in memory at once, in each worker
ROWS_PER_BATCH = 8_000  # a worker collects this many rows before it distributes them
BYTES_PER_BATCH = 1 << 27  # or this many bytes
WORKERS = min(4, len(os.sched_getaffinity(0)))


@dataclass(frozen=True, slots=True)
class RowSelection:
    """The rows to read from the parquet files of a folder, and the rank of each."""

    folder: Path
    columns: list[str]
    convert: Callable[[pa.Table, np.ndarray], pa.Table]  # (rows as read, an order of them) -> rows as wanted, in it
    row_indices: np.ndarray  # counted through all files of the folder; a row may be selected twice
    ranks: np.ndarray  # one per row index; no rank twice

    def sorted_by_row(self) -> "RowSelection":
        """Sort the selection by row index."""
        order = np.argsort(self.row_indices, kind="stable")
        return RowSelection(self.folder, self.columns, self.convert, self.row_indices[order], self.ranks[order])


def read_by_rank(selections: list[RowSelection], rows_per_partition: int = ROWS_PER_PARTITION) -> Iterator[pa.Table]:
    """Yield the rows of all selections by rank, `rows_per_partition` ranks in each table, with a column `rank`."""
    with ThreadPoolExecutor(WORKERS) as pool, partitioned(selections, rows_per_partition, pool) as partitions:
        yield from prefetch(pool, (partition.sorted for partition in partitions))


@contextmanager
def partitioned(
    selections: list[RowSelection], rows_per_partition: int, pool: ThreadPoolExecutor
) -> Iterator[list["Partition"]]:
    """Distribute the selected rows over partitions by rank; their content depends on the ranks alone."""
    num_ranks = max((int(selection.ranks.max(initial=-1)) for selection in selections), default=-1) + 1
    with TemporaryDirectory(dir=scratch_folder()) as folder:
        num_partitions = -(-num_ranks // rows_per_partition)
        partitions = [Partition(Path(folder) / str(number)) for number in range(num_partitions)]
        by_row = [selection.sorted_by_row() for selection in selections]
        partition_rows(by_row, partitions, rows_per_partition, pool)
        yield partitions


def scratch_folder() -> Path:
    """Create the folder for partitions: beside the data, because /tmp may be memory."""
    folder = Path(".dvc/tmp/rewild")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def prefetch(pool: ThreadPoolExecutor, tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
    """Yield the results of tasks in order, while the pool works on the next WORKERS of them."""
    running = deque[Future[T]]()
    for task in tasks:
        running.append(pool.submit(task))
        if len(running) >= WORKERS:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


class Partition:
    """A file of the rows of one range of ranks, in the order in which they arrive."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._open: ExitStack | None = None

    def add(self, rows: pa.Table) -> None:
        """Append rows; may be called by several threads at once."""
        with self._lock:
            if self._open is None:
                self._open = ExitStack()
                file = self._open.enter_context(pa.OSFile(str(self._path), "wb"))
                self._writer = self._open.enter_context(pa.ipc.new_stream(file, rows.schema))
            self._writer.write_table(rows)

    def sorted(self) -> pa.Table:
        """Read all rows, sort them by rank and delete the file."""
        assert self._open, "there must be a row for some rank of every partition"
        self._open.close()
        with pa.OSFile(str(self._path)) as file, pa.ipc.open_stream(file) as reader:
            rows = reader.read_all()
        self._path.unlink()
        return rows.take(np.argsort(rows[RANK].to_numpy()))


def partition_rows(
    selections: list[RowSelection], partitions: list[Partition], rows_per_partition: int, pool: ThreadPoolExecutor
) -> None:
    """Append every selected row to its partition; the selections must be sorted by row."""
    tasks = []
    for selection in selections:
        first_row = 0
        for file in parquet_files(selection.folder):
            num_rows = pq.read_metadata(file).num_rows
            low, high = np.searchsorted(selection.row_indices, [first_row, first_row + num_rows])
            if high > low:
                tasks.append(pool.submit(partition_file, file, first_row, selection, partitions, rows_per_partition))
            first_row += num_rows
    for task in tasks:
        task.result()


def partition_file(
    file: Path, first_row: int, selection: RowSelection, partitions: list[Partition], rows_per_partition: int
) -> None:
    """Append the selected rows of one file to their partitions; its first row has the index `first_row`."""
    for table, unsorted in rebatched(read_selected(file, first_row, selection)):
        order = np.argsort(unsorted)
        ranks = unsorted[order]
        rows = selection.convert(table, order).append_column(RANK, pa.array(ranks))
        numbers = ranks // rows_per_partition
        for start, stop in zip(*run_bounds(numbers), strict=True):
            partitions[numbers[start]].add(rows.slice(start, stop - start))


def read_selected(file: Path, first_row: int, selection: RowSelection) -> Iterator[tuple[pa.Table, np.ndarray]]:
    """Yield the selected rows of a file with their ranks, one row group at a time."""
    indices = selection.row_indices
    with pq.ParquetFile(file) as shard:
        for number in range(shard.num_row_groups):
            num_rows = shard.metadata.row_group(number).num_rows
            low, high = np.searchsorted(indices, [first_row, first_row + num_rows])
            if high > low:
                table = shard.read_row_group(number, columns=selection.columns, use_threads=False)
                yield table.take(indices[low:high] - first_row), selection.ranks[low:high]
            first_row += num_rows


def rebatched(batches: Iterator[tuple[pa.Table, np.ndarray]]) -> Iterator[tuple[pa.Table, np.ndarray]]:
    """Join small batches of rows and ranks until they have ROWS_PER_BATCH rows or BYTES_PER_BATCH."""
    tables: list[pa.Table] = []
    ranks: list[np.ndarray] = []
    for table, table_ranks in batches:
        tables.append(table)
        ranks.append(table_ranks)
        if sum(map(len, ranks)) >= ROWS_PER_BATCH or sum(part.nbytes for part in tables) >= BYTES_PER_BATCH:
            yield pa.concat_tables(tables), np.concatenate(ranks)
            tables, ranks = [], []
    if tables:
        yield pa.concat_tables(tables), np.concatenate(ranks)


def run_bounds(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the starts and stops (exclusive) of runs of equal, non-negative numbers."""
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    return starts, np.append(starts[1:], len(numbers))
