"""Download one hub dataset at a pinned commit.

In:  a dataset of the hub (or a folder in the same form)
Out: data/hub/<set>/
"""

from pathlib import Path

import pyarrow as pa
from pydantic import Field

from stages.lib.params import Section, UserError, load_entry
from stages.lib.shards import new_folder, write_json, write_table
from stages.lib.shell import run


class Hub(Section):
    """An entry of `hub`."""

    repository: str
    config: str = ""
    revision: str  # a commit is a pin; the commit that a branch named is written into summary.json
    split: str = "train"
    columns: list[str] = Field(default=[])  # empty: all


def download(hub: Hub) -> pa.Table:
    """Download a dataset's columns as a table; raise UserError when the hub does not give them."""
    import datasets
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        found = datasets.load_dataset(hub.repository, hub.config or None, split=hub.split, revision=hub.revision)
    except (ConnectionError, datasets.exceptions.DatasetNotFoundError, HfHubHTTPError, OfflineModeIsEnabled) as error:
        raise UserError(f"{hub.repository} at {hub.revision}: {' '.join(str(error).split())}") from None
    missing = set(hub.columns) - set(found.column_names)
    if missing:
        raise UserError(
            f"{hub.repository} has no column {sorted(missing)[0]!r}; it has: {', '.join(found.column_names)}"
        )
    table: pa.Table = found.with_format("arrow")[:]
    return table.select(hub.columns or found.column_names)


def main(key: str) -> None:
    """Fetch the dataset that `hub.<key>` names."""
    hub = load_entry("hub", key, Hub)
    table = download(hub)
    with new_folder(Path("data/hub") / key) as folder:
        write_table(folder, table)
        write_json(folder / "summary.json", {"rows": table.num_rows, **hub.model_dump()})


if __name__ == "__main__":
    run(main)
