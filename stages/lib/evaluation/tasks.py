"""The section `evaluate`, and lm-eval's tasks by it: which, and where their rows come from."""

import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.lib.console.errors import UserError
from stages.lib.core.files import write_json
from stages.lib.core.names import AVERAGE
from stages.lib.core.types import Json
from stages.lib.settings.sections import Evaluate

MATH = Path(sys.prefix) / "math"  # what scores MATH, with an antlr4 that is not DVC's (see the Makefile)
LOCAL_DATA = re.compile(r"^dataset_path: *(json|csv|parquet|arrow|text)\s*$", re.MULTILINE)
TASK_NAME = re.compile(r"^task: *['\"]?([\w.-]+)", re.MULTILINE)
FORMATS = {".jsonl": "json", ".parquet": "parquet", ".csv": "csv"}  # of local rows: what `datasets` calls them
SPLITS = ("training_split", "validation_split", "test_split", "fewshot_split")
PUNKT = re.compile(r"number_sentences|capital_word_frequency")  # IFEval's instructions that are checked with it
NEEDS_MATH = "math-verify and antlr4 4.11, which score MATH, are not installed: run `make env`"
NEEDS_PUNKT = (
    "nltk's punkt_tab, with which IFEval counts sentences, is not on this machine: run `python -m nltk.downloader "
    "punkt_tab` where there is a network, and copy ~/nltk_data"
)


def average_columns(settings: Evaluate) -> dict[str, list[str]]:
    """Return the columns of each average; of `average`, unless the settings name its own, all tasks."""
    return {AVERAGE: [*settings.tasks, *settings.evalchemy], **settings.averages}


def are_local(settings: Evaluate) -> bool:
    """Whether the rows of every task lie here: in files of its own, or named by a task file that reads no hub set."""
    files = [file.read_text(encoding="utf-8") for file in Path(settings.tasks_folder).rglob("*.yaml")]
    named = {name for text in files for name in TASK_NAME.findall(text)}
    return set(settings.tasks) <= named | set(settings.local_data) and all(map(LOCAL_DATA.search, files))


def data_environment(cache: str, *, offline: bool) -> dict[str, str]:
    """What `datasets` and the hub's client read when they are first imported; `cache` is a folder for one run."""
    return {
        "HF_DATASETS_CACHE": cache,  # the user's own would serve old rows after an edit, and keep ours
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
        **({"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"} if offline else {}),
    }


def find_tasks(settings: Evaluate, scratch: Path) -> Any:  # noqa: ANN401  (lm-eval's)
    """lm-eval's manager of tasks, which knows every task of the settings.

    Its own tasks take 8 s to read, the leaderboard's alone less than one: each is read only if it is needed. The files
    of tasks whose rows lie here are written into `scratch`, which must stay until they are loaded. Raises UserError for
    an unknown task and for rows that are not there.
    """
    import lm_eval
    from lm_eval.tasks import TaskManager

    folder = settings.tasks_folder
    if not Path(folder).is_dir():
        raise UserError(f"evaluate.tasks_folder: there is no folder {folder}; name one that holds lm-eval's task files")
    if MATH.is_dir():
        sys.path.insert(0, str(MATH))
    own = Path(lm_eval.__path__[0]) / "tasks"
    for more in ([], [own / "leaderboard"], [own]):
        manager = TaskManager(include_path=[*more, Path(folder)], include_defaults=False)
        if set(settings.tasks) <= set(manager.all_tasks):
            break
    else:
        ours = ", ".join(TaskManager(include_path=folder, include_defaults=False).all_tasks) or "none"
        task = next(task for task in settings.tasks if task not in manager.all_tasks)
        raise UserError(f"evaluate.tasks: no task {task!r}; {folder} has: {ours}; `lm-eval ls tasks` lists lm-eval's")
    for task, parts in settings.local_data.items():
        localize(manager.task_index, task, parts, Path(folder) / task, scratch)
    manager.task_index.update(TaskManager(include_path=scratch, include_defaults=False).task_index)
    return manager


def localize(index: Any, task: str, parts: str | list[str], folder: Path, scratch: Path) -> None:  # noqa: ANN401
    """Write the files of a task or group that is like lm-eval's, but reads its rows from a folder.

    `parts` of a group are its tasks, by their own name or by that of their set on the hub.
    """
    leaves = dict(leaves_of(index, task))
    taken = list(leaves) if parts == "all" else [find_part(leaves, task, part) for part in parts]
    for name in taken:
        write_like(index[name], scratch, **local_rows(leaves[name], folder, task))
    if task not in leaves:
        write_like(index[task], scratch, task=taken)


