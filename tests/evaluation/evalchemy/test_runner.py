"""How Evalchemy is called, and how a run ends when the clone, the environment or the judge fails."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stages.lib.console.errors import DOCTOR, UserError
from stages.lib.console.shell import progress
from stages.lib.core.code import Code
from stages.lib.core.process import call
from stages.lib.evaluation.evalchemy import installation, mixeval, mtbench, results, runner
from stages.lib.evaluation.evalchemy.alpaca_eval import ALPACA_EVAL
from stages.lib.evaluation.evalchemy.installation import Installation
from stages.lib.evaluation.evalchemy.mixeval import MIXEVAL
from stages.lib.evaluation.evalchemy.mtbench import MTBENCH
from stages.lib.evaluation.evalchemy.runner import EvalchemyRun, TaskFolder, evaluate
from stages.lib.evaluation.evalchemy.tasks import TASKS, check_tasks
from stages.lib.evaluation.evalchemy.watchdog import Stalled, Watchdog
from stages.lib.settings.runtime import Runtime
from tests.support.evalchemy import (
    CLONE,
    ENVIRONMENT,
    JUDGE,
    TUNED,
    make_clone,
    needs_clone,
    needs_environment,
    serving,
    settings,
    write,
)
from tests.support.project import ROOT


def test_without_a_clone_or_environment_every_task_is_skipped_and_the_reason_names_the_command(
    evalchemy_folder, monkeypatch
):
    both = settings(evalchemy={"MTBench": "Average", "MixEval": "overall"})
    for variable, what in (("EVALCHEMY_HOME", "clone"), ("REWILD_EVALCHEMY_ENV", "environment")):
        with monkeypatch.context() as without:
            without.setenv(variable, str(evalchemy_folder / "nowhere"))
            entries, samples = evaluate(TUNED, both, Runtime(), evalchemy_folder)
        assert [entry["status"] for entry in entries.values()] == ["skipped", "skipped"]
        assert entries["MixEval"]["reason"] == f"the {what} of Evalchemy is missing: run `make evalchemy`; {DOCTOR}"
        assert samples == {}


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ({"MTbench": "Average"}, r"evaluate\.evalchemy: no task 'MTbench'; known: MTBench, alpaca_eval, MixEval"),
        ({"MTBench": "mean"}, r"evaluate\.evalchemy\.MTBench: no metric 'mean'; known: Average, Turn 1, Turn 2"),
    ],
)
def test_an_unknown_task_or_metric_is_an_error_before_anything_runs(tasks, message):
    with pytest.raises(UserError, match=message):
        check_tasks(tasks)


def test_a_limit_leaves_the_first_questions_in_the_copy(tmp_path):
    write(tmp_path / mtbench.QUESTIONS, {"question_id": 81}, {"question_id": 82}, {"question_id": 83})
    for name in ("free-form", "multiple-choice"):
        write(tmp_path / mixeval.DATA / f"{name}.json", {"0": {}, "1": {}, "2": {}})
    MTBENCH.prepare(tmp_path, settings(limit=2))
    MIXEVAL.prepare(tmp_path, settings(limit=1))
    assert (tmp_path / mtbench.QUESTIONS).read_text().count("\n") == 2
    assert json.loads((tmp_path / mixeval.DATA / "free-form.json").read_text()) == {"0": {}}


@pytest.mark.parametrize(("task", "verdicts"), [("MTBench", 160), ("alpaca_eval", 805), ("MixEval", 4000)])
def test_the_number_of_verdicts_of_a_run_without_a_limit_is_that_of_the_benchmark(task, verdicts):
    assert TASKS[task].num_verdicts(0) == verdicts


def test_all_modules_of_evalchemy_are_in_the_code_digest_of_the_stage():
    room = "stages.lib.evaluation.evalchemy"
    names = {path.stem for path in ROOT.joinpath(*room.split(".")).glob("[!_]*.py")}
    assert {f"{room}.{name}" for name in names} <= Code(ROOT).modules("stages.evaluate")


def run_of(folder, model=TUNED, **changes):
    place = Installation(folder / "clone", Path("python"), JUDGE)
    return EvalchemyRun(model, settings(**changes), Runtime(), place, folder)


def test_the_command_runs_one_task_with_the_device_among_the_models_arguments(tmp_path):
    command = run_of(tmp_path).command(MTBENCH)
    assert command[1:4] == ["-m", "stages.lib.evaluation.evalchemy.child", "1"]
    assert command[command.index("--tasks") + 1] == "MTBench"
    arguments = command[command.index("--model_args") + 1]
    assert arguments == "pretrained=models/rewild,dtype=float32,max_length=1280,device=cpu"
    assert not {"--device", "--log_samples"} & set(command)
    assert str(tmp_path) not in " ".join(command)


def test_lm_eval_leaves_room_for_the_whole_reply_in_the_window(tmp_path):
    # It cuts prompts at max_length - 256, and Evalchemy asks for 48: 2048 - 48 = 2256 - 256.
    assert "max_length=2256," in " ".join(run_of(tmp_path, max_tokens=48).command(MTBENCH))
    assert "max_length=2048," in " ".join(run_of(tmp_path, max_tokens=48).command(MIXEVAL))
    with pytest.raises(ValueError, match="leaves no room in the window of rewild"):
        run_of(tmp_path, TUNED.model_copy(update={"context_window": 512})).command(ALPACA_EVAL)


def test_a_gpu_runs_the_models_own_dtype_and_several_gpus_share_a_model_that_needs_them(tmp_path):
    arguments = " ".join(run_of(tmp_path, device="gpu").command(MIXEVAL))
    assert "dtype=bfloat16,max_length=2048,device=cuda " in arguments
    large = run_of(tmp_path, TUNED.model_copy(update={"tensor_parallel": 2}), device="gpu")
    assert "device=cuda,parallelize=True " in " ".join(large.command(MIXEVAL))


@pytest.mark.parametrize(("device", "visible"), [("cpu", ""), ("gpu", "4,5")])
def test_evalchemy_on_a_cpu_sees_no_gpu_whatever_the_machine_has(device, visible, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    variables = run_of(tmp_path, device=device).variables(MTBENCH, TaskFolder(tmp_path))
    assert variables["CUDA_VISIBLE_DEVICES"] == visible


def test_the_key_is_only_in_the_environment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = run_of(tmp_path)
    assert run.variables(MTBENCH, TaskFolder(tmp_path))["OPENAI_API_KEY"] == "sk-very-secret"
    assert "secret" not in f"{run.command(MTBENCH)} {run}"
    (tmp_path / "log.txt").write_text("Incorrect API key provided: sk-very-secret.")
    run.keep_log(MTBENCH, tmp_path / "log.txt")
    assert run.kept_log(MTBENCH).read_text() == "Incorrect API key provided: [key]."
    assert run.explain(ValueError(f"no {tmp_path}/x for\nsk-very-secret")) == "no x for [key]"


def test_a_dead_judge_ends_every_task_before_anything_runs(evalchemy_folder, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    entries, samples = evaluate(TUNED, settings(), Runtime(), evalchemy_folder)
    assert entries["MTBench"]["status"] == "failed"
    assert entries["MTBench"]["reason"].startswith("the judge gpt-4o-mini-2024-07-18 at 127.0.0.1:9 does not answer")
    assert samples == {}


WRITE_AND_SLEEP = "import sys, time; open(sys.argv[1], 'w').write(sys.argv[2]); time.sleep(60)"


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        (
            '{"event": "requested"}\n{"event": "answered"}\n{"event": "requested"}\n',
            "the judge had answered 1 of 2 requests, then nothing for 1 s",
        ),
        ("", "no output for 2 s"),
    ],
)
def test_a_run_without_progress_is_ended(tmp_path, events, reason):
    events_path, log_path = tmp_path / "events.jsonl", tmp_path / "log.txt"
    log_path.write_text("")
    none: list[None] = []
    with progress(none, desc="x", unit="y") as bar:
        watchdog = Watchdog(events_path, log_path, Runtime(stall_seconds=1, start_seconds=2), bar)
        with pytest.raises(Stalled, match=reason):
            call([sys.executable, "-c", WRITE_AND_SLEEP, str(events_path), events], {}, log_path, watchdog.check)


# A whole run, with a program instead of Evalchemy that leaves the same files.

PROGRAM = """
import json, os, random, sys
from pathlib import Path
import openai

