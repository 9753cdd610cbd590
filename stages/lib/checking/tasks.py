"""What is wrong with lm-eval's tasks in `evaluate.tasks`: their names, main metrics, files and templates.

Task files are read as YAML alone: lm-eval itself takes 8 s to read its own, and is not imported. What cannot be told
without it (a metric that a Python function returns) is taken for right.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import TemplateSyntaxError, nodes
from jinja2.defaults import DEFAULT_NAMESPACE
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment
from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from stages.lib.checking.profile import Profile, missing_path
from stages.lib.console.faults import Fault, list_names, nearest, suggest, syntax_faults
from stages.lib.core.types import Json
from stages.lib.readers.json_rows import read_json_rows
from stages.lib.readers.reasons import UnreadableRows

NAMED = re.compile(rb"^[ \t-]*(?:task|group|tag)s?:[ \t]*['\"]?([\w.-]+)", re.MULTILINE)
FIRST = "leaderboard"  # lm-eval's folder that is looked into before all others
DEFAULTS = {  # the metrics of a task that names none, by its output_type
    "multiple_choice": ("acc", "acc_norm"),
    "generate_until": ("exact_match",),
    "loglikelihood": ("perplexity", "acc"),
    "loglikelihood_rolling": ("word_perplexity", "byte_perplexity", "bits_per_byte"),
}
TEMPLATES = ("doc_to_text", "doc_to_target", "doc_to_choice")
FORMATS = ("json", "parquet", "csv")  # of local rows, as `datasets` calls them
ELSEWHERE = {"data_dir", "field"}  # arguments with which the rows are not plainly in the files
DATA_FILES = ("dataset_kwargs", "data_files")


class TaskFiles:
    """The task files of a folder, and of lm-eval where a task is not among them."""

    def __init__(self, folder: Path) -> None:
        """Index the folder by the names that its files define."""
        self.folder = folder
        self.own = index_tasks(folder)
        self._contents: dict[Path, Json | None] = {}

    @cached_property
    def leaderboard(self) -> dict[str, Path]:
        """The tasks of lm-eval's leaderboard."""
        home = lm_eval_tasks()
        return index_tasks(home / FIRST) if home else {}

    @cached_property
    def installed(self) -> dict[str, Path]:
        """All tasks of the installed lm-eval: 14,000 files."""
        home = lm_eval_tasks()
        return index_tasks(home) if home else {}

    def find(self, task: str) -> Path | None:
        """Return the file that defines a task; None if there is none."""
        return self.own.get(task) or self.leaderboard.get(task) or self.installed.get(task)

    def is_mentioned(self, name: str) -> bool:
        """Tell whether a file of lm-eval's has the name at all: it may be one of a list of tags."""
        home, word = lm_eval_tasks(), re.compile(rb"(?<![\w.-])%s(?![\w.-])" % re.escape(name.encode()))
        return any(word.search(file.read_bytes()) for file in home.rglob("*.yaml")) if home else True

    def content(self, file: Path) -> Json | None:
        """Return what a task file holds, with what it includes; None if it cannot be read."""
        if file not in self._contents:
            self._contents[file] = None  # while it is read: a file may include itself
            self._contents[file] = self._read(file)
        return self._contents[file]

    def _read(self, file: Path) -> Json | None:
        content = read_lenient(file)
        if content is None:
            return None
        included = content.get("include") or []
        merged: Json = {}
        for name in [included] if isinstance(included, str) else included:
            other = self.content(file.parent / str(name))
            if other is None:
                return None
            merged |= other
        return merged | content

    def unknown_metric(self, task: str, metric: str) -> set[str]:
        """Return the metrics of a task or group, if they are known and this one is not among them; else nothing.

        The tasks of a group are read only where its own file does not name the metric.
        """
        file = self.find(task)
        content = self.content(file) if file else None
        if content is None:
            return set()
        parts = content.get("task")
        if not isinstance(parts, list):
            known = leaf_metrics(content) if parts == task else None
            return set() if known is None or metric in known else known
        named = metric_names(content.get("aggregate_metric_list")) or set()
        if metric in named:
            return set()
        others = [self.unknown_metric(part, metric) if isinstance(part, str) else set[str]() for part in parts]
        return named.union(*others) if all(others) else set()