def leaves_of(index: Any, name: str) -> Iterator[tuple[str, Json]]:  # noqa: ANN401  (lm-eval's)
    """The tasks of a task or group, by name, as their files say."""
    config = index[name].cfg
    children = config["task"]
    if isinstance(children, str):
        yield name, config
    else:
        for child in children:
            yield from leaves_of(index, child)


def find_part(leaves: dict[str, Json], task: str, part: str) -> str:
    """The task of a group that a user means."""
    names = {key: name for name, config in leaves.items() for key in (name, part_of(config))}
    if part not in names:
        known = ", ".join(map(part_of, leaves.values()))
        raise UserError(f"evaluate.local_data.{task}: no part {part!r}; it has: {known}")
    return names[part]


def part_of(config: Json) -> str:
    """What a task of a group is called beside the others: its set on the hub, or the split that it is made of."""
    return str(config.get("dataset_name") or config["test_split"])


def local_rows(config: Json, folder: Path, task: str) -> Json:
    """What a task's file says in the place of its set on the hub: as there, one file per configuration and split."""
    place = folder / (config.get("dataset_name") or "")
    examples = config.get("fewshot_split") if config.get("num_fewshot") else None
    splits = {config.get("test_split") or config["validation_split"], *filter(None, [examples])}
    files = {split: find_rows(place, split, task) for split in sorted(splits)}
    kinds = {FORMATS[file.suffix] for found in files.values() for file in found}
    if len(kinds) > 1:
        raise UserError(f"evaluate.local_data.{task}: the files of {place} have several formats; keep one")
    absent = {key: None for key in SPLITS if config.get(key) not in splits}
    rows = {split: [str(file.resolve()) for file in found] for split, found in files.items()}
    return {
        "dataset_path": kinds.pop(),
        "dataset_name": None,
        "dataset_kwargs": {"data_files": rows},
        **absent,
    }


def find_rows(place: Path, split: str, task: str) -> list[Path]:
    """The files that hold a split; raise UserError naming the file that should be there."""
    found = [
        file
        for pattern in (f"{split}.*", f"{split}-*-of-*.*")  # as one file, or as the hub cuts it into several
        for file in sorted(place.glob(pattern))
        if file.suffix in FORMATS
    ]
    if not found:
        raise UserError(
            f"evaluate.local_data.{task}: {place / split}.jsonl (or .parquet, .csv) is not there; "
            f"put it there, or name the parts of {task} to take"
        )
    return found


def write_like(entry: Any, scratch: Path, **changes: object) -> None:  # noqa: ANN401  (lm-eval's)
    """Write a task file that includes another and changes some of it; JSON is YAML."""
    write_json(
        scratch / f"{entry.name}.yaml", {"include": str(entry.yaml_path.resolve()), "task": entry.name, **changes}
    )


def load_task(manager: Any, task: str, seed: int) -> Json:  # noqa: ANN401  (lm-eval's)
    """A task, or a group of them, with its rows; seeded, for GPQA shuffles its choices as it is read."""
    random.seed(seed)
    try:
        loaded: Json = manager.load([task])
    except ModuleNotFoundError as error:
        if "antlr4" in str(error):
            raise UserError(NEEDS_MATH) from None
        raise
    return loaded


def check_scorer(task: Any) -> None:  # noqa: ANN401  (lm-eval's)
    """Raise UserError when what scores a task is absent: it would be found out after the last answer, or not at all.

    The original scoring of MATH counts an answer that it cannot parse as wrong, whatever the reason.
    """
    if "exact_match_original" in task.aggregation():
        from sympy.parsing.latex import parse_latex

        try:
            parse_latex("1")
        except Exception:  # with another antlr4 it fails in its own way
            raise UserError(NEEDS_MATH) from None
    if "inst_level_loose_acc" in task.aggregation():
        import nltk

        try:
            nltk.data.find("tokenizers/punkt_tab")
        except LookupError:
            if any(PUNKT.search(str(row["instruction_id_list"])) for row in task.eval_docs):
                raise UserError(NEEDS_PUNKT) from None
