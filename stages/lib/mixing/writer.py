"""Shuffle the selected rows of all sources and write them as the shards of a mix, counted in a manifest."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.lib.console.shell import progress
from stages.lib.core.files import new_folder
from stages.lib.mixing.manifest import Manifest
from stages.lib.mixing.selection import Source, number_repeats, shuffle_ranks
from stages.lib.mixing.token_lengths import TokenCounter, truncate_to_reference
from stages.lib.records.chats import CHAT
from stages.lib.records.external_sort import (
    RANK,
    ROWS_PER_PARTITION,
    WORKERS,
    Partition,
    RowSelection,
    partitioned,
    prefetch,
)
from stages.lib.records.shards import ROWS_PER_GROUP, ROWS_PER_SHARD, chunks, shard_path

# Rows with their references -> the rows to write, and how many replies were truncated.
Truncate = Callable[[pa.Table], tuple[pa.Table, int]]


@dataclass(frozen=True, slots=True)
class MixPart:
    """The rows that a mix takes from one source, and the rank of each in the mix."""

    source: Source
    row_indices: np.ndarray
    ranks: np.ndarray

    @property
    def names(self) -> pa.ChunkedArray:
        """The conversation hashes of the rows."""
        return self.source.candidates.names.take(self.row_indices)

    @property
    def languages(self) -> pa.ChunkedArray:
        """The languages of their prompts."""
        return self.source.candidates.languages.take(self.row_indices)


def shuffle(sources: dict[str, Source], row_indices: dict[str, np.ndarray], seed: int) -> list[MixPart]:
    """Shuffle the selected rows of all sources."""
    rows = {
        name: (sources[name].candidates.names.take(indices), number_repeats(indices))
        for name, indices in row_indices.items()
    }
    ranks = shuffle_ranks(seed, rows)
    return [MixPart(source, row_indices[name], ranks[name]) for name, source in sources.items()]


def write_mix(mix: Path, parts: list[MixPart], reference: Source | None, counter: TokenCounter) -> Manifest:
    """Write the shards of a mix, several at once, and count what they hold."""
    manifest = Manifest(column_by_rank(parts, "names"), column_by_rank(parts, "languages"))
    truncate = partial(truncate_to_reference, counter=counter) if reference else keep_whole
    rows_per_partition = (2 if reference else 1) * ROWS_PER_PARTITION
    with (
        new_folder(mix) as folder,
        ThreadPoolExecutor(WORKERS) as pool,
        partitioned(select_rows(parts, reference), rows_per_partition, pool) as partitions,
    ):
        shards = list(enumerate(chunks(partitions, ROWS_PER_SHARD // ROWS_PER_PARTITION)))
        tasks = (partial(write_partitions, folder, *shard, truncate, counter, manifest) for shard in shards)
        for _ in progress(prefetch(pool, tasks), desc=mix.name, unit="shards", total=len(shards)):
            pass
    return manifest


def keep_whole(table: pa.Table) -> tuple[pa.Table, int]:
    """Truncate nothing: return the rows and 0."""
    return table, 0


def select_rows(parts: list[MixPart], reference: Source | None) -> list[RowSelection]:
    """Select the rows of a mix; with a reference, double their ranks and put its conversations right behind them."""
    if not reference:
        return [part.source.select(part.row_indices, part.ranks) for part in parts]
    names = reference.candidates.names.combine_chunks()
    rows = [part.source.select(part.row_indices, 2 * part.ranks) for part in parts]
    references = [
        reference.select(pc.index_in(part.names, value_set=names).to_numpy(), 2 * part.ranks + 1)
        for part in parts
        if part.source.is_dgm
    ]
    return [*rows, *references]


def write_partitions(
    folder: Path,
    number: int,
    partitions: list[Partition],
    truncate: Truncate,
    counter: TokenCounter,
    manifest: Manifest,
) -> None:
    """Write a few partitions as the shard with this number."""
    with pq.ParquetWriter(shard_path(folder, number), CHAT, compression="zstd") as writer:
        for index, partition in enumerate(partitions):
            table, cut_replies = truncate(partition.sorted())
            table = table.drop([RANK])
            first_row = number * ROWS_PER_SHARD + index * ROWS_PER_PARTITION
            manifest.add(first_row, table, counter.count(table["messages"]), cut_replies)
            writer.write_table(table, row_group_size=ROWS_PER_GROUP)


def column_by_rank(parts: list[MixPart], column: str) -> pa.Array:
    """Return a column of all parts (`names` or `languages`) in the order of the mix."""
    values = pa.chunked_array([chunk for part in parts for chunk in getattr(part, column).chunks])
    return values.take(pa.array(np.argsort(np.concatenate([part.ranks for part in parts])))).combine_chunks()