def cli_evaluate():
    options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    assert Path(options["--model_args"].split(",")[0].split("=")[1], "config.json").exists()
    data = Path("eval/chat_benchmarks/MTBench/fastchat/llm_judge/data/mt_bench")
    (data / "model_answer").mkdir()
    (data / "model_judgment").mkdir()
    scores = []
    for line in (data / "question.jsonl").read_text().splitlines():
        question = json.loads(line)
        turns = [f"{turn} {random.random()}" for turn in question["turns"]]
        with (data / "model_answer/m.jsonl").open("a") as file:
            print(json.dumps({"question_id": question["question_id"], "choices": [{"turns": turns}]}), file=file)
        for turn, text in enumerate(turns, 1):
            messages = [{"role": "user", "content": f"[[rating]] {text}"}]
            reply = openai.chat.completions.create(model=options["--annotator_model"], messages=messages)
            text = reply.choices[0].message.content
            scores.append(int(text.split("[[")[1].split("]]")[0]) if "[[" in text else -1)
            row = {"question_id": question["question_id"], "turn": turn, "score": scores[-1], "judgment": text}
            with (data / "model_judgment/gpt-4_single.jsonl").open("a") as file:
                print(json.dumps(row), file=file)
    known = [score for score in scores if score != -1]
    out = Path(options["--output_path"], "m")
    out.mkdir(parents=True)
    if not os.environ.get("FORGET"):
        result = {"results": {"MTBench": {"Average": sum(known) / len(known)}}}
        (out / "results_now.json").write_text(json.dumps(result))
