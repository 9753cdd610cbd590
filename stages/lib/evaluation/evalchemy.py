"""MTBench, AlpacaEval 2 and MixEval by Evalchemy (paper, sec. 3.1), in an environment and from a clone of their own.

Each task of each model is one process in a folder that holds the clone's committed files and nothing of any other run:
Evalchemy keeps answers, verdicts and scores inside its clone and takes them up again, and a task that fails takes the
results of the others with it.
"""

import contextlib
import io
import json
import os
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line, progress
from stages.lib.core.files import write_text
from stages.lib.core.process import CHECKOUT, call, last_words
from stages.lib.core.text import strip_folders
from stages.lib.core.types import Json
from stages.lib.evaluation.evalchemy_results import (
    ALPACA_BASELINE,
    ALPACA_DATA,
    ALPACA_GAMED,
    ALPACA_ITEMS,
    BENCHMARKS,
    MIX_DATA,
    MIX_SPLITS,
    MT_BENCH,
    read_run,
)
from stages.lib.evaluation.evalchemy_setup import COMMIT, Place, check_judge, find_judge, find_place, git
from stages.lib.evaluation.results import Status, entry
from stages.lib.evaluation.transformers4 import check_same, downgrade
from stages.lib.models.catalogue import Model
from stages.lib.models.hub import hub_data, hub_model
from stages.lib.settings.reading import load
from stages.lib.settings.sections import Evaluate, Runtime

LOGS = Path(".dvc/tmp/rewild/evalchemy")  # all that Evalchemy said, one file per model and task
ANNOTATOR = "gpt-4o-mini-2024-07-18"  # a judge that all three tasks know; the server is asked for its own model
ALPACA_HUB = "tatsu-lab/alpaca_eval"
MAX_TOKENS = 1024  # Evalchemy's own, of MTBench and alpaca_eval
HARNESS_TOKENS = 256  # that lm-eval leaves room for, however long a reply may get; MixEval's limit
CPU_BATCH = 8  # rows per step
SHARED = ("eval/*.py", "eval/chat_benchmarks/*.py", "database")


@dataclass(frozen=True, slots=True)
class Task:
    """One of Evalchemy's benchmarks."""

    files: tuple[str, ...]  # in its folder of the clone
    path: str  # where it imports from
    questions: int
    verdicts: int  # on each of them
    metrics: tuple[str, ...] = ()  # that can be the main one; empty: not known before

    def expected(self, limit: int) -> int:
        """How many verdicts a run has."""
        return (min(limit, self.questions) if limit else self.questions) * self.verdicts


TASKS = {
    "MTBench": Task(("eval_instruct.py", "fastchat"), "", 80, 2, ("Average", "Turn 1", "Turn 2")),
    "alpaca_eval": Task(("eval_instruct.py", "src"), "src", 805, 1, ("length_controlled_winrate", "win_rate")),
    "MixEval": Task(("eval_instruct.py", "mix_eval", "client"), "", 2000, 2),
}


class Stalled(ValueError):
    """Nothing has come for too long."""


def evaluate(
    model: Model, settings: Evaluate, folder: Path, runtime: Runtime | None = None, judge: Model | None = None
) -> tuple[dict[str, Json], dict[str, list[Json]]]:
    """Every task's entry of results.json, and the samples of those that ran; `folder` is for temporary files.

    `judge` is a model behind a server; without one, $OPENAI_BASE_URL and $OPENAI_API_KEY say who judges. A task that
    cannot be run here is `skipped`, one that ends badly `failed`, with the reason. Raises UserError for a task or main
    metric that Evalchemy does not have.
    """
    runtime = runtime or load(Runtime)
    asked = settings.evalchemy
    check_tasks(asked)
    place = find_place(model, find_judge(settings.evalchemy_judge, judge))
    if isinstance(place, str):
        return {task: without_score("skipped", place, primary) for task, primary in asked.items()}, {}
    run = Run(model, settings, runtime, place, folder)
    try:
        check_judge(place.judge)
        run.prepare_model()
    except Exception as error:  # whatever it is: other harnesses' results are not to be lost
        reason = run.explain(error)
        return {task: without_score("failed", reason, primary) for task, primary in asked.items()}, {}
    entries, samples = {}, {}
    for task, primary in asked.items():
        log_line(f"{model.id}: {task}, judged by {place.judge.model} at {place.judge.host}")
        try:
            entries[task], samples[task] = run.run_task(task)
        except Exception as error:  # a task that raises fails alone
            entries[task] = without_score("failed", run.explain(error), primary)
    return entries, samples


def check_tasks(tasks: dict[str, str]) -> None:
    """Raise UserError for a task or a main metric that Evalchemy does not have."""
    for task, primary in tasks.items():
        if task not in TASKS:
            raise UserError(f"evaluate.evalchemy: no task {task!r}; known: {', '.join(TASKS)}")
        known = TASKS[task].metrics
        if known and primary not in known:
            raise UserError(f"evaluate.evalchemy.{task}: no metric {primary!r}; known: {', '.join(known)}")


