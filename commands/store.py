"""The store of finished conversations and of judges' replies: list, verify, refill and prune it. Not a stage.

python -m commands.store list                   what it holds, by DGM and judge (<judge>.verdicts)
python -m commands.store verify [DGM ...]       read every segment; exit 1 when one is torn or foreign
python -m commands.store add [DGM ...]          put data/responses/<dgm>, from `dvc pull` say, into it
python -m commands.store prune [DGM ...]        one segment instead of many, without the torn ones and repeated rows;
                                              --unused: and without what data/responses/<dgm> does not hold
                                              --failed: and without what failed, so that it is asked again
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.console.errors import UserError
from stages.lib.console.shell import exit_on_user_error, log_line
from stages.lib.engines.base import Usage
from stages.lib.generation.costs import COST, attribute_cost
from stages.lib.generation.store import SEGMENT, Store, read_segment, store_folder
from stages.lib.judging.judge import STORE_SUFFIX
from stages.lib.records.shards import read_table

RESPONSES, LEDGERS = Path("data/responses"), Path("data/ledger")


def contents(store: Store) -> tuple[pa.Table, list[Path], list[Path]]:
    """All rows of a store, its segments, and which of them are torn or foreign."""
    tables = {segment: read_segment(segment) for segment in store.segments()}
    bad = [segment for segment, table in tables.items() if table is None]
    whole = [table for table in tables.values() if table is not None]
    return pa.concat_tables([SEGMENT.empty_table(), *whole]), list(tables), bad


def keys(table: pa.Table) -> pa.ChunkedArray:
    """What makes two rows repeats: the same identity and end, made under limits that led to as many tokens."""
    tokens = table["completion_tokens"].cast(pa.string())
    return pc.binary_join_element_wise(table["identity"], table["status"], tokens, "/")


def first_rows(table: pa.Table) -> pa.Table:
    """A table without the rows that repeat an earlier one."""
    _, rows = np.unique(keys(table).to_numpy(), return_index=True)
    return table.take(np.sort(rows))


def describe(store: Store) -> str:
    """What a store holds, in one line."""
    table, segments, bad = contents(store)
    distinct = first_rows(table).num_rows
    engines = ", ".join(sorted(pc.unique(table["engine"]).to_pylist()))
    megabytes = sum(segment.stat().st_size for segment in segments) / 1e6
    return (
        f"{store.dgm}: {distinct} conversations ({table.num_rows - distinct} repeated) by {engines or 'none'}, "
        f"{len(segments)} segments ({len(bad)} left aside), {megabytes:.1f} MB"
    )


def verify(store: Store) -> int:
    """Read every segment of a store; how many are torn or foreign."""
    _, segments, bad = contents(store)
    log_line(f"{store.dgm}: {len(segments) - len(bad)} of {len(segments)} segments are whole")
    return len(bad)


def add(store: Store) -> None:
    """Put the conversations of data/responses/<dgm> that a store lacks into it."""
    rows = read_table(RESPONSES / store.dgm)
    ledger = LEDGERS / store.dgm
    costs = read_table(ledger) if ledger.exists() else free(rows)
    if not costs["identity"].equals(rows["identity"]):
        raise UserError(f"{ledger} and {RESPONSES / store.dgm} are of different runs: `dvc pull generate@{store.dgm}`")
    for name, _ in COST:
        rows = rows.append_column(name, costs[name])
    known = keys(contents(store)[0]).combine_chunks()
    new = rows.filter(pc.invert(pc.is_in(keys(rows), value_set=known)))
    if new.num_rows:
        store.write(new.cast(SEGMENT))
    log_line(f"{store.dgm}: {new.num_rows} conversations added, {rows.num_rows - new.num_rows} were there")


def free(rows: pa.Table) -> pa.Table:
    """A ledger of conversations of which only the tokens are known."""
    turns = rows["turns"].to_pylist()
    known = ("prompt_tokens", "completion_tokens")
    costs = [{name: sum(turn[name] for turn in chat) for name in known} | {"cached_tokens": 0} for chat in turns]
    ledger = pa.Table.from_pylist(attribute_cost(costs, 0.0, Usage()), schema=pa.schema(COST))
    return ledger.append_column("identity", rows["identity"])


def prune(store: Store, *, unused: bool, failed: bool) -> None:
    """Write a store's rows anew as one segment, then remove the others."""
    with store.held():
        table, segments, bad = contents(store)
        kept = first_rows(table)
        if failed:
            kept = kept.filter(pc.not_equal(kept["status"], "failed"))
        if unused and store.dgm.endswith(STORE_SUFFIX):
            log_line(f"{store.dgm}: a judge's replies are all kept")
        elif unused:
            used = read_table(RESPONSES / store.dgm, ["identity"])["identity"].combine_chunks()
            kept = kept.filter(pc.is_in(kept["identity"], value_set=used))
        if len(segments) > 1 or kept.num_rows < table.num_rows:
            if kept.num_rows:
                store.write(kept)
            for segment in segments:
                segment.unlink()
    gone = table.num_rows - kept.num_rows
    log_line(
        f"{store.dgm}: {kept.num_rows} conversations kept; removed: {gone}, and {len(bad)} segments that were none"
    )


def main(words: list[str] | None = None) -> None:
    """Do what the command line says, for the DGMs that it names or all of the store."""
    parser = argparse.ArgumentParser(
        prog="python -m commands.store", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("list", "verify", "add", "prune"))
    parser.add_argument("dgm", nargs="*")
    parser.add_argument("--unused", action="store_true", help="prune: forget what data/responses does not hold")
    parser.add_argument("--failed", action="store_true", help="prune: forget what failed, so that it is asked again")
    asked = parser.parse_intermixed_args(words)  # `prune --failed a`, as in the Makefile
    folder = store_folder()
    found = RESPONSES if asked.action == "add" else folder
    names = asked.dgm or sorted(path.name for path in found.glob("*") if path.is_dir())
    if not names:
        log_line(f"{found} holds no DGM")
    bad = 0
    for name in names:
        if not (found / name).is_dir():
            raise UserError(f"{found} has no {name!r}")
        store = Store(folder, name)
        if asked.action == "list":
            log_line(describe(store))
        elif asked.action == "verify":
            bad += verify(store)
        elif asked.action == "add":
            add(store)
        else:
            prune(store, unused=asked.unused, failed=asked.failed)
    if bad:
        raise UserError(f"torn or foreign segments: {bad}; generation leaves them aside, `prune` removes them")


if __name__ == "__main__":
    with exit_on_user_error("store"):
        main()
