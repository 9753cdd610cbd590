"""Download one hub dataset at a pinned commit.

In:  a dataset of the hub (or a folder in the same form)
Out: data/hub/<set>/
"""

from pathlib import Path

import pyarrow as pa

from stages.lib.console.errors import UserError
from stages.lib.core.files import ROWS_SUMMARY, new_folder, write_json
from stages.lib.models.hub import commit_of
from stages.lib.records.readers import unnest
from stages.lib.records.shards import write_table
from stages.lib.settings.reading import load_entry, run
from stages.lib.settings.sections import Hub


def pin(hub: Hub) -> str:
    """The commit that is fetched; of a local folder, its revision as it stands."""
    return hub.revision if Path(hub.repository).is_dir() else commit_of(hub.repository, hub.revision, "dataset")


def download(hub: Hub, commit: str) -> pa.Table:
    """Download a dataset's columns as a table; raise UserError when the hub does not give them."""
    import datasets

    revision = None if Path(hub.repository).is_dir() else commit
    try:
        found = datasets.load_dataset(hub.repository, hub.config or None, split=hub.split, revision=revision)
    except (OSError, ValueError) as error:  # of the hub, the network, and a split or config that is not there
        raise UserError(f"{hub.repository} at {commit}: {' '.join(str(error).split())}") from None
    table: pa.Table = unnest(found.with_format("arrow")[:])
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
    commit = pin(hub)
    table = download(hub, commit)
    with new_folder(Path("data/hub") / key) as folder:
        write_table(folder, table)
        write_json(folder / ROWS_SUMMARY, {**hub.model_dump(), "rows": table.num_rows, "commit": commit})


if __name__ == "__main__":
    run(main)