def lm_eval_tasks() -> Path | None:
    """Return the folder of the installed lm-eval's tasks, without importing it."""
    spec = find_spec("lm_eval")
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) / "tasks" if places else None


def index_tasks(folder: Path) -> dict[str, Path]:
    """Return the names of tasks, groups and tags that the YAML files of a folder define, each with its file."""
    index: dict[str, Path] = {}
    for file in sorted(path for pattern in ("*.yaml", "*.yml") for path in folder.rglob(pattern)):
        for name in NAMED.findall(file.read_bytes()):
            index.setdefault(name.decode(), file)
    return index


def read_lenient(file: Path) -> Json | None:
    """Read a YAML mapping whose tags (`!function`) nobody need know; None if it is not one."""
    try:
        content = to_plain(YAML(pure=True).compose(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, YAMLError):
        return None
    return content if isinstance(content, dict) else None


def to_plain(node: Node | None) -> Any:
    """Return the value of a YAML node; a scalar as its text, with its tag if that is one of lm-eval's."""
    if isinstance(node, MappingNode):
        return {str(to_plain(key)): to_plain(value) for key, value in node.value}
    if isinstance(node, SequenceNode):
        return [to_plain(value) for value in node.value]
    if isinstance(node, ScalarNode):
        tag = str(node.tag)
        return f"{tag} {node.value}" if tag.startswith("!") else None if tag.endswith(":null") else node.value
    return None


def metric_names(metrics: object) -> set[str] | None:
    """Return the names in a metric_list; None where one is a function."""
    if not isinstance(metrics, list):
        return None
    names = [str(metric.get("metric") or "") if isinstance(metric, dict) else "" for metric in metrics]
    return {*names} if all(name and not name.startswith("!") for name in names) else None


def leaf_metrics(content: Json) -> set[str] | None:
    """Return the metrics of one task; None where a Python function decides them."""
    if "class" in content:
        return None
    if "metric_list" in content:
        return metric_names(content["metric_list"])
    if "process_results" in content:
        return None
    return {*DEFAULTS.get(str(content.get("output_type", "generate_until")), ())} or None


def find_task_faults(profile: Profile) -> Iterator[Fault]:
    """Yield what is wrong with the tasks of lm-eval that the profile evaluates."""
    folder = Path(profile.params["evaluate"]["tasks_folder"])
    if not folder.is_dir():
        yield profile.missing("evaluate.tasks_folder", folder)
        return
    for path in sorted(folder.rglob("*.yaml")):
        yield from find_file_faults(path)
    files = TaskFiles(folder)
    for task, primary in profile.params["evaluate"]["tasks"].items():
        file = files.find(task)
        if file is None:
            if not files.is_mentioned(task):
                yield profile.fault("evaluate.tasks", unknown_task(task, files), task)
            continue
        metric = primary.partition(",")[0]
        if known := files.unknown_metric(task, metric):
            problem = f"{file.name} has no metric {metric!r}{suggest(metric, sorted(known))}"
            yield profile.fault("evaluate.tasks", problem, task)
        content = files.content(file)
        if task in files.own and content and task not in profile.params["evaluate"]["local_data"]:
            yield from find_content_faults(content, file)
    for task in profile.params["evaluate"]["local_data"]:
        if task in profile.params["evaluate"]["tasks"] and not (folder / task).is_dir():
            yield profile.missing("evaluate.local_data", folder / task, task)


def unknown_task(task: str, files: TaskFiles) -> str:
    """Say that there is no such task, and which was likely meant."""
    near = nearest(task, files.own) or nearest(task, files.installed)
    known = f"; {files.folder} has: {list_names(sorted(files.own)) or 'none'}"
    return f"no such task in {files.folder} or lm-eval" + (f"; did you mean {near}?" if near else known)


def find_file_faults(file: Path) -> Iterator[Fault]:
    """Yield why a YAML file cannot be read."""
    try:
        yield from syntax_faults(str(file), file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        yield Fault(str(file), (), f"cannot be read ({error})")


def find_content_faults(content: Json, file: Path) -> Iterator[Fault]:
    """Yield what is wrong in the file of a task of one's own: its data files, splits and templates."""
    if (kind := content.get("output_type")) and str(kind) not in DEFAULTS:
        yield Fault(str(file), ("output_type",), f"{kind!r} is not one that lm-eval has{suggest(kind, DEFAULTS)}")
    split = content.get("test_split") or content.get("validation_split")
    files = local_files(content)
    split = str(split) if split else ""
    if files and split and split not in files:
        problem = f"has no file for the split {split!r} that is evaluated{suggest(split, files)}"
        yield Fault(str(file), DATA_FILES, problem)
    for name, paths in files.items():
        for path in paths:
            if problem := data_problem(path):
                yield Fault(str(file), (*DATA_FILES, name), problem)
    readable = [path for path in files.get(split, []) if not data_problem(path)] if split else []
    if "process_docs" in content:
        readable = []  # a Python function may make other columns of them
    for name in TEMPLATES:
        yield from find_template_faults(content.get(name), readable, file, name)


def local_files(content: Json) -> dict[str, list[Path]]:
    """Return the data files on this machine that a task names, by split; none of patterns and addresses."""
    arguments = content.get("dataset_kwargs")
    if not isinstance(arguments, dict) or content.get("dataset_path") not in FORMATS or ELSEWHERE & set(arguments):
        return {}
    given = arguments.get("data_files")
    files = {}
    for split, names in given.items() if isinstance(given, dict) else ():
        paths = [names] if isinstance(names, str) else names if isinstance(names, list) else []
        files[split] = [Path(path) for path in paths if isinstance(path, str) and not re.search(r"[*?\[]|://", path)]
    return files


def data_problem(path: Path) -> str:
    """Say why a data file cannot be read; empty if it can."""
    if not path.exists():
        return missing_path(path)
    return "" if path.stat().st_size else f"{path} is empty"


def missing_columns(names: set[str], paths: Sequence[Path]) -> tuple[set[str], set[str]]:
    """Return the names that no row has as a column, and all columns; nothing where these cannot be told.

    Rows are read until all names are found. Only those of JSON are: of another format nothing is told.
    """
    missing, columns, unreadable = {*names}, set[str](), UnreadableRows()
    for path in paths:
        if path.suffix not in {".json", ".jsonl"}:
            return set(), set()
        for _, row in read_json_rows(path, unreadable):
            columns |= {*row}
            if not (missing := missing - columns):
                return set(), set()
    return (missing, columns) if columns and not unreadable.counts else (set(), set())


def find_template_faults(template: object, rows: Sequence[Path], file: Path, name: str) -> Iterator[Fault]:
    """Yield why a template of a task cannot be rendered for the rows of its files; `rows` is empty where they vary."""
    if not isinstance(template, str) or template.startswith("!"):
        return
    try:
        used = names_needed(template)
    except TemplateSyntaxError as error:
        yield Fault(str(file), (name,), f"is not valid Jinja: {error.message}")
        return
    missing, columns = missing_columns(used, rows)
    for variable in sorted(missing):
        yield Fault(str(file), (name,), f"the rows have no {variable!r}{suggest(variable, sorted(columns))}")


def names_needed(template: str) -> set[str]:
    """Return the names that a template needs whatever they hold; raise TemplateSyntaxError where it is not valid.

    Not those that only one branch needs, that the template sets, or that it may do without: `is defined`, `default`.
    """
    environment = ImmutableSandboxedEnvironment()
    environment.filters["regex_replace"] = str  # lm-eval adds it; nothing is rendered here
    tree = environment.parse(template)
    used = find_undeclared_variables(tree) - {*DEFAULT_NAMESPACE}
    guards: list[nodes.Expr | None] = [
        test.node for test in tree.find_all(nodes.Test) if test.name in {"defined", "undefined"}
    ]
    guards += [call.node for call in tree.find_all(nodes.Filter) if call.name in {"default", "d"}]
    optional = {node.name for node in guards if isinstance(node, nodes.Name)}
    stored = {node.name for node in tree.find_all(nodes.Name) if node.ctx == "store"}
    for branch in tree.find_all(nodes.If):
        branch.body, branch.elif_, branch.else_ = [], [], []
    for choice in tree.find_all(nodes.CondExpr):
        choice.expr1, choice.expr2 = choice.test, None
    return used & find_undeclared_variables(tree) - optional - stored
