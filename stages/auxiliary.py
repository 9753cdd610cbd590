"""Convert one auxiliary SFT set to chats (paper, Tab. 1).

In:  the parquet or JSON-lines file or folder that auxiliary.<set>.source names, or data/hub/<set>
Out: data/auxiliary/<set>/ (rows in the order of their hashes, not of the source; .summary.json counts the rest)
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line, progress
from stages.lib.core.files import ROWS_SUMMARY, new_folder, read_json, write_json
from stages.lib.core.types import Row
from stages.lib.readers.auxiliary_formats import FORMATS
from stages.lib.readers.columns import auxiliary_columns
from stages.lib.readers.drafts import draft_of, read_in_order
from stages.lib.readers.files import list_data_files
from stages.lib.readers.keys import KeyedRows
from stages.lib.readers.reasons import Reason, UnreadableRows
from stages.lib.readers.rows import read_rows
from stages.lib.records.chats import CHAT, count_turns
from stages.lib.records.hashing import content_hash
from stages.lib.records.shards import write_tables
from stages.lib.settings.reading import load_entry, run
from stages.lib.settings.sections import Auxiliary


@dataclass
class RowCounts:
    """Counts of a source's rows by what became of them."""

    unreadable: UnreadableRows = field(default_factory=UnreadableRows)
    left_out: Counter[str] = field(default_factory=Counter)  # by reason, without the unreadable
    keyed: KeyedRows = field(default_factory=KeyedRows)  # the chats, equal ones too
    turns: Counter[str] = field(default_factory=Counter)  # distinct chats by number of turns

    def all_left_out(self) -> dict[str, int]:
        """Count the rows that are left out by reason."""
        return dict(sorted((self.left_out + self.unreadable.counts).items()))


def read_source(auxiliary: Auxiliary, unreadable: UnreadableRows) -> Iterator[Row]:
    """Yield the rows of a set under our column names; raise UserError for a file that cannot be read."""
    for file in list_data_files(Path(auxiliary.source), auxiliary.files):
        choose = partial(auxiliary_columns, format_name=auxiliary.format, renamed=auxiliary.columns, file=file)
        yield from read_rows(file, choose, unreadable)


def to_chats(rows: Iterable[Row], key: str, auxiliary: Auxiliary, counts: RowCounts) -> Iterator[Row]:
    """Convert the rows of a set to rows of CHAT; count those left out by reason."""
    form = FORMATS[auxiliary.format]
    for row in rows:
        messages = form.to_messages(row, auxiliary.columns)
        if isinstance(messages, Reason):
            counts.left_out[messages.name] += 1
            continue
        name = content_hash(messages)
        counts.keyed.add(name[16:], int(name[:16], 16), "")  # chats with one name are equal
        yield {"conversation_hash": name, "source": key, "messages": messages}


def write_sorted(chats: Iterable[Row], folder: Path, counts: RowCounts) -> None:
    """Write distinct chats in the order of their hashes: first as they come, to a draft, then sorted."""
    with draft_of(chats, CHAT, folder) as draft:
        choice = counts.keyed.choose()
        counts.left_out["duplicate"] += choice.duplicates
        write_tables(folder, count_chats(read_in_order(draft, CHAT, choice.rows), counts.turns), CHAT)


def count_chats(tables: Iterable[pa.Table], turns: Counter[str]) -> Iterator[pa.Table]:
    """Yield tables of CHAT as they are; count their chats by number of turns."""
    for table in tables:
        turns.update(map(str, count_turns(table["messages"]).to_pylist()))
        yield table


def read_origin(source: Path) -> dict[str, str]:
    """Read the repository and commit of a hub set that `fetch` wrote; empty for any other source."""
    path = source / ROWS_SUMMARY
    summary = read_json(path) if path.exists() else {}
    return {name: summary[name] for name in ("repository", "commit") if name in summary}


def summarize(auxiliary: Auxiliary, counts: RowCounts) -> dict[str, Any]:
    """Return the set's summary; raise UserError if none of its rows became a chat."""
    num_chats, left_out = counts.turns.total(), counts.all_left_out()
    if not num_chats:
        raise UserError(f"{auxiliary.source}: none of its {sum(left_out.values())} rows becomes a chat: {left_out}")
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
    rows = progress(read_source(auxiliary, counts.unreadable), desc=key, unit="rows")
    with new_folder(Path("data/auxiliary") / key) as folder:
        write_sorted(to_chats(rows, key, auxiliary, counts), folder, counts)
        counts.unreadable.log()
        summary = summarize(auxiliary, counts)
        write_json(folder / ROWS_SUMMARY, summary)
    num_rows = summary["rows"] + sum(summary["left_out"].values())
    log_line(f"{key}: {summary['rows']} of {num_rows} rows; left out: {summary['left_out'] or 'none'}")


if __name__ == "__main__":
    run(main)
