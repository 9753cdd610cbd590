"""Tasks that crash in the process that runs lm-eval: what is kept, what the user reads, and what ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stages.lib.evaluation.lm_eval_runner import last_line
from tests.support.evaluation import QUIZ, SUMS, environment, make_evaluation, python, write_params

FAULTS = {
    "raises": """
def score(row, results):
    raise ValueError("row 3 is torn")
""",
    "once": """
from pathlib import Path
def score(row, results):
    if not Path("once.txt").exists():
        Path("once.txt").touch()
        raise OSError("the disk was full for a moment")
    return {"acc_norm": 1.0}
""",
    "killed": """
import os, signal
def score(row, results):
    os.kill(os.getpid(), signal.SIGKILL)
""",
    "leaves": """
import os, sys
sys.stderr.write("a library says goodbye\\n")
os._exit(3)
""",
    "hides": """
import os
from pathlib import Path
def score(row, results):
    Path("weights/bare").rename("weights/hidden")
    os._exit(1)
""",
    "sleeps": """
import os, subprocess, time
from pathlib import Path
program = subprocess.Popen(["sleep", "600"])
Path("pids.tmp").write_text(f"{os.getpid()} {program.pid}")
Path("pids.tmp").rename("pids.txt")
def score(row, results):
    while not Path("awake").exists():
        time.sleep(0.1)
    return {"acc_norm": 1.0}
""",
}


def task(name):
    """A task of six rows that is scored by a module of its own."""
    return QUIZ.replace("task: quiz", f"task: {name}\nprocess_results: !function {name}.score")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = make_evaluation(tmp_path_factory.mktemp("faults"), quiz=QUIZ, sums=SUMS, **{n: task(n) for n in FAULTS})
    for name, text in FAULTS.items():
        (folder / "tasks" / f"{name}.py").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def ran(project):
    """One run of the stage with a task for each fault, between two without; and its results."""
    faulty = dict.fromkeys(["raises", "once", "killed", "leaves"], "acc_norm")
    write_params(
        project, tasks={"quiz": "acc_norm", **faulty, "sums": "exact_match"}, averages={"mine": ["quiz", "once"]}
    )
    done = python(project, "-m", "stages.evaluate", "tiny")
    assert done.returncode == 0, done.stderr
    return done, *outs(project)


def outs(project):
    """The results of the model, its summary and the names of its samples: other tests write them again."""
    folder = project / "data/evaluations/tiny"
    results, summary = (json.loads((folder / name).read_text()) for name in ("results.json", "summary.json"))
    return results, summary, sorted(file.name for file in (folder / "samples").iterdir())


@pytest.mark.pipeline
def test_a_task_that_ends_the_process_fails_alone_and_the_others_are_scored(ran):
    _, results, *_ = ran
    assert {name: entry["status"] for name, entry in results["tasks"].items()} == {
        "quiz": "ok",
        "raises": "failed",
        "once": "ok",
        "killed": "failed",
        "leaves": "failed",
        "sums": "ok",
    }
    reasons = {name: entry["reason"] for name, entry in results["tasks"].items() if entry["reason"]}
    assert reasons == {
        "raises": "ValueError: row 3 is torn",
        "killed": "the process that ran it was killed by SIGKILL; its last line: tiny: killed (4 of 5)",
        "leaves": "the process that ran it ended with exit code 3; its last line: a library says goodbye",
    }
    assert results["tasks"]["once"]["metrics"]["acc_norm"]["value"] == 1.0


@pytest.mark.pipeline
def test_an_average_with_failed_tasks_is_null_and_names_them(ran):
    _, results, *_ = ran
    average = results["averages"]["average"]
    assert (average["value"], sorted(average["missing"])) == (None, ["killed", "leaves", "raises"])
    assert results["averages"]["mine"]["value"] is not None


@pytest.mark.pipeline
def test_only_tasks_that_were_scored_leave_samples(ran):
    _, _, summary, samples = ran
    assert samples == ["once.parquet", "quiz.parquet", "sums.parquet"]
    assert summary["scores"]["killed"] is None


@pytest.mark.pipeline
def test_the_user_reads_which_tasks_failed_why_and_which_are_tried_again(ran):
    lines = ran[0].stderr.splitlines()
    again = [line for line in lines if line.endswith("it is tried once more, alone")]
    assert again == [
        "tiny: raises failed (ValueError: row 3 is torn); it is tried once more, alone",
        "tiny: once failed (OSError: the disk was full for a moment); it is tried once more, alone",
    ]
    assert [line for line in lines if line.startswith("tiny: killed failed")] == [
        "tiny: killed failed: the process that ran it was killed by SIGKILL; its last line: tiny: killed (4 of 5)"
    ]
    assert "tiny: average of 6 tasks needs raises, killed, leaves" in lines


@pytest.mark.pipeline
def test_results_before_a_crash_are_kept_when_the_model_is_gone_after_it(project):
    wanted = {"quiz": "acc_norm", "hides": "acc_norm", "sums": "exact_match"}
    write_params(project, tasks=wanted, apply_chat_template=False)
    done = python(project, "-m", "stages.evaluate", "bare")
    assert done.returncode == 0, done.stderr
    tasks = json.loads((project / "data/evaluations/bare/results.json").read_text())["tasks"]
    assert {name: entry["status"] for name, entry in tasks.items()} == {
        "quiz": "ok",
        "hides": "failed",
        "sums": "failed",
    }
    assert tasks["sums"]["reason"].startswith("the process that ran it did not begin: weights/bare cannot be loaded")


# The stage ends, and with it its child process and all that this has started.


def alive(pid):
    """Whether a process runs; a dead one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


