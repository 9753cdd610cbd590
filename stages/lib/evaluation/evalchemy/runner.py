"""Running Evalchemy's tasks, each in a process of its own (paper, sec. 3.1).

Each task of each model runs in a folder that holds the clone's committed files and nothing of any other run: Evalchemy
keeps answers, verdicts and scores inside its clone and reuses them, and a task that fails takes the results of the
others with it.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line, progress
from stages.lib.core.files import write_text
from stages.lib.core.process import CHECKOUT, call, last_error_line
from stages.lib.core.text import strip_folders
from stages.lib.core.types import Json
from stages.lib.evaluation.evalchemy.installation import (
    COMMIT,
    Installation,
    check_judge,
    copy_clone,
    find_evalchemy,
    find_judge,
)
from stages.lib.evaluation.evalchemy.results import read_run, without_score
from stages.lib.evaluation.evalchemy.task import Task
from stages.lib.evaluation.evalchemy.tasks import TASKS, check_tasks
from stages.lib.evaluation.evalchemy.transformers4 import check_same, downgrade
from stages.lib.evaluation.evalchemy.watchdog import Watchdog, usage_line
from stages.lib.evaluation.protocol import (
    DATA_VARIABLE,
    EVENTS_VARIABLE,
    JUDGE_MODEL_VARIABLE,
    TRUNCATED,
    read_events,
)
from stages.lib.evaluation.results import TaskResult
from stages.lib.models.catalogue import Model
from stages.lib.models.chat_template import Template, load_tokenizer
from stages.lib.models.hub import hub_model
from stages.lib.settings.evaluate import Evaluate
from stages.lib.settings.runtime import Runtime

CHILD = "stages.lib.evaluation.evalchemy.child"
LOGS = Path(".dvc/tmp/rewild/evalchemy")  # the whole output of Evalchemy, one file per model and task
ANNOTATOR = "gpt-4o-mini-2024-07-18"  # a judge that all three tasks know; the server is asked for its own model
MAX_TOKENS = 1024  # Evalchemy's own, of MTBench and alpaca_eval
HARNESS_TOKENS = 256  # that lm-eval leaves room for, however long a reply may get
SHARED_FILES = ("eval/*.py", "eval/chat_benchmarks/*.py", "database")  # of the clone: what every task needs
CPU_BATCH = 8  # rows per step
# Variables of the user that would change what alpaca_eval does.
IGNORED_VARIABLES = ("OPENAI_API_KEYS", "OPENAI_ORGANIZATION_IDS", "OPENAI_CLIENT_CONFIG_PATH", "IS_ALPACA_EVAL_2")
OnResult = Callable[[str, Json, list[Json]], None]  # takes a task's entry of results.json and its samples
OFFLINE = dict.fromkeys(("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"), "1")


def evaluate(
    model: Model,
    settings: Evaluate,
    runtime: Runtime,
    folder: Path,
    judge: Model | None = None,
    on_result: OnResult = lambda *_: None,
) -> tuple[dict[str, Json], dict[str, list[Json]]]:
    """Run every task; return the entries of results.json, and the samples of the tasks that ran.

    `judge` is a model behind a server; without one, $OPENAI_BASE_URL and $OPENAI_API_KEY name the judge. `folder` is
    for temporary files; `on_result` is called as soon as a task has run well. A task that cannot be run here is
    `skipped`, one that ends badly `failed`, with the reason. Raises UserError for a task or main metric that Evalchemy
    does not have.
    """
    primaries = settings.evalchemy
    check_tasks(primaries)
    installation = find_evalchemy(model, find_judge(settings.evalchemy_judge, judge))
    if isinstance(installation, str):
        return {task: without_score("skipped", installation, name).to_json() for task, name in primaries.items()}, {}
    run = EvalchemyRun(model, settings, runtime, installation, folder, on_result)
    try:
        check_judge(installation.judge)
        run.prepare_model()
    except Exception as error:  # whatever it is: other harnesses' results are not to be lost
        reason = run.explain(error)
        return {task: without_score("failed", reason, name).to_json() for task, name in primaries.items()}, {}
    return run.run_tasks()


@dataclass(frozen=True, slots=True)
class TaskFolder:
    """The folder in which one task runs."""

    root: Path

    @property
    def clone(self) -> Path:
        """The copy of the clone: the process runs in its root."""
        return self.root / "clone"

    @property
    def out(self) -> Path:
        """What Evalchemy writes its results to."""
        return self.root / "out"

    @property
    def log_path(self) -> Path:
        """The output of the process."""
        return self.root / "log.txt"

    @property
    def events_path(self) -> Path:
        """The events that our child module writes (see protocol.py)."""
        return self.root / "events.jsonl"


@dataclass(frozen=True, slots=True)
class EvalchemyRun:
    """The tasks of one model, each in a folder of its own under `folder`."""

    model: Model
    settings: Evaluate
    runtime: Runtime
    installation: Installation
    folder: Path
    on_result: OnResult = lambda *_: None

    @property
    def dtype(self) -> str:
        """The precision that the model runs in."""
        return "float32" if self.settings.device == "cpu" else self.model.dtype

    @property
    def checkpoint(self) -> Path:
        """The model for transformers 4. Its folder is named like the model: Evalchemy names its files after it."""
        return self.folder.absolute() / "models" / self.model.id

    def prepare_model(self) -> None:
        """Write the model for transformers 4; raise ValueError unless it is the same model there."""
        is_on_hub = self.model.kind == "hub"
        source = hub_model(self.model.location, self.model.commit) if is_on_hub else Path(self.model.location)
        template = Template(load_tokenizer(self.model), self.model).text or ""
        downgrade(source, self.checkpoint, template)
        check_same(source, self.checkpoint, self.installation.python, self.dtype, template)

    def run_tasks(self) -> tuple[dict[str, Json], dict[str, list[Json]]]:
        """Run every task; return the entries of all, and the samples of those that ended well."""
        entries: dict[str, Json] = {}
        samples: dict[str, list[Json]] = {}
        judge = self.installation.judge
        for name, primary in self.settings.evalchemy.items():
            log_line(f"{self.model.id}: {name}, judged by {judge.model} at {judge.host}")
            try:
                result, samples[name] = self.run_task(TASKS[name], primary)
            except Exception as error:  # a task that raises fails alone
                result = without_score("failed", self.explain(error), primary)
            entries[name] = result.to_json()
            if name in samples:
                self.on_result(name, entries[name], samples[name])
        return entries, samples

    def run_task(self, task: Task, primary: str) -> tuple[TaskResult, list[Json]]:
        """Run one task and read its result and samples; raise ValueError when they are not whole."""
        files = TaskFolder(self.folder.absolute() / task.name)
        self.prepare_files(task, files)
        num_verdicts = task.num_verdicts(self.settings.limit)
        code = self.run_process(task, files, num_verdicts)
        events = read_events(files.events_path)
        log_line(f"{self.model.id}: {task.name}: {usage_line(events)}")
        if code:
            error = last_error_line(files.log_path)
            raise ValueError(f"Evalchemy ended with exit code {code}: {error}; see {self.kept_log(task)}")
        num_cut = sum(event["prompts"] for event in events if event["event"] == TRUNCATED)
        result, samples = read_run(files.clone, files.out, task, primary, num_cut)
        if len(samples) != num_verdicts:
            raise ValueError(f"{len(samples)} verdicts belong to the clone's {task.name}, and not {num_verdicts}")
        num_questions = num_verdicts // task.verdicts_per_question
        return replace(result, coverage={"rows": num_questions, "of_rows": task.num_questions}), samples

    def prepare_files(self, task: Task, files: TaskFolder) -> None:
        """Write what a task needs into its folder."""
        paths = [*SHARED_FILES, *(str(task.folder / name) for name in task.files)]
        copy_clone(self.installation.home, COMMIT, paths, files.clone)
        (files.clone / "models").symlink_to(self.checkpoint.parent)
        task.prepare(files.clone, self.settings)

    def run_process(self, task: Task, files: TaskFolder, num_verdicts: int) -> int:
        """Run Evalchemy behind a progress bar and return its exit code; raise Stalled when it makes no progress."""
        none: list[None] = []
        title = f"{self.model.id}: {task.name}"
        with progress(none, desc=title, unit="answers of the judge", total=num_verdicts) as bar:
            watchdog = Watchdog(files.events_path, files.log_path, self.runtime, bar)
            command, variables = self.command(task), self.variables(task, files)
            try:
                return call(command, variables, files.log_path, watchdog.check, files.clone)
            finally:
                self.keep_log(task, files.log_path)

    def command(self, task: Task) -> list[str]:
        """Return the command, without a path of this machine in it: Evalchemy names files after its arguments."""
        max_tokens = task.max_tokens or self.settings.max_tokens or MAX_TOKENS
        arguments = ",".join(f"{key}={value}" for key, value in self.model_arguments(max_tokens).items())
        system = ["--system_instruction", self.model.system_prompt] if self.model.system_prompt else []
        return [
            *(str(self.installation.python), "-m", CHILD, str(self.settings.seed)),
            *("--model", "hf", "--model_args", arguments),
            *("--tasks", task.name, "--batch_size", str(CPU_BATCH) if self.settings.device == "cpu" else "auto"),
            *("--max_tokens", str(max_tokens), "--annotator_model", ANNOTATOR, "--seed", str(self.settings.seed)),
            *("--output_path", "../out", *system),
        ]

    def model_arguments(self, max_tokens: int) -> Json:
        """Return lm-eval's arguments for the model, with a window in which a prompt and a reply fit.

        Raises ValueError when a reply of `max_tokens` tokens leaves no room for a prompt.
        """
        window = self.model.context_window - max_tokens + HARNESS_TOKENS
        if window <= HARNESS_TOKENS:
            raise ValueError(f"a reply of {max_tokens} tokens leaves no room in the window of {self.model.id}")
        is_spread = self.settings.device == "gpu" and self.model.tensor_parallel > 1
        return {
            "pretrained": f"models/{self.model.id}",
            "dtype": self.dtype,
            "max_length": window,
            "device": "cpu" if self.settings.device == "cpu" else "cuda",
            **({"parallelize": True} if is_spread else {}),
        }

    def variables(self, task: Task, files: TaskFolder) -> dict[str, str]:
        """Return the environment of the process: its judge, no downloads, no telemetry."""
        modules = files.clone / task.folder / task.import_folder
        judge = self.installation.judge
        inherited = {key: value for key, value in os.environ.items() if key not in IGNORED_VARIABLES}
        return inherited | {
            "PYTHONPATH": os.pathsep.join([str(modules), str(CHECKOUT)]),
            "OPENAI_BASE_URL": judge.address,
            "OPENAI_API_BASE": judge.address,
            "OPENAI_API_KEY": judge.key,
            JUDGE_MODEL_VARIABLE: judge.model,
            EVENTS_VARIABLE: str(files.events_path),
            **({DATA_VARIABLE: str(files.clone / task.data_folder)} if task.data_folder else {}),
            **OFFLINE,
            "HF_DATASETS_CACHE": str(files.root / "cache"),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "TELEMETRY_ENABLED": "false",
            "TOKENIZERS_PARALLELISM": "false",
            **({"CUDA_VISIBLE_DEVICES": ""} if self.settings.device == "cpu" else {}),
        }

    def kept_log(self, task: Task) -> Path:
        """Return the file in which a task's whole output is kept."""
        return LOGS / f"{self.model.id}-{task.name}.txt"

    def keep_log(self, task: Task, log_path: Path) -> None:
        """Keep a task's output, without the judge's key."""
        text = log_path.read_text(encoding="utf-8", errors="replace") if log_path.exists() else ""
        write_text(self.kept_log(task), self.installation.judge.hide_key(text))

    def explain(self, error: Exception) -> str:
        """Return an error in one line, without the key and alike on every machine."""
        text = f"{error}" if isinstance(error, ValueError | UserError) else f"{type(error).__name__}: {error}"
        return self.installation.judge.hide_key(strip_folders(" ".join(text.split())))[:400]