def without_score(status: Status, reason: str, primary: str) -> Json:
    """The entry of a task that has no result."""
    return entry(status, reason, {}, primary, harness="evalchemy", harness_version=COMMIT)


@dataclass(frozen=True, slots=True)
class Run:
    """The tasks of one model, each in a folder of its own under `folder`."""

    model: Model
    settings: Evaluate
    runtime: Runtime
    place: Place
    folder: Path

    @property
    def dtype(self) -> str:
        """The precision that the model runs in."""
        return "float32" if self.settings.device == "cpu" else self.model.dtype

    @property
    def checkpoint(self) -> Path:
        """The model as transformers 4 reads it: its folder is called like the model, which Evalchemy's files are."""
        return self.folder.absolute() / "models" / self.model.id

    def prepare_model(self) -> None:
        """Write the model for transformers 4; raise ValueError unless it is the same model there."""
        at_hub = self.model.kind == "hub"
        source = hub_model(self.model.location, self.model.commit) if at_hub else Path(self.model.location)
        downgrade(source, self.checkpoint, self.model.chat_template)
        check_same(source, self.checkpoint, self.place.python, self.dtype, self.model.chat_template)

    def run_task(self, task: str) -> tuple[Json, list[Json]]:
        """Run one task and read what it left; raise ValueError when that is not whole."""
        work = self.folder.absolute() / task
        clone, out, words, notes = (work / name for name in ("clone", "out", "words.txt", "notes.jsonl"))
        copy_clone(self.place.home, task, clone)
        (clone / "models").symlink_to(self.checkpoint.parent)
        if task == "alpaca_eval":
            copy_alpaca_data(self.settings.alpaca_eval_data, clone / ALPACA_DATA)
        keep_first(clone, task, self.settings.limit)
        expected = TASKS[task].expected(self.settings.limit)
        none: list[None] = []
        with progress(none, desc=f"{self.model.id}: {task}", unit="answers of the judge", total=expected) as bar:
            watch = Watch(notes, words, self.runtime, bar)
            try:
                code = call(self.command(task), self.variables(task, clone, notes), words, watch.look, clone)
            finally:
                self.keep_log(task, words)
        taken = read_notes(notes)
        log_line(f"{self.model.id}: {task}: {spent(taken)}")
        if code:
            raise ValueError(f"Evalchemy ended with exit code {code}: {last_words(words)}; see {self.log(task)}")
        cut = sum(note["prompts"] for note in taken if note["what"] == "cut")
        found, samples = read_run(clone, out, task, self.settings.evalchemy[task], COMMIT, cut)
        if len(samples) != expected:
            raise ValueError(f"{len(samples)} verdicts belong to the clone's {task}, and not {expected}")
        return found, samples

    def command(self, task: str) -> list[str]:
        """What to call in the clone's root. No path in it depends on the machine: Evalchemy names files after them."""
        max_tokens = HARNESS_TOKENS if task == "MixEval" else self.settings.max_tokens or MAX_TOKENS
        window = self.model.context_window - max_tokens + HARNESS_TOKENS  # so that prompt and reply fit
        if window <= HARNESS_TOKENS:
            raise ValueError(f"a reply of {max_tokens} tokens leaves no room in the window of {self.model.id}")
        arguments = {
            "pretrained": f"models/{self.model.id}",
            "dtype": self.dtype,
            "max_length": window,
            "device": "cpu" if self.settings.device == "cpu" else "cuda",
            **({"parallelize": True} if self.settings.device == "gpu" and self.model.tensor_parallel > 1 else {}),
        }
        system = ["--system_instruction", self.model.system_prompt] if self.model.system_prompt else []
        return [
            *(str(self.place.python), "-m", "stages.lib.evaluation.evalchemy_child", str(self.settings.seed)),
            *("--model", "hf", "--model_args", ",".join(f"{key}={value}" for key, value in arguments.items())),
            *("--tasks", task, "--batch_size", str(CPU_BATCH) if self.settings.device == "cpu" else "auto"),
            *("--max_tokens", str(max_tokens), "--annotator_model", ANNOTATOR, "--seed", str(self.settings.seed)),
            *("--output_path", "../out", *system),
        ]

    def variables(self, task: str, clone: Path, notes: Path) -> dict[str, str]:
        """The variables that it runs with: its own judge settings, no downloads, no telemetry."""
        path = clone / BENCHMARKS / task / TASKS[task].path
        theirs = ("OPENAI_API_KEYS", "OPENAI_ORGANIZATION_IDS", "OPENAI_CLIENT_CONFIG_PATH", "IS_ALPACA_EVAL_2")
        inherited = {key: value for key, value in os.environ.items() if key not in theirs}
        return inherited | {
            "PYTHONPATH": os.pathsep.join([str(path), str(CHECKOUT)]),
            "OPENAI_BASE_URL": self.place.judge.address,
            "OPENAI_API_BASE": self.place.judge.address,
            "OPENAI_API_KEY": self.place.judge.key,
            "REWILD_JUDGE_MODEL": self.place.judge.model,
            "REWILD_NOTES": str(notes),
            **({"REWILD_ALPACA_DATA": str(clone / ALPACA_DATA)} if task == "alpaca_eval" else {}),
            **dict.fromkeys(("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"), "1"),
            "HF_DATASETS_CACHE": str(clone.parent / "cache"),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "TELEMETRY_ENABLED": "false",
            "TOKENIZERS_PARALLELISM": "false",
            **({"CUDA_VISIBLE_DEVICES": ""} if self.settings.device == "cpu" else {}),
        }

    def log(self, task: str) -> Path:
        """Where all that Evalchemy said is kept."""
        return LOGS / f"{self.model.id}-{task}.txt"

    def keep_log(self, task: str, words: Path) -> None:
        """Keep what Evalchemy said, without the key."""
        text = words.read_text(encoding="utf-8", errors="replace") if words.exists() else ""
        write_text(self.log(task), self.place.judge.hide(text))

    def explain(self, error: Exception) -> str:
        """A reason in one line, without the key, alike on every machine."""
        text = f"{error}" if isinstance(error, ValueError | UserError) else f"{type(error).__name__}: {error}"
        return self.place.judge.hide(strip_folders(" ".join(text.split())))[:400]


