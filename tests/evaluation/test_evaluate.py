"""The evaluate stage: one schema of results, intervals that can be computed by hand, tasks that fail alone."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from stages.evaluate import environment, model_args, report
from stages.lib.comparison import paper
from stages.lib.console.errors import UserError
from stages.lib.core.sections import parse, read_yaml
from stages.lib.evaluation.lm_eval_runner import check_metric
from stages.lib.evaluation.results import (
    Unit,
    average,
    completeness,
    describe,
    entry,
    labels,
    measure,
    read_metrics,
    read_samples,
    reason_of,
    said_of,
    summarize,
)
from stages.lib.evaluation.tasks import average_columns
from stages.lib.models.catalogue import Model
from stages.lib.settings.sections import Evaluate, Runtime
from tests.support.evaluation import QUIZ, SETTINGS, SUMS, make_evaluation, python, write_params
from tests.support.project import ROOT

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


def quiz_row(number, correct):
    """A row as simple_evaluate logs it: the model finds 'no' likelier, per character 'certainly'."""
    return {
        "doc_id": number,
        "doc": {"choices": ["no", "certainly"]},
        "doc_hash": f"d{number}",
        "target_hash": "t",
        "arguments": [(f"Question {number}", "no"), (f"Question {number}", "certainly")],
        "resps": [[(-2.0, False)], [(-4.5, False)]],
        "filtered_resps": [(-2.0, False), (-4.5, False)],
        "filter": "none",
        "metrics": ["acc", "acc_norm"],
        "acc": 1.0 - correct,
        "acc_norm": correct,
    }


def quiz_result():
    """Four rows, three of them correct."""
    return {
        "results": {
            "quiz": {
                "alias": "quiz",
                "sample_len": 4,
                "acc,none": 0.25,
                "acc_stderr,none": "N/A",
                "acc_norm,none": 0.75,
                "acc_norm_stderr,none": "N/A",
            }
        },
        "samples": {"quiz": [quiz_row(number, correct) for number, correct in enumerate([1.0, 1.0, 1.0, 0.0])]},
        "versions": {"quiz": 1.0},
        "n-shot": {"quiz": 5},
    }


HARNESS = {"harness": "lm_eval", "harness_version": "0.4.13"}


def ran(value, unit="fraction"):
    """A task with one metric."""
    return entry("ok", None, {"acc": measure([[value], [value]], unit=unit)}, "acc", **HARNESS)


FAILED = entry("failed", "ValueError: no data", {}, "acc", **HARNESS)


def test_a_standard_error_and_interval_are_the_ones_computed_by_hand():
    # Mean 3/4; squared residuals 3 * 1/16 + 9/16 = 3/4, over n - 1 = 3: variance 1/4; stderr = sqrt(1/4 / 4) = 1/4.
    found = measure([[1.0], [1.0], [1.0], [0.0]], 0.75)
    assert found["stderr"] == pytest.approx(0.25)
    assert found["ci95"] == pytest.approx([0.75 - 1.96 * 0.25, 0.75 + 1.96 * 0.25])
    assert (found["value"], found["n"]) == (0.75, 4)


def test_the_instructions_of_one_prompt_count_as_a_cluster():
    # Mean 1/2; each prompt's residuals add up to 1 and -1; variance (1 + 1) * 2 / 1 = 4; stderr = 2 / 4.
    found = measure([[1.0, 1.0], [0.0, 0.0]])
    assert (found["value"], found["n"], found["stderr"]) == (0.5, 4, pytest.approx(0.5))


@pytest.mark.parametrize("scores", [[], [[]], [[1.0]], [[1.0], [0.0]]])
def test_a_metric_that_is_not_the_mean_of_its_scores_has_no_interval(scores):
    assert measure(scores, 0.9)["stderr"] is None
    assert measure(scores, 0.9)["ci95"] is None


def test_a_score_that_is_not_a_number_is_an_error():
    with pytest.raises(ValueError, match="not a finite number: nan"):
        measure([[1.0]], float("nan"))


def test_the_harnesss_own_standard_error_stands_where_the_scores_say_nothing_about_it():
    found = measure([], 41.0, unit="percent", stderr=1.5)
    assert (found["stderr"], found["ci95"], found["unit"]) == (1.5, [41.0 - 1.96 * 1.5, 41.0 + 1.96 * 1.5], "percent")


def test_results_have_one_schema():
    found = describe(quiz_result(), "quiz", "acc_norm", HARNESS)
    assert found.pop("data_sha256") == hashlib.sha256(b"d0t\nd1t\nd2t\nd3t").hexdigest()
    metrics = found.pop("metrics")
    assert list(metrics) == ["acc", "acc_norm"]
    assert metrics["acc_norm"] == measure([[1.0], [1.0], [1.0], [0.0]], 0.75)
    said = {"status": "ok", "reason": None, "primary": "acc_norm", "task_version": 1.0, "num_fewshot": 5}
    assert found == {**said, **HARNESS}
    assert set(FAILED) == {*found, "metrics", "data_sha256"}


def test_a_task_of_which_a_sample_has_no_score_is_partial():
    result = quiz_result()
    result["samples"]["quiz"][3]["acc_norm"] = None
    result["results"]["quiz"]["acc_norm,none"] = 1.0
    found = describe(result, "quiz", "acc_norm", HARNESS)
    assert (found["status"], found["reason"]) == ("partial", "1 of 4 samples have no score")
    assert found["metrics"]["acc_norm"] == measure([[1.0], [1.0], [1.0]])


@pytest.mark.parametrize(("scored", "status"), [(9, "ok"), (8, "partial"), (0, "failed")])
def test_the_status_is_said_by_how_many_samples_have_a_score(scored, status):
    assert completeness(scored, 9)[0] == status


@pytest.mark.parametrize(
    ("status", "reason", "metrics"),
    [("ok", None, {}), ("ok", "why?", {"acc": {}}), ("failed", None, {}), ("lost", "x", {})],
)
def test_an_entry_that_says_nothing_is_refused(status, reason, metrics):
    with pytest.raises(ValueError, match=r"cannot have the reason|lm_eval gave no 'acc', only: nothing"):
        entry(status, reason, metrics, "acc", **HARNESS)


def test_samples_hold_the_choice_that_the_main_metric_takes_as_the_models():
    quiz = SimpleNamespace(OUTPUT_TYPE="multiple_choice", doc_to_choice=lambda doc: doc["choices"])
    by_likelihood = read_samples(quiz_result(), {"quiz": quiz}, "acc")
    by_length = read_samples(quiz_result(), {"quiz": quiz}, "acc_norm")
    assert by_likelihood[0] == {"task": "quiz", "id": 0, "prompt": "Question 0", "response": "no", "score": 0.0}
    assert by_length[0]["response"] == "certainly"
    assert [row["score"] for row in by_length] == [1.0, 1.0, 1.0, 0.0]


def test_a_group_without_a_score_of_its_own_is_scored_over_all_its_rows():
    result = quiz_result()
    parts = {"one": result["samples"]["quiz"][:1], "two": result["samples"]["quiz"][1:]}
    metrics = read_metrics({"results": {"group": {"alias": "group"}}, "samples": parts}, "group")
    assert metrics["acc_norm"] == measure([[1.0], [1.0], [1.0], [0.0]])


def test_a_metric_is_called_with_its_filter_where_there_are_several():
    assert labels(["acc"], ["none"]) == {"acc": ("acc", "none")}
    assert list(labels(["exact"], ["strict", "loose"])) == ["exact,strict", "exact,loose"]


def test_the_average_is_the_mean_of_shares_whatever_the_unit():
    # Sec. 3.1: MTBench divided by ten; AlpacaEval is a percentage. (0.6 + 0.4 + 0.2) / 3.
    tasks = {"MTBench": ran(6.0, "score_1_10"), "alpaca_eval": ran(40.0, "percent"), "a": ran(0.2), "b": ran(0.9)}
    columns = ["MTBench", "alpaca_eval", "a"]
    assert average(tasks, columns) == {"columns": columns, "value": pytest.approx(0.4), "missing": []}


def test_the_average_is_null_and_names_what_is_missing():
    skipped = entry("skipped", "Evalchemy is not set up", {}, "acc", **HARNESS)
    tasks = {"a": ran(0.2), "b": FAILED, "c": skipped, "d": FAILED}
    assert average(tasks, ["a", "b", "c"]) == {"columns": ["a", "b", "c"], "value": None, "missing": ["b", "c"]}


def test_git_keeps_four_decimals_of_each_task_in_its_unit_and_of_each_average():
    tasks = {"a": ran(1 / 3), "b": FAILED, "c": ran(6.66666, "score_1_10")}
    averages = {"average": average(tasks, tasks), "average_printed": average(tasks, ["a"])}
    assert summarize(tasks, averages) == {
        "a": 0.3333,
        "b": None,
        "c": 6.6667,
        "average": None,
        "average_printed": 0.3333,
    }


def test_a_reason_is_one_line_of_the_first_cause_without_the_folder():
    try:
        try:
            raise OSError(f"no {Path.cwd()}/demo/rows.jsonl\nthere")
        except OSError as error:
            raise RuntimeError("could not build") from error
    except RuntimeError as error:
        assert reason_of(error) == "OSError: no demo/rows.jsonl there"


def test_a_reason_names_no_folder_of_the_machine_and_keeps_addresses():
    lost = FileNotFoundError(2, "No such file", "/somewhere/rewild-evaluate-a1b2/x.yaml")
    assert reason_of(lost) == "FileNotFoundError: [Errno 2] No such file: 'x.yaml'"
    assert reason_of(ValueError("http://host/v1/models of a/b")) == "ValueError: http://host/v1/models of a/b"


def test_a_group_says_the_version_and_the_examples_of_its_tasks():
    assert said_of({"bbh": "N/A", "one": 1.0, "two": 1.0}, "bbh") == "1.0"
    assert said_of({"bbh": "N/A", "one": 3, "two": 5}, "bbh") == "3, 5"
    assert said_of({"bbh": 2.0, "one": 1.0}, "bbh") == 2.0
    assert said_of({}, "bbh") is None


def test_each_task_and_average_is_told_in_a_line(capsys):
    tasks = {"a": ran(0.5), "b": FAILED}
    report("tiny", tasks, {"average": average(tasks, tasks), "printed": average(tasks, ["a"])})
    assert capsys.readouterr().err.splitlines() == [
        "tiny: a acc 0.5000, n = 2",
        "tiny: b failed: ValueError: no data",
        "tiny: average of 2 tasks needs b",
        "tiny: printed of 1 tasks 0.5000",
    ]


def test_when_no_task_could_be_run_the_stage_fails():
    with pytest.raises(UserError, match="no task could be run on tiny; the reasons are above"):
        report("tiny", {"b": FAILED}, {})


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


def test_the_hub_is_left_alone_only_when_nothing_is_on_it(tmp_path):
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


def test_an_unknown_metric_is_an_error_that_names_the_known_ones():
    part = SimpleNamespace(config=SimpleNamespace(filter_list=None), aggregation=lambda: {"acc": 1, "acc_norm": 1})
    check_metric({"tasks": {"quiz": part}}, "quiz", "acc_norm")
    with pytest.raises(UserError, match=r"evaluate\.tasks\.quiz: no metric 'f1'; it has: acc, acc_norm"):
        check_metric({"tasks": {"quiz": part}}, "quiz", "f1")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"local_data": {"quizz": "all"}}, "'quizz' is not in evaluate.tasks"),
        ({"evalchemy": {"quiz": "acc"}}, "'quiz' is in evaluate.tasks too: leave one of them out"),
        ({"averages": {"mine": ["quiz", "MTBench"]}}, "mine names 'MTBench'; known tasks: quiz, sums"),
        ({"averages": {"mine": ["quiz", "quiz"]}}, "mine names a task twice"),
        ({"averages": {"quiz": ["sums"]}}, "a task is called 'quiz', so no average can be"),
        ({"tasks": {"average": "acc"}}, "a task is called 'average', so no average can be"),
        ({"averages": {"mine": []}}, "evaluate.averages.mine"),
        ({"tasks": {"../quiz": "acc"}}, "evaluate.tasks"),
    ],
)
def test_a_wrong_section_is_refused_in_one_line(changes, message):
    with pytest.raises(UserError) as error:
        settings(**changes)
    assert message in str(error.value) and "\n" not in str(error.value)


# The averages of the paper's profile.

UNITS: dict[str, Unit] = {
    "MTBench": "score_1_10",
    "alpaca_eval": "percent",
}  # of Evalchemy's; all the others are shares
PROFILE = parse(Evaluate, read_yaml(ROOT / "profiles/paper.yaml")["evaluate"], "evaluate")


def printed(label):
    """A row of the paper's table 2, and its tasks as results.json would have them if it were ours."""
    row = next(row for row in paper.published(2) if row.label == label)
    tasks = {}
    for cell in row.cells.values():
        name, metric = str(cell.column.task), str(cell.column.metric)
        score = measure([], cell.value, unit=UNITS.get(name, "fraction"))
        tasks[name] = entry("ok", None, {metric: score}, metric, **HARNESS)
    return row, tasks


