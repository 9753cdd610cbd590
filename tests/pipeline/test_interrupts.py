"""Ctrl-C and SIGTERM at any moment: what is finished is stored, the line about it is true, and another run goes on."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.lib.core.files import sha256_folder
from stages.lib.generation.store import Store
from stages.lib.records.shards import read_shard
from tests.support.project import BIN, NO_TRAINING, ROOT, Project, make_project
from tests.support.training import wait_until

NUM_PROMPTS = 120
NUM_QUESTIONS = 60
# A stage whose engine takes its time, and that flushes nothing of itself.
PACED = """
import importlib
import sys
import stages.lib.engines.factory as factory
from stages.lib.settings.reading import run
from tests.support.faulty import PacedEcho

factory.EchoEngine = PacedEcho
if __name__ == "__main__":
    run(importlib.import_module(f"stages.{sys.argv.pop(1)}").main)
"""
INTERRUPTED = (
    "{stage}: {how}; {stored} of {total} {what} are in the store, {new} of them from this run; run it again to go on"
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that has come as far as `generate`, with its answers to questions."""
    project = make_project(tmp_path_factory.mktemp("interrupts") / "project", NUM_PROMPTS)
    params = project.params()
    params["prompts"]["max_prompts"] = 10_000
    params["compare"] = ["base"]
    params["runtime"] |= {"max_concurrent": 3, "flush_conversations": 10_000, "flush_seconds": 10_000}
    project.write_params(params)
    questions = [{"question_id": number, "category": "c", "turns": ["One?", "Two?"]} for number in range(NUM_QUESTIONS)]
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    (project.root / "demo/questions.jsonl").write_text(lines, encoding="utf-8")
    (project.root / "paced.py").write_text(PACED, encoding="utf-8")
    (project.root / "tests").symlink_to(ROOT / "tests")
    project.edit("dvc.yaml", "cmd: python -m stages.generate", "cmd: python paced.py generate")
    project.run("dvc", "repro", "check", "prompts", "resolve@rich", "resolve_base@base")
    return project


