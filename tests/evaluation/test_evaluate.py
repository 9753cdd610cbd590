"""The stage `evaluate`: how a model is run, what the user reads, and tasks that fail alone."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from stages.evaluate import environment, log_results, model_args
from stages.lib.console.errors import UserError
from stages.lib.core.sections import parse
from stages.lib.evaluation.results import average
from stages.lib.models.catalogue import Model
from stages.lib.settings.evaluate import Evaluate
from stages.lib.settings.runtime import Runtime
from tests.support.evaluation import FAILED, QUIZ, SETTINGS, SUMS, make_evaluation, python, scored, write_params

TUNED = Model(
    id="tuned",
    name="Tuned",
    location="models/tuned",
    kind="local",
    commit="c0ffee",
    parameters_billions=8,
    context_window=4096,
    tensor_parallel=2,
)
HUB = TUNED.model_copy(update={"kind": "hub", "location": "org/model", "quantization": "fp8"})


def settings(**changes):
    return parse(Evaluate, SETTINGS | changes, "evaluate")


def test_each_task_and_average_is_printed_in_one_line(capsys):
    tasks = {"a": scored(0.5), "b": FAILED}
    log_results("tiny", tasks, {"average": average(tasks, tasks), "printed": average(tasks, ["a"])}, ["limit 2"])
    assert capsys.readouterr().err.splitlines() == [
        "tiny: a acc 0.5000, n = 2",
        "tiny: b failed: ValueError: no data",
        "tiny: average of 2 tasks needs b",
        "tiny: printed of 1 tasks 0.5000",
        "tiny: conditions of these scores: limit 2",
    ]


def test_the_stage_fails_when_no_task_has_a_score():
    with pytest.raises(UserError, match="no task could be run on tiny; the reasons are above"):
        log_results("tiny", {"b": FAILED}, {}, [])


def test_a_cpu_gets_float32_and_a_local_model_is_never_looked_up_on_the_hub():
    arguments = model_args(TUNED, settings(), Runtime())
    assert (arguments["dtype"], arguments["device"], arguments["revision"]) == ("float32", "cpu", None)
    assert Path(arguments["pretrained"]).is_absolute()


def test_a_gpu_gets_the_models_own_window_dtype_gpus_and_commit():
    arguments = model_args(HUB, settings(device="gpu"), Runtime(gpu_memory_utilization=0.5))
    assert arguments == {
        "pretrained": "org/model",
        "revision": "c0ffee",
        "tokenizer_revision": "c0ffee",
        "trust_remote_code": False,
        "batch_size": "auto",
        "dtype": "bfloat16",
        "gpu_memory_utilization": 0.5,
        "load_format": "safetensors",
        "max_model_len": 4096,
        "quantization": "fp8",
        "seed": 1,
        "tensor_parallel_size": 2,
    }


def test_an_evaluation_on_a_cpu_sees_no_gpu_and_one_on_gpus_those_that_it_was_given():
    assert environment(TUNED, settings(), "cache")["CUDA_VISIBLE_DEVICES"] == ""
    assert "CUDA_VISIBLE_DEVICES" not in environment(TUNED, settings(device="gpu"), "cache")


@pytest.mark.parametrize(
    ("model", "message"),
    [(HUB, "needs `evaluate.device: gpu`"), (TUNED.model_copy(update={"kind": "import"}), "no weights")],
)
def test_a_model_that_cannot_be_evaluated_here_is_an_error_that_says_what_to_do(model, message):
    with pytest.raises(UserError, match=message):
        model_args(model, settings(), Runtime())


def test_the_hub_is_switched_off_only_when_model_and_tasks_are_local(tmp_path):
    (tmp_path / "quiz.yaml").write_text("task: quiz\ndataset_path: json\n", encoding="utf-8")
    (tmp_path / "sums.yaml").write_text("task: sums\ndataset_path: json\n", encoding="utf-8")
    here = settings(tasks_folder=str(tmp_path))
    assert environment(TUNED, here, "cache")["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in environment(HUB, here, "cache")
    board = {"tasks": {"quiz": "acc", "leaderboard_bbh": "acc_norm"}}
    assert "HF_HUB_OFFLINE" not in environment(TUNED, settings(tasks_folder=str(tmp_path), **board), "cache")
    board["local_data"] = {"leaderboard_bbh": "all"}
    assert environment(TUNED, settings(tasks_folder=str(tmp_path), **board), "cache")["HF_HUB_OFFLINE"] == "1"
    (tmp_path / "sums.yaml").write_text("task: sums\ndataset_path: org/sums\n", encoding="utf-8")
    assert "HF_HUB_OFFLINE" not in environment(TUNED, here, "cache")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"averages": {"mine": []}}, "evaluate.averages.mine"),
        ({"tasks": {"../quiz": "acc"}}, "evaluate.tasks"),
    ],
)
def test_a_wrong_section_is_refused_in_one_line(changes, message):
    with pytest.raises(UserError) as error:
        settings(**changes)
    assert message in str(error.value) and "\n" not in str(error.value)


# With the real lm-eval, in a process of its own.

BROKEN = QUIZ.replace("task: quiz", "task: broken").replace("tasks/quiz.jsonl", "tasks/absent.jsonl")


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Two tiny random models, with and without a chat template, and three tasks, one of them without data."""
    folder = make_evaluation(tmp_path_factory.mktemp("project"), quiz=QUIZ, sums=SUMS, broken=BROKEN)
    write_params(folder, tasks={"quiz": "acc_norm", "broken": "acc_norm", "sums": "exact_match"})
    return folder