"""
QUESTIONS = "\n".join(json.dumps({"question_id": 81 + n, "turns": [f"One {n}?", f"Two {n}?"]}) for n in range(80))


@pytest.fixture
def program(evalchemy_folder, monkeypatch):
    """A clone whose program is PROGRAM."""
    home = evalchemy_folder / "clone"
    subprocess.run(["rm", "-rf", str(home / ".git")], check=True)
    (home / mtbench.DATA).mkdir(parents=True)
    commit = make_clone(home, **{str(mtbench.QUESTIONS): QUESTIONS, "eval/eval.py": PROGRAM})
    for module in (installation, runner, results):
        monkeypatch.setattr(module, "COMMIT", commit)
    monkeypatch.setattr(runner, "check_same", lambda *_: None)
    return evalchemy_folder


def evaluate_with(address, folder, monkeypatch, **changes):
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    folder.mkdir()
    entries, samples = evaluate(TUNED, settings(**changes), Runtime(stall_seconds=60), folder)
    return entries["MTBench"], samples


def test_a_second_run_gives_the_same_verdicts(program, monkeypatch):
    with serving() as address:
        first = evaluate_with(address, program / "one", monkeypatch)
        assert first[0]["status"] == "ok"
        assert first[0]["metrics"]["Average"]["n"] == 160
        assert evaluate_with(address, program / "two", monkeypatch) == first


def test_three_percent_of_verdicts_missing_make_the_task_partial(program, monkeypatch):
    with serving(mute=0.03) as address:
        entry, samples = evaluate_with(address, program / "one", monkeypatch)
    failed = sum(row["score"] is None for row in samples["MTBench"])
    assert (entry["status"], entry["metrics"]["Average"]["n"]) == ("partial", 160 - failed)
    assert f"no score for {failed} of 160 answers" in entry["reason"]


def test_a_run_without_results_fails_although_its_exit_code_is_zero(program, monkeypatch):
    monkeypatch.setenv("FORGET", "1")
    with serving() as address:
        entry, _ = evaluate_with(address, program / "one", monkeypatch, limit=1)
    assert (entry["status"], entry["reason"]) == ("failed", "Evalchemy left 0 files results_*.json where one belongs")


def test_a_judge_that_dies_during_a_run_fails_the_task_with_the_last_error(program, monkeypatch):
    with serving(broken=1.0, after=20) as address:
        entry, _ = evaluate_with(address, program / "one", monkeypatch)
    assert entry["status"] == "failed"
    assert entry["reason"].startswith("Evalchemy ended with exit code 1: openai.InternalServerError")
    assert entry["reason"].endswith("see .dvc/tmp/rewild/evalchemy/rewild-MTBench.txt")


@needs_environment
@needs_clone
@pytest.mark.pipeline
def test_the_real_evalchemy_gives_equal_results_twice_on_the_demos_model(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALCHEMY_HOME", str(CLONE))
    monkeypatch.setenv("REWILD_EVALCHEMY_ENV", str(ENVIRONMENT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    with serving() as address:
        one, two = (
            evaluate_with(address, tmp_path / name, monkeypatch, limit=2, max_tokens=8) for name in ("one", "two")
        )
    assert (one[0]["status"], one[0]["metrics"]["Average"]["n"]) == ("ok", 4), one[0]["reason"]
    assert two == one
