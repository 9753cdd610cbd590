"""The store of conversations, answers and judges' replies: list, verify, refill and prune it. Not a stage.

python -m commands.store list                   what it holds: <dgm>, <model>.answers, <judge>.verdicts
python -m commands.store verify [DGM ...]       read every segment; exit 1 when one is corrupt
python -m commands.store add [DGM ...]          put data/responses/<dgm>, such as from `dvc pull`, into it
python -m commands.store prune [DGM ...]        one segment instead of many, without corrupt ones and repeated rows;
                                              --unused: and without what data/responses/<dgm> does not hold,
                                              and without the tasks of evaluations that were interrupted
                                              --failed: and without what failed, so that it is generated again
"""

import argparse
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.console.errors import UserError
from stages.lib.console.shell import exit_on_user_error, log_line
from stages.lib.core.store import store_folder
from stages.lib.evaluation.finished import FOLDER
from stages.lib.generation.costs import COST, attribute_no_cost
from stages.lib.generation.store import ANSWERS, SEGMENT, VERDICTS, Store, read_segment
from stages.lib.records.responses import RESPONSE, TokenKind, count_tokens
from stages.lib.records.shards import read_table

RESPONSES, LEDGERS = Path("data/responses"), Path("data/ledger")


def read_all(store: Store) -> tuple[pa.Table, list[Path], list[Path]]:
    """Read all rows of a store; return them, its segments, and which of these are corrupt."""
    tables = {segment: read_segment(segment) for segment in store.segments()}
    corrupt = [segment for segment, table in tables.items() if table is None]
    intact = [table for table in tables.values() if table is not None]
    return pa.concat_tables([SEGMENT.empty_table(), *intact]), list(tables), corrupt


def row_keys(table: pa.Table) -> pa.ChunkedArray:
    """Return a text for each row that is equal for repeated rows: the same identity, status and number of tokens."""
    tokens = table["completion_tokens"].cast(pa.string())
    return pc.binary_join_element_wise(table["identity"], table["status"], tokens, "/")


def first_rows(table: pa.Table) -> pa.Table:
    """Drop the rows of a table that repeat an earlier one."""
    _, rows = np.unique(row_keys(table).to_numpy(), return_index=True)
    return table.take(np.sort(rows))


def describe(store: Store) -> str:
    """Describe the contents of a store in one line."""
    table, segments, corrupt = read_all(store)
    distinct = first_rows(table).num_rows
    engines = ", ".join(sorted(pc.unique(table["engine"]).to_pylist()))
    megabytes = sum(segment.stat().st_size for segment in segments) / 1e6
    return (
        f"{store.dgm}: {distinct} conversations ({table.num_rows - distinct} repeated) by {engines or 'none'}, "
        f"{len(segments)} segments ({len(corrupt)} corrupt), {megabytes:.1f} MB"
    )


def verify(store: Store) -> int:
    """Read every segment of a store; return how many are corrupt."""
    _, segments, corrupt = read_all(store)
    log_line(f"{store.dgm}: {len(segments) - len(corrupt)} of {len(segments)} segments are intact")
    return len(corrupt)


def add(store: Store) -> None:
    """Put the conversations of data/responses/<dgm> that a store lacks into it."""
    rows = read_table(RESPONSES / store.dgm, RESPONSE.names)
    ledger = LEDGERS / store.dgm
    costs = read_table(ledger) if ledger.exists() else zero_ledger(rows)
    if not costs["identity"].equals(rows["identity"]):
        raise UserError(
            f"{ledger} and {RESPONSES / store.dgm} come from different runs: `dvc pull generate@{store.dgm}`"
        )
    for name, _ in COST:
        rows = rows.append_column(name, costs[name])
    known = row_keys(read_all(store)[0]).combine_chunks()
    new = rows.filter(pc.invert(pc.is_in(row_keys(rows), value_set=known)))
    if new.num_rows:
        store.write(new.cast(SEGMENT))
    log_line(f"{store.dgm}: {new.num_rows} conversations added, {rows.num_rows - new.num_rows} were there")


def zero_ledger(rows: pa.Table) -> pa.Table:
    """Build the ledger of conversations whose tokens are known, and no other cost."""
    turns = rows["turns"].to_pylist()
    costs = [{name: count_tokens(chat, name) for name in get_args(TokenKind)} | {"cached_tokens": 0} for chat in turns]
    ledger = pa.Table.from_pylist(attribute_no_cost(costs), schema=pa.schema(COST))
    return ledger.append_column("identity", rows["identity"])


def prune(store: Store, *, unused: bool, failed: bool) -> None:
    """Rewrite a store as one segment without repeated rows, and without unused or failed ones if so asked."""
    with store.exclusive():
        table, segments, corrupt = read_all(store)
        kept = first_rows(table)
        if failed:
            kept = kept.filter(pc.not_equal(kept["status"], "failed"))
        if unused:
            kept = used_rows(kept, store)
        if len(segments) > 1 or kept.num_rows < table.num_rows:
            if kept.num_rows:
                store.write(kept)
            for segment in segments:
                segment.unlink()
    removed = f"removed: {table.num_rows - kept.num_rows}, and {len(corrupt)} corrupt segments"
    log_line(f"{store.dgm}: {kept.num_rows} conversations kept; {removed}")


def used_rows(table: pa.Table, store: Store) -> pa.Table:
    """Drop the rows of a store that data/responses/<dgm> does not hold; of answers and a judge's replies none."""
    for suffix, what in ((ANSWERS, "answers"), (VERDICTS, "a judge's replies")):
        if store.dgm.endswith(suffix):
            log_line(f"{store.dgm}: {what} are all kept")
            return table
    used = read_table(RESPONSES / store.dgm, ["identity"])["identity"].combine_chunks()
    return table.filter(pc.is_in(table["identity"], value_set=used))


def parse_arguments(words: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m commands.store", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("list", "verify", "add", "prune"))
    parser.add_argument("dgm", nargs="*")
    parser.add_argument("--unused", action="store_true", help="prune: remove what data/responses does not hold")
    parser.add_argument("--failed", action="store_true", help="prune: remove what failed, to generate it again")
    return parser.parse_intermixed_args(words)  # `prune --failed a`, as in the Makefile


def find_stores(arguments: argparse.Namespace) -> list[Store]:
    """Return the stores that the command line names, or all; raise UserError for a name that is not there."""
    folder = RESPONSES if arguments.action == "add" else store_folder()
    names = arguments.dgm or sorted(path.name for path in folder.glob("[!.]*") if path.is_dir())
    if not names:
        log_line(f"{folder} holds no DGM")
    for name in names:
        if not (folder / name).is_dir():
            raise UserError(f"{folder} has no {name!r}")
    return [Store(store_folder(), name) for name in names]


def main(words: list[str] | None = None) -> None:
    """Run the action of the command line on its stores."""
    arguments = parse_arguments(words)
    corrupt = 0
    for store in find_stores(arguments):
        if arguments.action == "list":
            log_line(describe(store))
        elif arguments.action == "verify":
            corrupt += verify(store)
        elif arguments.action == "add":
            add(store)
        else:
            prune(store, unused=arguments.unused, failed=arguments.failed)
    if arguments.unused and not arguments.dgm and (tasks := store_folder() / FOLDER).exists():
        shutil.rmtree(tasks)
        log_line("the finished tasks of evaluations that were interrupted are removed")
    if corrupt:
        raise UserError(
            f"corrupt segments (hash or schema mismatch): {corrupt}; generation skips them, `prune` removes them"
        )


if __name__ == "__main__":
    with exit_on_user_error("store"):
        main()
