"""The benchmarks stage: every text that a model is evaluated on, with real lm-eval and data that lies here."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from stages.benchmarks import TextRow, count_texts, list_texts, read_question_texts, read_tasks
from stages.lib.console.errors import UserError
from stages.lib.core.sections import parse
from stages.lib.records.shards import read_table
from stages.lib.settings.evaluate import Evaluate
from tests.support.evaluation import SETTINGS
from tests.support.leaderboard import LOCAL, TASKS, write_files
from tests.support.project import ROOT, small_params

QUIZ = """
task: quiz
dataset_path: json
dataset_kwargs: {data_files: {validation: tasks/quiz.jsonl}}
validation_split: validation
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: answer
"""
SUMS = """
task: sums
dataset_path: json
dataset_kwargs: {data_files: {train: tasks/train.jsonl, test: tasks/sums.jsonl}}
training_split: train
test_split: test
output_type: generate_until
doc_to_text: "Question: {{question}}"
doc_to_target: "{{solution}}"
generation_kwargs: {until: ["."]}
"""
GROUP = "group: everything\ntask: [quiz, sums]\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with two tasks and their group."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    Path("tasks").mkdir()
    for name, text in (("quiz", QUIZ), ("sums", SUMS), ("group", GROUP)):
        Path(f"tasks/{name}.yaml").write_text(text)
    rows = [{"question": "Which is a river?", "choices": ["Rome", "the Elbe"], "answer": 1}]
    Path("tasks/quiz.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows = [{"question": "1 + 1?", "solution": "One and one is 2."}, {"question": "2 + 2?", "solution": " "}]
    Path("tasks/sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("tasks/train.jsonl").write_text(json.dumps({"question": "3 + 3?", "solution": "Learn it."}) + "\n")
    line = {"question_id": 81, "category": "writing", "turns": ["Write a poem.", "Now without rhymes."]}
    Path("questions.jsonl").write_text(json.dumps(line) + "\n")
    small = small_params()
    params = {
        "evaluate": SETTINGS | {"tasks": {"everything": "acc"}},
        "answers": small["answers"] | {"questions": "questions.jsonl"},
        "mix": small["mix"] | {"contamination": "flag"},
    }
    (tmp_path / "params.yaml").write_text(json.dumps(params))
    return tmp_path


def write_sums(folder, first_line):
    """Let the task `sums` ask by a function of its own."""
    (folder / "tasks" / "sums.yaml").write_text(SUMS.replace('"Question: {{question}}"', "!function own.ask"))
    (folder / "tasks" / "own.py").write_text(
        f"{first_line}\ndef ask(row):\n    return f'How many? {{random.random()}}'\n"
    )


def read_summary(folder):
    return json.loads((folder / "data" / "benchmarks" / ".summary.json").read_text())


def run_stage(folder):
    command = [sys.executable, "-m", "stages.benchmarks"]
    return subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True
    )


def test_the_evaluated_rows_of_a_group_and_the_questions_are_written_and_no_training_rows(folder):
    done = run_stage(folder)
    assert done.returncode == 0, done.stderr
    rows = read_table(folder / "data" / "benchmarks").to_pylist()
    assert [(row["benchmark"], row["document"], row["text"]) for row in rows] == [
        ("quiz", "0", "Which is a river?"),
        ("quiz", "0", "the Elbe"),
        ("sums", "0", "Question: 1 + 1?"),
        ("sums", "0", "One and one is 2."),
        ("sums", "1", "Question: 2 + 2?"),
        ("questions", "81", "Write a poem."),
        ("questions", "81", "Now without rhymes."),
    ]
    assert read_summary(folder) == {
        "benchmarks": {
            "questions": {"documents": 1, "texts": 2},
            "quiz": {"documents": 1, "texts": 2},
            "sums": {"documents": 2, "texts": 3},
        },
        "not_read": {},
    }
    assert "4 documents of 3 benchmarks" in done.stderr


def test_no_benchmark_is_read_if_contamination_is_off(folder):
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace('"flag"', '"off"').replace("everything", "x"))
    assert run_stage(folder).returncode == 0
    assert read_summary(folder) == {"benchmarks": {}, "not_read": {}}


def test_a_task_that_this_environment_cannot_run_is_left_out_with_its_reason(folder):
    write_sums(folder, "import nothing_of_this_name")
    params = (folder / "params.yaml").read_text().replace('"everything"', '"sums": "acc", "quiz"')
    (folder / "params.yaml").write_text(params)
    done = run_stage(folder)
    assert done.returncode == 0, done.stderr
    reason = "ModuleNotFoundError: No module named 'nothing_of_this_name'"
    assert read_summary(folder)["not_read"] == {"sums": reason}
    assert set(read_summary(folder)["benchmarks"]) == {"quiz", "questions"}
    assert f"evaluate.tasks.sums cannot be run here, and is left out: {reason}" in done.stderr


def test_a_task_that_shuffles_its_rows_gives_the_same_texts_each_time(folder):
    write_sums(folder, "import random")
    for name in ("one", "two"):
        run_stage(folder)
        (folder / "data" / "benchmarks").rename(folder / name)
    one, two = (read_table(folder / name).to_pylist() for name in ("one", "two"))
    assert one == two and any("0." in row["text"] for row in one)


def test_a_second_run_gives_the_same_bytes(folder):
    run_stage(folder)
    first = (folder / "data" / "benchmarks" / "shard-00000.parquet").read_bytes()
    run_stage(folder)
    assert (folder / "data" / "benchmarks" / "shard-00000.parquet").read_bytes() == first


def test_a_task_whose_data_cannot_be_read_is_an_error_of_one_line(folder):
    Path("tasks/sums.jsonl").unlink()
    done = run_stage(folder)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("benchmarks: evaluate.tasks.everything cannot be read: FileNotFoundError")
    assert not (folder / "data" / "benchmarks").exists()


def test_the_leaderboards_tasks_are_read_from_local_rows(folder):
    write_files(folder / "rows")
    asked = SETTINGS | {"tasks_folder": "rows", "tasks": TASKS, "local_data": LOCAL}
    params = json.loads((folder / "params.yaml").read_text()) | {"evaluate": asked}
    (folder / "params.yaml").write_text(json.dumps(params))
    done = run_stage(folder)
    assert done.returncode == 0, done.stderr
    summary = read_summary(folder)
    assert {name: each["documents"] for name, each in summary["benchmarks"].items()} == {
        "leaderboard_bbh_boolean_expressions": 2,
        "leaderboard_bbh_navigate": 4,
        "leaderboard_gpqa_diamond": 2,
        "leaderboard_ifeval": 3,
        "leaderboard_math_algebra_hard": 1,
        "leaderboard_math_geometry_hard": 2,
        "leaderboard_mmlu_pro": 2,
        "leaderboard_musr_murder_mysteries": 2,
        "questions": 1,
    }
    assert summary["not_read"] == {}


def test_an_unknown_task_is_an_error_that_lists_the_known_ones(folder):
    settings = parse(Evaluate, SETTINGS | {"tasks": {"quizz": "acc"}}, "evaluate")
    with pytest.raises(UserError, match="no task 'quizz'; tasks has: everything, quiz, sums"):
        read_tasks(settings, folder / "scratch")


def test_an_invalid_question_is_an_error_with_its_line(tmp_path):
    (tmp_path / "q.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match=r"q\.jsonl:1: needs question_id, category and turns"):
        list(read_question_texts(tmp_path / "q.jsonl"))


def task(kind, question, answer, choices=()):
    return SimpleNamespace(
        OUTPUT_TYPE=kind,
        doc_to_text=lambda row: question,
        doc_to_target=lambda row: answer,
        doc_to_choice=lambda row: list(choices),
    )


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        (task("multiple_choice", "Q?", 1, ["a", "b"]), ["Q?", "b"]),
        (task("multiple_choice", "Q?", True, ["no", "yes"]), ["Q?", "yes"]),
        (task("multiple_choice", "Q?", "b", ["a", "b"]), ["Q?", "b"]),
        (task("multiple_choice", 0, "end", ["The one begins", "The other begins"]), ["The one begins", "end"]),
        (task("generate_until", "Q?", ["one", "the other"]), ["Q?", "one", "the other"]),
        (task("generate_until", "Q?", 0), ["Q?"]),  # IFEval: the answer is checked by a program
        (task("loglikelihood_rolling", "", "A page."), ["A page."]),
    ],
)
def test_the_texts_of_a_document_are_its_question_and_its_answers_that_are_texts(given, texts):
    assert list_texts(given, {}) == texts


def test_documents_and_texts_are_counted_by_benchmark():
    rows = [TextRow(benchmark=name, document=number, text="t") for name, number in ("a0", "a0", "a1", "b0")]
    assert count_texts(rows) == {"a": {"documents": 2, "texts": 3}, "b": {"documents": 1, "texts": 1}}