class Run:
    """A command of a project in a process group of its own, as in a terminal; its engine stops after some replies."""

    def __init__(self, project: Project, *words: str, num_replies: int, start_seconds: float = 0.0) -> None:
        (project.root / "replies").unlink(missing_ok=True)
        self._replies, self._num_replies = project.root / "replies", num_replies
        paths = {"PATH": f"{BIN}:{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}
        engine = {"ECHO_START": str(start_seconds), "ECHO_REPLIES": str(num_replies)}
        self.process = subprocess.Popen(
            words, cwd=project.root, env={**os.environ, **NO_TRAINING, **paths, **engine}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def wait_for_replies(self) -> None:
        """Wait until the engine has given its replies."""
        wait_until(lambda: self._replies.exists() and self._replies.stat().st_size >= self._num_replies, seconds=60)

    def end(self, *signals: signal.Signals, group: bool = False) -> tuple[int, str]:
        """Send signals to the command, or to all of its group as a terminal does; its exit code and last line."""
        for number in signals:
            (os.killpg if group else os.kill)(self.process.pid, number)
        output, _ = self.process.communicate(timeout=60)
        return self.process.returncode, output.replace("\r", "\n").splitlines()[-1]


def num_stored(project: Project, name: str) -> int:
    """How many conversations the store holds, each once."""
    segments = Store(project.root / ".dvc/store", name).segments()
    identities = [row["identity"] for segment in segments for row in read_shard(segment)]
    assert len(set(identities)) == len(identities)
    return len(identities)


@pytest.fixture
def emptied(project: Project) -> Iterator[Project]:
    """The project with an empty store."""
    shutil.rmtree(project.root / ".dvc/store", ignore_errors=True)
    yield project


CTRL_C, TERM, HANGUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


@pytest.mark.parametrize(
    ("signals", "code", "how"),
    [([CTRL_C], 130, "interrupted"), ([CTRL_C] * 3, 130, "interrupted"), ([TERM], 143, "ended by SIGTERM")],
)
def test_a_signal_amid_a_batch_stores_it_whole_and_says_how_much_that_is(
    emptied: Project, signals: list[signal.Signals], code: int, how: str
) -> None:
    run = Run(emptied, "python", "paced.py", "generate", "rich", num_replies=40)
    run.wait_for_replies()
    ended, line = run.end(*signals, group=True)
    stored = num_stored(emptied, "rich")
    assert 13 <= stored <= 40, "conversations have one to three turns"
    told = INTERRUPTED.format(
        stage="generate", how=how, stored=stored, new=stored, total=NUM_PROMPTS, what="conversations of rich"
    )
    assert (ended, line) == (code, told)


def test_a_signal_while_the_engine_starts_ends_the_engine_too(emptied: Project) -> None:
    run = Run(emptied, "python", "paced.py", "generate", "rich", num_replies=0, start_seconds=600)
    log = emptied.root / ".dvc/tmp/engines/rich.log"
    log.unlink(missing_ok=True)
    wait_until(log.exists)
    [engine] = [int(pid) for pid in children_of(run.process.pid) if "resource_tracker" not in command_of(pid)]
    code, line = run.end(HANGUP)
    assert code == 129 and "ended by SIGHUP; 0 of 120 conversations of rich are in the store" in line
    assert not Path(f"/proc/{engine}").exists()


def children_of(pid: int) -> list[str]:
    """The ids of the processes that a process has started."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def command_of(pid: str) -> str:
    """The command line of a process."""
    return Path(f"/proc/{pid}/cmdline").read_text()


@pytest.mark.parametrize(
    ("shell", "ended"),
    [("bash", "130"), ("dash", "-2")],  # bash becomes the stage; dash waits for it and ends by the signal itself
)
def test_interrupted_again_and_again_under_dvc_it_comes_to_the_bytes_of_a_run_in_one_go(
    emptied: Project, shell: str, ended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    monkeypatch.setenv("SHELL", str(shutil.which(shell)))  # DVC runs stages with it
    emptied.run("python", "paced.py", "generate", "rich", ECHO_START="0")
    whole = sha256_folder(emptied.root / "data/responses/rich")
    shutil.rmtree(emptied.root / ".dvc/store")
    stored = 0
    for signals, group in (([CTRL_C], True), ([TERM], False), ([signal.SIGKILL], False)):
        run = Run(emptied, "dvc", "repro", "--force", "--single-item", "generate@rich", num_replies=20)
        run.wait_for_replies()
        code, line = run.end(*signals, group=group)
        if group:
            assert code == 255 and line.endswith(f"failed to run: python paced.py generate rich, exited with {ended}")
        else:  # DVC is gone at once and leaves its stage running, which then stores what is finished and ends
            assert code == -signals[0] and "generate: ended by SIGTERM" in line
        now = num_stored(emptied, "rich")
        assert now > stored
        stored = now
    emptied.run("dvc", "repro", "--force", "--single-item", "generate@rich", ECHO_START="0")
    assert num_stored(emptied, "rich") == NUM_PROMPTS
    assert sha256_folder(emptied.root / "data/responses/rich") == whole


def test_answers_and_a_judge_keep_what_is_finished_too(emptied: Project) -> None:
    for words, name, what in (
        (["answers", "base"], "base.answers", "answers"),
        (["judge"], "base.verdicts", "judge replies"),
    ):
        stage = words[0]
        run = Run(emptied, "python", "paced.py", *words, num_replies=20)
        run.wait_for_replies()
        code, line = run.end(CTRL_C)
        stored = num_stored(emptied, name)
        assert code == 130 and stored > 0
        assert line.startswith(f"{stage}: interrupted; {stored} of ") and f" {what} of base are in the store" in line
        output = emptied.run("python", "-m", f"stages.{stage}", *words[1:])
        assert re.search(rf"base: {stored} {what} are in the store, \d+ to generate", output)
        if stage == "answers":
            emptied.run("python", "-m", "stages.digest", "answers", "base")
