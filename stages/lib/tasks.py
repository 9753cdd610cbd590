"""lm-eval's tasks: the benchmarks of evaluate.tasks, and where their rows come from."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from stages.lib.params import UserError

LOCAL_DATA = re.compile(r"^dataset_path: *(json|csv|parquet|arrow|text)\s*$", re.MULTILINE)
TASK_NAME = re.compile(r"^task: *['\"]?([\w.-]+)", re.MULTILINE)


def are_local(folder: str, tasks: Collection[str]) -> bool:
    """Whether a folder holds all of these tasks, and none of its own reads its rows from the hub."""
    files = [file.read_text(encoding="utf-8") for file in Path(folder).rglob("*.yaml")]
    named = {name for text in files for name in TASK_NAME.findall(text)}
    return set(tasks) <= named and all(map(LOCAL_DATA.search, files))


def data_environment(cache: str, *, offline: bool) -> dict[str, str]:
    """What `datasets` and the hub's client read when they are first imported; `cache` is a folder for one run."""
    return {
        "HF_DATASETS_CACHE": cache,  # the user's own would serve old rows after an edit, and keep ours
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
        **({"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"} if offline else {}),
    }


def find_tasks(folder: str, tasks: Collection[str]) -> Any:  # noqa: ANN401  (lm-eval's)
    """lm-eval's list of tasks: the folder's, and its own (8 s to read) when one is not in the folder."""
    from lm_eval.tasks import TaskManager

    if not Path(folder).is_dir():
        raise UserError(f"evaluate.tasks_folder: there is no folder {folder}; name one that holds lm-eval's task files")
    ours = TaskManager(include_path=folder, include_defaults=False)
    if set(tasks) <= set(ours.all_tasks):
        return ours
    every = TaskManager(include_path=folder)
    for task in tasks:
        if task not in every.all_tasks:
            known = ", ".join(ours.all_tasks) or "none"
            raise UserError(
                f"evaluate.tasks: no task {task!r}; {folder} has: {known}; `lm-eval ls tasks` lists lm-eval's"
            )
    return every