@pytest.mark.pipeline
def test_a_task_that_fails_fails_alone_and_a_second_run_gives_the_same_bytes(project):
    out = project / "data/evaluations/tiny"
    ran = python(project, "-m", "stages.evaluate", "tiny")
    assert ran.returncode == 0, ran.stderr
    first = contents(out)
    assert sorted(first) == ["results.json", "samples/quiz.parquet", "samples/sums.parquet", "summary.json"]
    results = json.loads(first["results.json"])
    assert {task: entry["status"] for task, entry in results["tasks"].items()} == {
        "quiz": "ok",
        "broken": "failed",
        "sums": "ok",
    }
    assert results["tasks"]["broken"]["reason"] == "FileNotFoundError: Unable to find 'tasks/absent.jsonl'"
    assert results["averages"] == {
        "average": {"columns": ["quiz", "broken", "sums"], "value": None, "missing": ["broken"]}
    }
    assert results["tasks"]["quiz"]["metrics"]["acc_norm"]["n"] == 6
    assert "tiny: broken failed" in ran.stderr
    samples = pq.read_table(out / "samples/quiz.parquet").to_pylist()
    assert samples[0]["prompt"] == "user: What is 0?assistant: "
    assert samples[0]["messages"] == [{"role": "user", "content": "What is 0?"}]
    assert (samples[0]["target"], samples[0]["answer"]) == ("0", None)
    prompts = [results["tasks"][task]["prompts"] for task in ("quiz", "broken", "sums")]
    rendered = {"rendered": 6, "with_control_string": 0}
    assert prompts == [rendered, {}, {**rendered, "without_system": 6}]
    assert {row["response"] for row in samples} <= {*"012345", "cat", "dog"}
    assert str(project).encode() not in b"".join(first.values())
    assert python(project, "-m", "stages.evaluate", "tiny").returncode == 0
    assert contents(out) == first


@pytest.mark.pipeline
def test_a_model_without_a_chat_template_is_one_plain_line(project):
    ran = python(project, "-m", "stages.evaluate", "bare")
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].startswith(
        "evaluate: bare has no chat template: set `evaluate.apply_chat_template: false`"
    )
