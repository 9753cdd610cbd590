"""lm-eval's tasks: which the section `evaluate` names, where their rows come from, and what scores them."""

import random
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from stages.lib.console.errors import DOCTOR, UserError
from stages.lib.core.files import write_json
from stages.lib.core.types import Json
from stages.lib.settings.evaluate import Evaluate

MATH = Path(sys.prefix) / "math"  # the packages that score MATH, with another antlr4 than DVC's (requirements/build.py)
LOCAL_DATA = re.compile(r"^dataset_path: *(json|csv|parquet|arrow|text)\s*$", re.MULTILINE)
TASK_NAME = re.compile(r"^task: *['\"]?([\w.-]+)", re.MULTILINE)
FORMATS = {".jsonl": "json", ".parquet": "parquet", ".csv": "csv"}  # of local rows, by the names of `datasets`
SPLITS = ("training_split", "validation_split", "test_split", "fewshot_split")
PUNKT = re.compile(r"number_sentences|capital_word_frequency")  # IFEval's instructions that need punkt_tab
NEEDS_MATH = f"math-verify and antlr4 4.11, which score MATH, are not installed: run `make env`; {DOCTOR}"
NEEDS_PUNKT = (
    "nltk's punkt_tab, with which IFEval counts sentences, is not on this machine: run `python -m nltk.downloader "
    "punkt_tab` where there is a network, and copy ~/nltk_data; or leave the rows out that need it: "
    "`evaluate.leave_out: [punkt_tab]`"
)


def are_local(settings: Evaluate) -> bool:
    """Return whether the rows of every task are on this machine.

    They are where the settings name files for a task, or where its task file reads no set of the hub.
    """
    texts = [file.read_text(encoding="utf-8") for file in Path(settings.tasks_folder).rglob("*.yaml")]
    defined = {name for text in texts for name in TASK_NAME.findall(text)}
    return set(settings.tasks) <= defined | set(settings.local_data) and all(map(LOCAL_DATA.search, texts))


def data_environment(cache: str, *, offline: bool) -> dict[str, str]:
    """Return the variables that `datasets` and the hub's client read when they are first imported.

    `cache` is a folder for this run only: the user's own would serve old rows after an edit, and keep ours.
    """
    return {
        "HF_DATASETS_CACHE": cache,
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
        **({"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"} if offline else {}),
    }


def find_tasks(settings: Evaluate, scratch: Path) -> tuple[Any, dict[str, int]]:
    """Return lm-eval's manager, which knows every task of the settings, and of how many parts each local group is.

    The files of tasks whose rows are on this machine are written into `scratch`, which must stay until they are loaded.
    Raises UserError for an unknown task and for rows that are missing.
    """
    from lm_eval.tasks import TaskManager

    folder = Path(settings.tasks_folder)
    if not folder.is_dir():
        raise UserError(f"evaluate.tasks_folder: there is no folder {folder}; name one that holds lm-eval's task files")
    if MATH.is_dir():
        sys.path.insert(0, str(MATH))
    manager = open_manager(settings.tasks, folder)
    num_parts = {task: len(dict(leaves_of(manager.task_index, task))) for task in settings.local_data}
    for task, parts in settings.local_data.items():
        localize(manager.task_index, task, parts, folder / task, scratch)
    manager.task_index.update(TaskManager(include_path=scratch, include_defaults=False).task_index)
    return manager, num_parts


def open_manager(tasks: Iterable[str], folder: Path) -> Any:
    """Return a manager that knows these tasks, of the folder or of lm-eval; raise UserError for an unknown one.

    lm-eval's tasks take 8 s to read, the leaderboard's alone less than one: each set is read only if it is needed.
    """
    import lm_eval
    from lm_eval.tasks import TaskManager

    own = Path(lm_eval.__path__[0]) / "tasks"
    for more in ([], [own / "leaderboard"], [own]):
        manager = TaskManager(include_path=[*more, folder], include_defaults=False)
        if set(tasks) <= set(manager.all_tasks):
            return manager
    known = ", ".join(TaskManager(include_path=folder, include_defaults=False).all_tasks) or "none"
    unknown = next(task for task in tasks if task not in manager.all_tasks)
    raise UserError(f"evaluate.tasks: no task {unknown!r}; {folder} has: {known}; `lm-eval ls tasks` lists lm-eval's")


def localize(index: Any, task: str, parts: str | list[str], folder: Path, scratch: Path) -> None:
    """Write files that redefine one of lm-eval's tasks or groups so that it reads its rows from a folder.

    `parts` of a group are its tasks, by their own name or by that of their set on the hub.
    """
    leaves = dict(leaves_of(index, task))
    names = list(leaves) if parts == "all" else [find_part(leaves, task, part) for part in parts]
    for name in names:
        write_variant(index[name], scratch, **local_rows(leaves[name], folder, task))
    if task not in leaves:
        write_variant(index[task], scratch, task=names)