INTERRUPTED = {"quiz": "acc_norm", "sleeps": "acc_norm", "sums": "exact_match"}


def kept(project):
    """The tasks that are kept of an evaluation."""
    return sorted(json.loads(file.read_text())["task"] for file in project.glob("store/.evaluations/*.json"))


@pytest.fixture
def sleeping(project, tmp_path):
    """The stage while one of its tasks sleeps; the ids of its child process and of the program that this started."""
    write_params(project, tasks=INTERRUPTED)
    for name in ("pids.txt", "awake"):
        (project / name).unlink(missing_ok=True)
    shutil.rmtree(project / "store", ignore_errors=True)
    command = [sys.executable, "-m", "stages.evaluate", "tiny"]
    variables = environment(TMPDIR=str(tmp_path))
    with subprocess.Popen(command, cwd=project, env=variables, stderr=subprocess.PIPE, text=True) as stage:
        assert wait_until(lambda: kept(project) or stage.poll() is not None)
        pids = [int(pid) for pid in (project / "pids.txt").read_text().split()]
        assert stage.pid not in pids and all(map(alive, pids))
        yield stage, pids
        for pid in (stage.pid, *pids):
            if alive(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.pipeline
def test_all_processes_of_a_stage_end_when_it_is_killed_and_what_was_finished_is_kept(sleeping, project):
    stage, pids = sleeping
    stage.kill()
    assert wait_until(lambda: not any(map(alive, pids)), seconds=20)
    assert kept(project) == ["quiz"]


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.pipeline
def test_after_ctrl_c_nothing_runs_and_another_run_goes_on_to_the_bytes_of_a_run_in_one_go(sleeping, project, tmp_path):
    stage, pids = sleeping
    out = project / "data/evaluations/tiny"
    shutil.rmtree(out, ignore_errors=True)
    stage.send_signal(signal.SIGINT)
    _, stderr = stage.communicate(timeout=60)
    line = "evaluate: interrupted; 1 of 3 tasks of tiny are finished and kept; run it again to go on"
    assert (stage.returncode, stderr.splitlines()[-1]) == (130, line)
    assert wait_until(lambda: not any(map(alive, pids)), seconds=20)
    assert (out.exists(), list(tmp_path.glob("rewild-*")), kept(project)) == (False, [], ["quiz"])

    (project / "awake").touch()
    write_params(project, tasks=INTERRUPTED, averages={"mine": ["quiz"]})  # decides no task's result
    resumed = python(project, "-m", "stages.evaluate", "tiny")
    assert "tiny: 1 of 3 tasks are finished from an earlier run" in resumed.stderr.splitlines()
    assert "tiny: sleeps (1 of 2)" in resumed.stderr and "tiny: quiz (" not in resumed.stderr
    assert kept(project) == []
    first = contents(out)
    in_one_go = python(project, "-m", "stages.evaluate", "tiny")
    assert "tiny: quiz (1 of 3)" in in_one_go.stderr
    assert contents(out) == first and json.loads(first["results.json"])["tasks"]["sums"]["status"] == "ok"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Loading\nKilled by the kernel\n", "Killed by the kernel"),
        ("tiny: quiz (1 of 2)\n  0%|   | 0/6\r 50%|█  | 3/6\n\n", "tiny: quiz (1 of 2)"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("/home/me/.venv/lib/x.py:12: UserWarning: hm", "x.py:12: UserWarning: hm"),
        ("  0%|   | 0/6\n", "none"),
        ("", "none"),
    ],
)
def test_the_last_line_is_not_a_progress_bar(text, line):
    assert last_line(text) == line