@pytest.mark.parametrize("label", ["Q72", "L8I", "L70", "Q7", "CRP", "JMB"])
def test_the_profiles_averages_of_a_printed_row_are_those_of_the_paper(label):
    row, tasks = printed(label)
    ours = {name: average(tasks, columns) for name, columns in average_columns(PROFILE).items()}
    assert list(ours) == ["average", "average_printed"]
    assert [len(found["columns"]) for found in ours.values()] == [9, 7]
    assert ours["average"]["value"] == pytest.approx(paper.average(row, paper.NINE))
    assert ours["average_printed"]["value"] == pytest.approx(paper.average(row, paper.SEVEN))


def test_the_average_of_q72_is_the_one_computed_by_hand():
    # .686 + .41 + .48 + .29 + .06 + .40 + .37 + .30 + .65 = 3.646, of nine; without the first two 2.55, of seven.
    _, tasks = printed("Q72")
    assert average(tasks, average_columns(PROFILE)["average"])["value"] == pytest.approx(3.646 / 9)
    assert average(tasks, average_columns(PROFILE)["average_printed"])["value"] == pytest.approx(2.55 / 7)


@pytest.mark.parametrize(
    ("skipped", "missing"),
    [
        (["MTBench"], {"average": ["MTBench"], "average_printed": []}),
        (["MTBench", "alpaca_eval"], {"average": ["MTBench", "alpaca_eval"], "average_printed": []}),
        (["MixEval"], {"average": ["MixEval"], "average_printed": ["MixEval"]}),
    ],
)
def test_a_skipped_task_takes_away_the_averages_that_it_is_a_column_of(skipped, missing, capsys):
    """MixEval, which Evalchemy runs, is one of the seven of the printed average too; MTBench and AlpacaEval are not."""
    _, tasks = printed("Q72")
    tasks |= {task: entry("skipped", "Evalchemy is not set up", {}, "x", **HARNESS) for task in skipped}
    averages = {name: average(tasks, columns) for name, columns in average_columns(PROFILE).items()}
    assert {name: found["missing"] for name, found in averages.items()} == missing
    assert {name: found["value"] is None for name, found in averages.items()} == {
        name: bool(names) for name, names in missing.items()
    }
    report("q72", tasks, averages)
    assert f"q72: average of 9 tasks needs {', '.join(missing['average'])}" in capsys.readouterr().err


# With the real lm-eval, in a process of its own.

BROKEN = QUIZ.replace("task: quiz", "task: broken").replace("tasks/quiz.jsonl", "tasks/absent.jsonl")


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Two tiny random models, with and without a chat template, and three tasks of which one has no data."""
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
    assert {task: found["status"] for task, found in results["tasks"].items()} == {
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
    assert samples[0]["prompt"] == "user: What is 0?"
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