def leaves_of(index: Any, name: str) -> Iterator[tuple[str, Json]]:
    """Yield the tasks of a task or group: their names and the contents of their files."""
    config = index[name].cfg
    children = config["task"]
    if isinstance(children, str):
        yield name, config
    else:
        for child in children:
            yield from leaves_of(index, child)


def find_part(leaves: dict[str, Json], task: str, part: str) -> str:
    """Return the name of a group's task that the user calls `part`; raise UserError when there is none."""
    names = {key: name for name, config in leaves.items() for key in (name, part_of(config))}
    if part not in names:
        known = ", ".join(map(part_of, leaves.values()))
        raise UserError(f"evaluate.local_data.{task}: no part {part!r}; it has: {known}")
    return names[part]


def part_of(config: Json) -> str:
    """Return the short name of a task in its group: its set on the hub, or the split that it is made of."""
    return str(config.get("dataset_name") or config["test_split"])


def local_rows(config: Json, folder: Path, task: str) -> Json:
    """Return the keys of a task file that replace its set on the hub with files: one per configuration and split."""
    rows_folder = folder / (config.get("dataset_name") or "")
    examples = config.get("fewshot_split") if config.get("num_fewshot") else None
    splits = {config.get("test_split") or config["validation_split"], *filter(None, [examples])}
    files = {split: find_rows(rows_folder, split, task) for split in sorted(splits)}
    formats = {FORMATS[file.suffix] for paths in files.values() for file in paths}
    if len(formats) > 1:
        raise UserError(f"evaluate.local_data.{task}: the files of {rows_folder} have several formats; keep one")
    return {
        "dataset_path": formats.pop(),
        "dataset_name": None,
        "dataset_kwargs": {
            "data_files": {split: [str(file.resolve()) for file in paths] for split, paths in files.items()}
        },
        **{key: None for key in SPLITS if config.get(key) not in splits},
    }


def find_rows(folder: Path, split: str, task: str) -> list[Path]:
    """Return the files that hold a split; raise UserError naming the file that should be there."""
    files = [
        file
        for pattern in (f"{split}.*", f"{split}-*-of-*.*")  # as one file, or as the hub cuts it into several
        for file in sorted(folder.glob(pattern))
        if file.suffix in FORMATS
    ]
    if not files:
        raise UserError(
            f"evaluate.local_data.{task}: {folder / split}.jsonl (or .parquet, .csv) is not there; "
            f"put it there, or name the parts of {task} to take"
        )
    return files


def write_variant(entry: Any, scratch: Path, **changes: object) -> None:
    """Write a task file that includes another and changes some of its keys; JSON is YAML."""
    content = {"include": str(entry.yaml_path.resolve()), "task": entry.name, **changes}
    write_json(scratch / f"{entry.name}.yaml", content)


def load_task(manager: Any, task: str, seed: int) -> Json:
    """Load a task, or a group of them, with its rows; seeded, because GPQA shuffles its choices as it is read."""
    random.seed(seed)
    try:
        loaded: Json = manager.load([task])
    except ModuleNotFoundError as error:
        if "antlr4" in str(error):
            raise UserError(NEEDS_MATH) from None
        raise
    return loaded


def leave_out_rows(task: Any, names: Iterable[str]) -> dict[str, int]:
    """Leave the rows that need these out of a loaded task; return how many there were, if any, by what they need."""
    if "punkt_tab" not in names or "inst_level_loose_acc" not in task.aggregation():
        return {}
    split = task.config.test_split or task.config.validation_split
    rows = task.dataset[split]
    kept = [number for number, row in enumerate(rows) if not needs_punkt(row)]
    task.dataset[split] = rows.select(kept)
    return {"punkt_tab": len(rows) - len(kept)} if len(kept) < len(rows) else {}


def needs_punkt(row: Any) -> bool:
    """Return whether an instruction of a row of IFEval is checked with nltk's punkt_tab."""
    return bool(PUNKT.search(str(row["instruction_id_list"])))


def check_scorer(task: Any, limit: int) -> None:
    """Raise UserError when a package or data are missing that score a task, or its first `limit` rows (0: all).

    Otherwise it would fail after the last answer. The original scoring of MATH would not fail at all: it counts an
    answer that it cannot parse as wrong, whatever the reason.
    """
    if "exact_match_original" in task.aggregation():
        check_math()
    if "inst_level_loose_acc" in task.aggregation():
        check_punkt(islice(task.eval_docs, limit or None))


def check_math() -> None:
    """Raise UserError unless sympy can parse LaTeX."""
    from sympy.parsing.latex import parse_latex

    try:
        parse_latex("1")
    except Exception:  # with another antlr4 it fails in its own way
        raise UserError(NEEDS_MATH) from None


def check_punkt(rows: Iterable[Any]) -> None:
    """Raise UserError when nltk's data are missing and an instruction of these rows of IFEval is checked with them."""
    import nltk

    try:
        nltk.data.find("tokenizers/punkt_tab")
    except LookupError:
        if any(map(needs_punkt, rows)):
            raise UserError(NEEDS_PUNKT) from None
