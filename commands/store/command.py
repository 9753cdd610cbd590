"""The store of conversations, answers and judges' replies: list, verify, seed, move and prune it. Not a stage.

python -m commands.store list                   what it holds: <dgm>, <model>.answers, <judge>.verdicts
python -m commands.store verify [DGM ...]       read every segment; exit 1 when one is corrupt
python -m commands.store add [DGM ...]          put data/responses/<dgm>, such as from `dvc pull`, into it
                                              --from REPOSITORY[@COMMIT]: that which the remote of a repository keeps,
                                              . for this one's; nothing is written to data/
python -m commands.store move [FOLDER]          take it along after DVC's cache has moved, or from another folder
python -m commands.store prune [DGM ...]        one segment instead of many, without corrupt ones and repeated rows;
                                              --unused: and without what data/responses/<dgm> does not hold,
                                              and without the tasks of evaluations that were interrupted
                                              --failed: and without what failed, so that it is generated again
"""

import argparse
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from commands.store.add import RESPONSES, add, downloaded, list_dgms
from commands.store.move import move
from commands.store.rows import first_rows, read_all
from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.evaluation.finished import FOLDER
from stages.lib.generation.place import current_folder
from stages.lib.generation.store import ANSWERS, VERDICTS, Store
from stages.lib.records.shards import read_table


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
    parser.add_argument("action", choices=("list", "verify", "add", "move", "prune"))
    parser.add_argument("dgm", nargs="*")
    parser.add_argument("--from", dest="repository", default="", help="add: from the remote of this repository")
    parser.add_argument("--unused", action="store_true", help="prune: remove what data/responses does not hold")
    parser.add_argument("--failed", action="store_true", help="prune: remove what failed, to generate it again")
    arguments = parser.parse_intermixed_args(words)  # `prune --failed a`, as in the Makefile
    if arguments.action == "move" and len(arguments.dgm) > 1:
        parser.error("move takes one folder")
    return arguments


def add_all(dgms: list[str], root: Path) -> None:
    """Add the responses of DGMs, or of all, below a folder; raise UserError for one that has none."""
    names = dgms or list_dgms(root)
    if not names:
        log_line(f"{RESPONSES} holds no DGM")
    for name in names:
        if not (root / RESPONSES / name).is_dir():
            raise UserError(f"{RESPONSES} has no {name!r}")
    for name in names:
        add(Store(current_folder(), name), root)


def find_stores(names: list[str]) -> list[Store]:
    """Return the stores with these names, or all; raise UserError for a name that is not there."""
    folder = current_folder()
    found = names or sorted(path.name for path in folder.glob("[!.]*") if path.is_dir())
    if not found:
        log_line(f"{folder} holds no DGM")
    for name in found:
        if not (folder / name).is_dir():
            raise UserError(f"{folder} has no {name!r}")
    return [Store(folder, name) for name in found]


def main(words: list[str] | None = None) -> None:
    """Run the action of the command line on its stores."""
    arguments = parse_arguments(words)
    if arguments.action == "move":
        move(*arguments.dgm)
    elif arguments.action == "add" and arguments.repository:
        with downloaded(arguments.repository, arguments.dgm) as root:
            add_all(arguments.dgm, root)
    elif arguments.action == "add":
        add_all(arguments.dgm, Path())
    elif arguments.action == "verify":
        verify_all(find_stores(arguments.dgm))
    else:
        for store in find_stores(arguments.dgm):
            if arguments.action == "list":
                log_line(describe(store))
            else:
                prune(store, unused=arguments.unused, failed=arguments.failed)
    if arguments.unused and not arguments.dgm and (tasks := current_folder() / FOLDER).exists():
        shutil.rmtree(tasks)
        log_line("the finished tasks of evaluations that were interrupted are removed")


def verify_all(stores: list[Store]) -> None:
    """Read every segment of some stores; raise UserError when one is corrupt."""
    if corrupt := sum(map(verify, stores)):
        raise UserError(
            f"corrupt segments (hash or schema mismatch): {corrupt}; generation skips them, `prune` removes them"
        )