def copy_clone(home: Path, task: str, clone: Path) -> None:
    """Make a folder with what a task needs of the clone at the pinned commit; whatever else lies in the clone stays."""
    folder = BENCHMARKS / task
    archive = git(home, "archive", "--format=zip", COMMIT, *SHARED, *(str(folder / name) for name in TASKS[task].files))
    if archive.returncode:
        said = archive.stderr.decode(errors="replace").strip().splitlines()
        raise ValueError(f"git could not read the clone of Evalchemy: {said[-1] if said else archive.returncode}")
    with zipfile.ZipFile(io.BytesIO(archive.stdout)) as files:
        files.extractall(clone)  # a name that leads out of the folder is written inside it


def copy_alpaca_data(given: str, target: Path) -> None:
    """Put alpaca_eval's data into a folder, as plain files: its own way is to run a script of the hub's."""
    names = [ALPACA_ITEMS, ALPACA_BASELINE, ALPACA_GAMED]
    source = Path(given) if given else hub_data(ALPACA_HUB, "main", names)
    target.mkdir(parents=True)
    for name in names:
        if not (source / name).exists():
            raise ValueError(f"alpaca_eval needs {name}, which is not in {given or ALPACA_HUB}")
        (target / name).write_bytes((source / name).read_bytes())


def keep_first(clone: Path, task: str, limit: int) -> None:
    """Leave only so many questions of a task in the clone; 0: all."""
    if not limit:
        return
    if task == "MTBench":
        file = clone / MT_BENCH / "question.jsonl"
        write_text(file, "".join(file.read_text(encoding="utf-8").splitlines(keepends=True)[:limit]))
        return
    files = [clone / MIX_DATA / f"{name}.json" for name, _ in MIX_SPLITS.values()]
    if task == "alpaca_eval":
        files = [clone / ALPACA_DATA / name for name in (ALPACA_ITEMS, ALPACA_BASELINE)]
    for file in files:
        rows = json.loads(file.read_text(encoding="utf-8"))
        first = rows[:limit] if isinstance(rows, list) else dict(list(rows.items())[:limit])
        write_text(file, json.dumps(first))


def read_notes(file: Path) -> list[Json]:
    """What evalchemy_child noted."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [json.loads(line) for line in lines]


def spent(notes: list[Json]) -> str:
    """What the judge has taken, for people."""
    answers = [note for note in notes if note["what"] == "answered"]
    tokens = [sum(note.get(name, 0) for note in answers) for name in ("prompt_tokens", "completion_tokens")]
    return f"the judge answered {len(answers)} requests: {tokens[0]} tokens read, {tokens[1]} written"


class Watch:
    """Looks at a run: how many verdicts are in, and whether anything still comes."""

    def __init__(self, notes: Path, words: Path, runtime: Runtime, bar: "tqdm[None]") -> None:
        self._notes, self._words, self._runtime, self._bar = notes, words, runtime, bar
        self._last = (-1, -1)
        self._since = time.monotonic()

    def look(self) -> None:
        """Move the bar; raise Stalled when nothing has come for too long.

        Before the first question to the judge, anything that Evalchemy says is a sign of life; then, only an answer.
        """
        asked, answered = self._counts()
        sign = (1, answered) if asked else (0, self._words.stat().st_size)
        if sign != self._last:
            self._bar.update(answered - self._bar.n)
            self._last, self._since = sign, time.monotonic()
        limit = self._runtime.stall_seconds if asked else self._runtime.start_seconds
        if time.monotonic() - self._since > limit:
            what = f"the judge had answered {answered} of {asked} requests, then nothing" if asked else "no output"
            raise Stalled(f"Evalchemy was ended: {what} for {limit:.0f} s")

    def _counts(self) -> tuple[int, int]:
        """How many requests were made, and how many were answered."""
        with contextlib.suppress(FileNotFoundError):
            text = self._notes.read_text(encoding="utf-8")
            return text.count('"asked"'), text.count('"answered"')
        return 0, 0
