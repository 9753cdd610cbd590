"""DVC's experiments that have no results: queued, running or failed."""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from commands.compare.sources import SHORT
from stages.lib.core.files import read_json

# In <id>/<id>.run of DVC's temporary folder stands what runs, in <id>/<id>.json beside it in which process.
WORKSPACE = "workspace"  # the id and location of what runs there
FAILED = 4  # dvc.repo.experiments.executor.base.TaskStatus


@dataclass(frozen=True)
class Pending:
    """An experiment without results."""

    name: str
    state: str
    advice: str  # what to do


def list_pending(finished: Collection[str], head: str) -> list[Pending]:
    """List the experiments without results, by reading DVC's records alone: its queue is not asked.

    DVC's own listing starts a client of the queue, while a worker may be using it. `finished` are the names of those
    with results: a record that was left behind by an earlier attempt says nothing. `head` is the commit for which
    failures still matter.
    """
    from dvc.repo import Repo  # takes a second to import

    with Repo() as repo:
        queue = repo.experiments.celery_queue
        waiting = [name_of(entry.name, rev) for rev, entry in queue.stash.stash_revs.items()]
        failed = {
            rev: Pending(name_of(entry.name, rev), "failed", f"`dvc queue logs {name_of(entry.name, rev)}` says why")
            for rev, entry in queue.failed_stash.stash_revs.items()
            if entry.baseline_rev == head
        }
        folder = Path(repo.tmp_dir) / "exps"
    found = [
        *list_running(folder / "run", set(failed)),
        *(Pending(name, "queued", "`dvc queue start` runs it") for name in waiting),
        *failed.values(),
        *list_failed(folder / "standalone" / "run", head),
    ]
    first = {pending.name: pending for pending in reversed(found)}
    return [first[name] for name in dict.fromkeys(pending.name for pending in found) if name not in finished]


def list_running(folder: Path, ended: Collection[str]) -> Iterator[Pending]:
    """Yield the experiments that run, or ran when their process was killed."""
    for file in sorted(folder.glob("*/*.run")):
        info, process = read_json(file), file.with_suffix(".json")
        name = name_of(info.get("name"), file.stem)
        in_workspace = info.get("location") == WORKSPACE
        if file.stem in ended or in_workspace != (file.stem == WORKSPACE):
            continue
        if process.exists():
            is_running = is_alive(int(read_json(process)["pid"]))
            yield Pending(name, "running" if is_running else "killed", "" if is_running else "run it again")
        elif not in_workspace and Path(info["root_dir"]).exists():
            yield Pending(name, "running", "or was killed: then run it again")


def list_failed(folder: Path, head: str) -> Iterator[Pending]:
    """Yield the experiments of `dvc exp run --temp` that failed."""
    for file in sorted(folder.glob("*/*.run")):
        info = read_json(file)
        if info.get("status") == FAILED and info.get("baseline_rev") == head:
            yield Pending(name_of(info.get("name"), file.stem), "failed", "run it again to see why")


def is_alive(process: int) -> bool:
    """Tell whether there is a process of this number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def name_of(name: str | None, commit: str) -> str:
    """Return the name of an experiment, or its hash where it has none yet."""
    return name or commit[:SHORT]
