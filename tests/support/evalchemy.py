"""Runs of Evalchemy: a model and a judge, the files that a run leaves, and a clone that is made here."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stages.lib.core.sections import parse
from stages.lib.core.types import Json
from stages.lib.evaluation.evalchemy.installation import JudgeServer
from stages.lib.evaluation.evalchemy.mtbench import DATA as MT_BENCH
from stages.lib.evaluation.evalchemy.results import read_run
from stages.lib.evaluation.evalchemy.tasks import TASKS
from stages.lib.models.catalogue import Model
from stages.lib.settings.evaluate import Evaluate
from tests.support import judge as stub
from tests.support.evaluation import SETTINGS as SECTION
from tests.support.project import ROOT

TUNED = Model(
    id="rewild",
    name="Tuned",
    location=str(ROOT / "demo/models/demo-rich"),
    kind="local",
    commit="c0ffee",
    parameters_billions=8,
    context_window=2048,
)
JUDGE = JudgeServer("small-judge", "http://user:password@127.0.0.1:9/v1", "sk-very-secret")
SETTINGS = SECTION | {
    "tasks": {"quiz": "acc"},
    "evalchemy": {"MTBench": "Average"},
    "evalchemy_judge": "gpt-4o-mini-2024-07-18",
    "max_tokens": 0,
}


ENVIRONMENT = Path(os.environ.get("REWILD_EVALCHEMY_ENV", ROOT / ".venv-evalchemy"))
EVALCHEMY_PYTHON = ENVIRONMENT / "bin/python"
CLONE = Path(os.environ.get("EVALCHEMY_HOME", ROOT / ".evalchemy"))
needs_environment = pytest.mark.skipif(not EVALCHEMY_PYTHON.exists(), reason="no .venv-evalchemy: run `make evalchemy`")
needs_clone = pytest.mark.skipif(
    not (CLONE / ".git").exists(), reason="no clone of Evalchemy: run `make evalchemy`, or set EVALCHEMY_HOME"
)


def settings(**changes: Any) -> Evaluate:
    """The section `evaluate` with one task of Evalchemy."""
    return parse(Evaluate, SETTINGS | changes, "evaluate")


def write(path: Path, *rows: object) -> None:
    """Write rows as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def append(path: Path, row: object) -> None:
    """Append a row to a file of JSON lines."""
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def judgment(question: int, turn: int, score: float) -> Json:
    """A row of model_judgment/gpt-4_single.jsonl; the file has this name whoever judges."""
    return {
        "question_id": question,
        "model": "model_hf_model_args_pretrained=models__rewild,dtype=float32",
        "judge": ["gpt-4o-mini-2024-07-18", "single-v1"],
        "user_prompt": "[Instruction] …",
        "judgment": "$ERROR$" if score == -1 else f"Rating: [[{score}]]",
        "score": score,
        "turn": turn,
        "tstamp": 1764000000.0 + turn,
    }


def mtbench(folder: Path, scores: dict[int, list[int]], average: float | None = None) -> Path:
    """Write what MTBench leaves, from `scores` per question and turn; its Average leaves -1 out."""
    data = folder / "clone" / MT_BENCH
    turns = {name: [f"Question {name}.{turn}" for turn in (1, 2)] for name in scores}
    write(data / "question.jsonl", *({"question_id": n, "category": "math", "turns": t} for n, t in turns.items()))
    replies = {name: [f"Reply {name}.{turn}" for turn in (1, 2)] for name in scores}
    answers = ({"question_id": n, "choices": [{"index": 0, "turns": t}]} for n, t in reversed(replies.items()))
    write(data / "model_answer/model_hf.jsonl", *answers)
    rows = [judgment(name, turn, score) for name, pair in scores.items() for turn, score in enumerate(pair, 1)]
    write(data / "model_judgment/gpt-4_single.jsonl", *reversed(rows))
    known = [row["score"] for row in rows if row["score"] != -1]
    own = {"Turn 1": 0.0, "Turn 2": 0.0, "Average": sum(known) / len(known) if average is None else average}
    write(folder / "out/models__rewild/results_2026-01-01T00-00-00.json", {"results": {"MTBench": own}})
    return data


def read(folder: Path, task: str = "MTBench", primary: str = "Average", num_cut: int = 0) -> tuple[Json, list[Json]]:
    """The entry of results.json and the samples of a run."""
    result, samples = read_run(folder / "clone", folder / "out", TASKS[task], primary, num_cut)
    return result.to_json(), samples


def alike(metric: Json) -> Json:
    """A metric to compare with up to rounding."""
    return metric | {key: pytest.approx(metric[key]) for key in ("value", "stderr", "ci95")}


def make_clone(folder: Path, **files: str) -> str:
    """Make a git repository with the files that the tasks need, and return its commit; `files` by their paths."""
    for name in ("eval/eval.py", "eval/chat_benchmarks/__init__.py", "database/__init__.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    for task in TASKS.values():
        for name in task.files:
            file = folder / task.folder / (name if name.endswith(".py") else f"{name}/__init__.py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("")
    for name, text in files.items():
        (folder / name).write_text(text)
    return commit_all(folder)


def commit_all(folder: Path) -> str:
    """Commit everything in a folder and return the commit."""
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "all"]):
        subprocess.run([*git, *arguments], check=True)
    return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def serving(broken: float = 0.0, mute: float = 0.0, refuses: float = 0.0, after: int = 0) -> Iterator[str]:
    """Run a judge on this machine and yield its address."""
    stub.Judge.broken, stub.Judge.mute, stub.Judge.refuses = broken, mute, refuses
    stub.Judge.after, stub.Judge.num_requests = after, 0
    server = stub.serve()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
