"""The files of metrics/ that stages wrote, and those among them that belong to nothing in params.yaml any more.

A stage that depends on a folder of metrics/ sees every file in it: one that another checkout does not have would make
its stages run again there.
"""

import subprocess
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import groupby
from pathlib import Path

from ruamel.yaml import YAML

from stages.lib.console.shell import log_line
from stages.lib.core.seeds import SEEDS, list_trainings, other_seeds
from stages.lib.core.types import Json

METRICS = Path("metrics")
LOCK = Path("dvc.lock")

IDS: dict[str, Callable[[Json], Iterable[str]]] = {  # after which the files of a folder are named, as in dvc.yaml
    "costs/answers": lambda params: params["compare"],
    "costs/evaluate": lambda params: {*params["compare"], *other_seeds(params)},
    "costs/train": list_trainings,
    "digests/answers": lambda params: params["compare"],
    "digests/auxiliary": lambda params: params["auxiliary"] or {},
    "digests/dgms": lambda params: params["dgms"],
    "digests/models": lambda params: params["compare"],
    "digests/runs": lambda params: params["mix"]["runs"],
    "digests/seeds": other_seeds,
    "evaluate": lambda params: {*params["compare"], *other_seeds(params)},
    "gate": lambda params: params["dgms"],
    "headlines": lambda params: {*params["dgms"], *params["compare"], *params["mix"]["runs"]},
    "judge": lambda params: params["compare"],
    "loss": list_trainings,
    "mix": lambda params: params["mix"]["runs"],
    "suitability": lambda params: params["suitability"]["bases"],
    "train": list_trainings,
}


def remove_leftovers(params: Json) -> list[Path]:
    """Remove the files of metrics/ that are named after other ids, and name them; return their paths.

    Files that neither git nor DVC knows are named, and stay.
    """
    leftovers = {
        path
        for folder, ids in IDS.items()
        for path in (METRICS / folder).glob("[!.]*")
        if path.is_file() and path.stem not in set(ids(params))
    }
    known = set(filter_known(leftovers))
    for path in sorted(leftovers - known):
        log_line(f"{path} belongs to nothing in params.yaml, and neither git nor DVC knows it: remove it")
    return remove(known)


def remove_results() -> list[Path]:
    """Remove every file of metrics/ that git or DVC knows, and name them: they are results of other params.

    The list of the other seeds is no result, and stays: dvc.yaml reads it.
    """
    files = [path for path in METRICS.rglob("[!.]*") if path.is_file() and path != SEEDS]
    return remove(filter_known(files))


def filter_known(paths: Collection[Path]) -> Iterator[Path]:
    """Yield the paths that git tracks, or that dvc.lock names as an out or has in one."""
    if not paths:
        return
    command = ["git", "ls-files", "-z", str(METRICS)]
    tracked = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split("\0")
    lock = YAML(typ="safe").load(LOCK) if LOCK.exists() else {}
    known = {*tracked, *(out["path"] for stage in lock.get("stages", {}).values() for out in stage.get("outs", []))}
    yield from (path for path in paths if not known.isdisjoint({str(path), str(path.parent)}))


def remove(paths: Iterable[Path]) -> list[Path]:
    """Remove files, with a line for each folder; return their paths in order."""
    removed = sorted(paths, key=lambda path: (path.parent, path))
    for path in removed:
        path.unlink()
    for folder, files in groupby(removed, lambda path: path.parent):
        log_line(f"removed from {folder}, as other params made it: {', '.join(path.name for path in files)}")
    return removed
