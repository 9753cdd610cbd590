"""Convert one auxiliary SFT set to chats (paper, Tab. 1).

In:  the parquet or JSON-lines file or folder that auxiliary.<set>.source names, or data/hub/<set>
Out: data/auxiliary/<set>/ (rows in the order of their hashes, not of the source; .summary.json counts the rest)
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line, progress
from stages.lib.core.files import ROWS_SUMMARY, new_folder, read_json, write_json
from stages.lib.core.types import Row
from stages.lib.mixing.external_sort import RANK, RowSelection, read_by_rank
from stages.lib.records.auxiliary_formats import FORMATS, MESSAGE_KEYS, AuxiliaryFormat
from stages.lib.records.chats import CHAT, count_turns
from stages.lib.records.hashing import content_hash
from stages.lib.records.readers import list_data_files, read_columns
from stages.lib.records.shards import ROWS_PER_SHARD, chunks, read_table, write_rows, write_shard
from stages.lib.settings.reading import load_entry, run
from stages.lib.settings.sections import Auxiliary

SHAREGPT_ROLES = {"human": "user", "gpt": "assistant"}


@dataclass
class RowCounts:
    """Counts of a source's rows by what became of them."""

    rows: int = 0
    chats: int = 0  # equal ones too
    left_out: Counter[str] = field(default_factory=Counter)  # by reason
    turns: Counter[str] = field(default_factory=Counter)  # distinct chats by number of turns


def map_columns(present: list[str], auxiliary: Auxiliary, file: Path) -> dict[str, str]:
    """Map our column names to a file's; raise UserError for a column that it lacks."""
    form = FORMATS[auxiliary.format]
    needed = [name for name in (*form.columns, *auxiliary.columns) if name not in MESSAGE_KEYS]
    names = {name: auxiliary.columns.get(name, name) for name in needed}
    for name, column in names.items():
        if column not in present:
            raise UserError(
                f"{file} has no column {column!r}, which the format {auxiliary.format!r} needs; it has: "
                f"{', '.join(present)}. Under another name: `columns: {{{name}: <its name>}}`"
            )
    optional = [name for name in form.optional if name in present and name not in (*names, *MESSAGE_KEYS)]
    return names | {name: name for name in optional}


def standardize_messages(messages: object, columns: dict[str, str]) -> object:
    """Rename the keys of messages to `role` and `content`, and ShareGPT's roles to ours; keep anything else."""
    if not isinstance(messages, list):
        return messages
    role, content = (columns.get(key, key) for key in MESSAGE_KEYS)
    return [
        {"role": SHAREGPT_ROLES.get(str(message.get(role)), message.get(role)), "content": message.get(content)}
        if isinstance(message, dict)
        else message
        for message in messages
    ]


def read_source(auxiliary: Auxiliary) -> Iterator[Row]:
    """Yield the rows of a set under our column names; raise UserError for a file that cannot be read."""
    for file in list_data_files(Path(auxiliary.source), auxiliary.files):
        for row in read_columns(file, partial(map_columns, auxiliary=auxiliary, file=file)):
            if "messages" in row:
                row["messages"] = standardize_messages(row["messages"], auxiliary.columns)
            yield row


def to_chats(rows: Iterable[Row], key: str, form: AuxiliaryFormat, counts: RowCounts) -> Iterator[Row]:
    """Convert the rows of a set to rows of CHAT; count those left out by reason."""
    for row in rows:
        counts.rows += 1
        messages = form.to_messages(row)
        if isinstance(messages, str):
            counts.left_out[messages] += 1
        else:
            counts.chats += 1
            yield {"conversation_hash": content_hash(messages), "source": key, "messages": messages}


def sort_distinct(names: pa.ChunkedArray) -> np.ndarray:
    """Return the indices of distinct names in the order of the names."""
    order = pc.sort_indices(names)
    ordered = names.take(order)
    is_new = pc.not_equal(ordered[1:], ordered[:-1]).to_numpy()
    indices: np.ndarray = order.to_numpy()[np.append(True, is_new)]
    return indices


def write_sorted(chats: Iterable[Row], folder: Path, counts: RowCounts) -> None:
    """Write distinct chats in the order of their hashes: first as they come, to a draft, then sorted."""
    with TemporaryDirectory(dir=folder) as draft:
        for number, shard in enumerate(chunks(chats)):
            write_rows(Path(draft), number, shard, CHAT)
        if not counts.chats:
            return
        row_indices = sort_distinct(read_table(Path(draft), ["conversation_hash"])["conversation_hash"])
        ranks = np.arange(len(row_indices))
        selection = RowSelection(Path(draft), CHAT.names, pa.Table.take, row_indices, ranks)
        for number, table in enumerate(read_by_rank([selection], ROWS_PER_SHARD)):
            counts.turns.update(map(str, count_turns(table["messages"]).to_pylist()))
            write_shard(folder, number, table.drop([RANK]))


def read_origin(source: Path) -> dict[str, str]:
    """Read the repository and commit of a hub set that `fetch` wrote; empty for any other source."""
    path = source / ROWS_SUMMARY
    summary = read_json(path) if path.exists() else {}
    return {name: summary[name] for name in ("repository", "commit") if name in summary}


def summarize(auxiliary: Auxiliary, counts: RowCounts) -> dict[str, Any]:
    """Return the set's summary; raise UserError if none of its rows became a chat."""
    num_chats = counts.turns.total()
    left_out = dict(sorted((counts.left_out + Counter(duplicate=counts.chats - num_chats)).items()))
    if not num_chats:
        raise UserError(f"{auxiliary.source}: none of its {counts.rows} rows becomes a chat: {left_out}")
    return {
        "rows": num_chats,
        "left_out": left_out,
        "turns": counts.turns,
        "license": auxiliary.license,
        "source": auxiliary.source,
        "origin": read_origin(Path(auxiliary.source)),
    }


READS = ("auxiliary.*",)


def main(key: str) -> None:
    """Convert the set that `auxiliary.<key>` names."""
    auxiliary = load_entry(Auxiliary, key)
    counts = RowCounts()
    rows = progress(read_source(auxiliary), desc=key, unit="rows")
    with new_folder(Path("data/auxiliary") / key) as folder:
        write_sorted(to_chats(rows, key, FORMATS[auxiliary.format], counts), folder, counts)
        summary = summarize(auxiliary, counts)
        write_json(folder / ROWS_SUMMARY, summary)
    log_line(f"{key}: {summary['rows']} of {counts.rows} rows; left out: {summary['left_out'] or 'none'}")


if __name__ == "__main__":
    run(main)
