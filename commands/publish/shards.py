"""Parquet files as the model hub likes them: numbered with their total, in pages that are cut by content."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.records.shards import ROWS_PER_GROUP

SHARD_BYTES = 300_000_000  # after which a file ends
# Pages that are cut by content let the hub store a changed set as what changed; the index lets it read single pages.
OPTIONS = {"compression": "zstd", "use_content_defined_chunking": True, "write_page_index": True}


def write_shards(
    folder: Path, tables: Iterable[pa.Table], schema: pa.Schema, shard_bytes: int = SHARD_BYTES
) -> list[Path]:
    """Write tables as train-00000-of-000NN.parquet …; equal rows give equal bytes, however the tables are cut.

    Memory holds one row group. Returns the files; none when there are no rows.
    """
    folder.mkdir(parents=True)
    drafts: list[Path] = []
    groups = row_groups(tables, schema)
    group = next(groups, None)
    while group is not None:
        drafts.append(folder / f"{len(drafts):05d}.tmp")
        with drafts[-1].open("wb") as file, pq.ParquetWriter(file, schema, **OPTIONS) as writer:
            while group is not None:
                writer.write_table(group)
                group = next(groups, None)
                if file.tell() >= shard_bytes:
                    break
    return [
        draft.rename(folder / f"train-{number:05d}-of-{len(drafts):05d}.parquet") for number, draft in enumerate(drafts)
    ]


def row_groups(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the rows of tables again as tables of ROWS_PER_GROUP rows; the last may be shorter."""
    pending = schema.empty_table()
    for table in tables:
        pending = pa.concat_tables([pending, table])
        while pending.num_rows >= ROWS_PER_GROUP:
            yield pending.slice(0, ROWS_PER_GROUP).combine_chunks()
            pending = pending.slice(ROWS_PER_GROUP)
    if pending.num_rows:
        yield pending.combine_chunks()
