"""Download one hub dataset at a pinned commit.

In:  a dataset of the hub (or a folder in the same form, or a copy in $REWILD_MODELS)
Out: data/hub/<set>/ (.summary.json has its commit)
"""

from pathlib import Path

import pyarrow as pa

from stages.lib.console.errors import UserError
from stages.lib.core.files import ROWS_SUMMARY, new_folder, write_json
from stages.lib.models.hub import commit_of, find_copy
from stages.lib.readers.parquet_rows import unnest
from stages.lib.records.shards import write_table
from stages.lib.settings.reading import load_entry, run
from stages.lib.settings.sections import Hub


def use_copy(hub: Hub, key: str) -> Hub:
    """Return the entry with the folder and digest of the copy that $REWILD_MODELS holds; without it, as it is."""
    if Path(hub.repository).is_dir() or not (copy := find_copy(hub.repository, hub.revision, key, "dataset")):
        return hub
    return hub.model_copy(update={"repository": str(copy.folder), "revision": copy.commit})


def resolve_commit(hub: Hub) -> str:
    """Resolve the revision to a commit; of a local folder, return it as it is."""
    return hub.revision if Path(hub.repository).is_dir() else commit_of(hub.repository, hub.revision, "dataset")


def download(hub: Hub, commit: str) -> pa.Table:
    """Download a dataset's columns as a table; raise UserError if it cannot be loaded or lacks a column."""
    import datasets

    revision = None if Path(hub.repository).is_dir() else commit
    try:
        dataset = datasets.load_dataset(hub.repository, hub.config or None, split=hub.split, revision=revision)
    # The hub, the network, or a split or config that does not exist.
    except (OSError, ValueError) as error:
        raise UserError(f"{hub.repository} at {commit}: {' '.join(str(error).split())}") from None
    table: pa.Table = unnest(dataset.with_format("arrow")[:])
    missing = set(hub.columns) - set(table.column_names)
    if missing:
        raise UserError(
            f"{hub.repository} has no column {sorted(missing)[0]!r}; it has: {', '.join(table.column_names)}"
        )
    return table.select(hub.columns or table.column_names)


READS = ("hub.*",)


def main(key: str) -> None:
    """Fetch the dataset that `hub.<key>` names."""
    hub = load_entry(Hub, key)
    source = use_copy(hub, key)
    commit = resolve_commit(source)
    table = download(source, commit)
    with new_folder(Path("data/hub") / key) as folder:
        write_table(folder, table)
        write_json(folder / ROWS_SUMMARY, {**hub.model_dump(), "rows": table.num_rows, "commit": commit})


if __name__ == "__main__":
    run(main)
