"""The six sets of the Open LLM Leaderboard 2 on rows that lie here, by the real lm-eval, offline."""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from stages.lib.console.errors import UserError
from stages.lib.core.sections import parse
from stages.lib.evaluation import tasks
from stages.lib.evaluation.tasks import NEEDS_MATH, NEEDS_PUNKT, find_tasks
from stages.lib.models.catalogue import Model, save_model, weights_digest
from stages.lib.settings.sections import Evaluate
from tests.support.evaluation import SETTINGS, python, write_params
from tests.support.leaderboard import ANSWERED, ANSWERS, FILES, LOCAL, TASKS, ifeval, write_files
from tests.support.project import ROOT

WEIGHTS = ROOT / "demo/models/demo-rich"
AVERAGES = {"of_math": ["leaderboard_math_hard"]}
SECTION = {"tasks_folder": "rows", "tasks": TASKS, "local_data": LOCAL, "averages": AVERAGES}
KNOWN_TASKS = {
    "tasks": {"leaderboard_math_hard": "exact_match_original", "leaderboard_ifeval": "prompt_level_strict_acc"},
    "local_data": {"leaderboard_math_hard": ["algebra"], "leaderboard_ifeval": "all"},
    "averages": {},
    "apply_chat_template": False,
}
KNOWN = r"""
import json
from pathlib import Path

import nltk
nltk.data.path.clear()
nltk.download = lambda name: False  # as where there is no network

from lm_eval.api.model import LM
from stages.lib.evaluation.lm_eval_runner import harness, open_tasks, run_task
from stages.lib.settings.reading import load
from stages.lib.evaluation.results import describe
from stages.lib.settings.sections import Evaluate

class Scripted(LM):
    def generate_until(self, requests):
        asked = [request.args[0].rpartition("Problem:")[2] for request in requests]
        return [next(answer for question, answer in ANSWERS.items() if question in prompt) for prompt in asked]
    def loglikelihood(self, requests): raise NotImplementedError
    def loglikelihood_rolling(self, requests): raise NotImplementedError

ANSWERS = json.loads(Path("answers.json").read_text())
settings = load(Evaluate)
work = Path("work")
work.mkdir()
manager, opened = open_tasks(settings, list(settings.tasks), work)
found = {file.stem: json.loads(file.read_text()) for file in work.glob("leaderboard_*.json")
         if "include" not in json.loads(file.read_text())}
for task, loaded in opened.items():
    result = run_task(Scripted(), loaded, task, settings, task_manager=manager)
    found[task] = describe(result, task, settings.tasks[task], harness())
Path("found.json").write_text(json.dumps(found))
"""


def settings(**changes: Any) -> Evaluate:
    return parse(Evaluate, SETTINGS | SECTION | changes, "evaluate")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """The demo's model, evaluated once on all six; what the stage said, and its folder."""
    folder = tmp_path_factory.mktemp("leaderboard")
    write_files(folder / "rows")
    write_params(folder, **SECTION)
    (folder / "models/demo-rich").mkdir(parents=True)
    save_model(
        folder / "models/demo-rich",
        Model(
            id="demo-rich",
            name="Rich",
            location=str(WEIGHTS),
            kind="local",
            commit=weights_digest(WEIGHTS),
            parameters_billions=0.001,
            context_window=2000,
        ),
    )
    ran = python(folder, "-m", "stages.evaluate", "demo-rich")
    assert ran.returncode == 0, ran.stderr
    return folder / "data/evaluations/demo-rich", ran.stderr


@pytest.fixture(scope="module")
def results(evaluated):
    return json.loads((evaluated[0] / "results.json").read_text())


def samples(evaluated, task):
    return pq.read_table(evaluated[0] / f"samples/{task}.parquet").to_pylist()


@pytest.mark.pipeline
def test_all_six_are_run_offline_on_local_rows_and_give_the_leaderboards_metrics(results):
    found = results["tasks"]
    assert {task: entry["status"] for task, entry in found.items()} == dict.fromkeys(TASKS, "ok")
    assert {task: set(entry["metrics"]) for task, entry in found.items()} == {
        "leaderboard_bbh": {"acc_norm"},
        "leaderboard_gpqa": {"acc_norm"},
        "leaderboard_math_hard": {"exact_match", "exact_match_original"},
        "leaderboard_musr": {"acc_norm"},
        "leaderboard_ifeval": {
            "prompt_level_strict_acc",
            "inst_level_strict_acc",
            "prompt_level_loose_acc",
            "inst_level_loose_acc",
        },
        "leaderboard_mmlu_pro": {"acc"},
    }


@pytest.mark.pipeline
def test_n_is_of_rows_and_at_the_level_of_instructions_of_instructions(results):
    found = {task: entry["metrics"] for task, entry in results["tasks"].items()}
    assert {task: metrics[TASKS[task]]["n"] for task, metrics in found.items()} == {
        "leaderboard_bbh": 6,
        "leaderboard_gpqa": 2,
        "leaderboard_math_hard": 3,  # the row of level 1 is none of MATH-hard
        "leaderboard_musr": 2,
        "leaderboard_ifeval": 3,
        "leaderboard_mmlu_pro": 2,
    }
    ours = found["leaderboard_ifeval"]
    assert [ours[name]["n"] for name in ("inst_level_loose_acc", "inst_level_strict_acc")] == [4, 4]
    assert ours["prompt_level_strict_acc"]["value"] == pytest.approx(1 / 3)
    assert ours["inst_level_loose_acc"]["value"] == 0.5


@pytest.mark.pipeline
def test_one_of_two_answers_that_exclude_each_other_is_right(results):
    found = results["tasks"]
    assert found["leaderboard_musr"]["metrics"]["acc_norm"]["value"] == 0.5
    assert found["leaderboard_mmlu_pro"]["metrics"]["acc"]["value"] == 0.5


@pytest.mark.pipeline
def test_a_group_is_scored_over_all_rows_of_the_parts_that_were_chosen(evaluated, results):
    rows = samples(evaluated, "leaderboard_bbh")
    assert [row["task"] for row in rows] == ["leaderboard_bbh_boolean_expressions"] * 2 + [
        "leaderboard_bbh_navigate"
    ] * 4
    # One of two is right, and all or none of four: a mean of the two parts would be 1/4 or 3/4.
    value = results["tasks"]["leaderboard_bbh"]["metrics"]["acc_norm"]["value"]
    assert round(value, 4) in {0.1667, 0.8333}
    assert value == pytest.approx(sum(row["score"] for row in rows) / 6)
    parts = {row["task"] for task in TASKS for row in samples(evaluated, task)}
    assert parts == {
        "leaderboard_bbh_boolean_expressions",
        "leaderboard_bbh_navigate",
        "leaderboard_gpqa_diamond",
        "leaderboard_ifeval",
        "leaderboard_math_algebra_hard",
        "leaderboard_math_geometry_hard",
        "leaderboard_mmlu_pro",
        "leaderboard_musr_murder_mysteries",
    }


@pytest.mark.pipeline
def test_gpqas_choices_are_in_an_order_that_the_seed_alone_decides(evaluated):
    order = random.Random(SETTINGS["seed"])
    rows = FILES["leaderboard_gpqa/gpqa_diamond/train.parquet"]
    for row, sample in zip(rows, samples(evaluated, "leaderboard_gpqa"), strict=True):
        choices = [*(row[f"Incorrect Answer {number}"] for number in (1, 2, 3)), row["Correct Answer"]]
        order.shuffle(choices)
        asked = "".join(f"({letter}) {choice}\n" for letter, choice in zip("ABCD", choices, strict=True))
        assert asked in sample["prompt"]


@pytest.mark.pipeline
def test_how_it_was_asked_is_written_down(evaluated, results):
    assert {task: entry["num_fewshot"] for task, entry in results["tasks"].items()} == {
        "leaderboard_bbh": 3,
        "leaderboard_gpqa": 0,
        "leaderboard_math_hard": 4,
        "leaderboard_musr": 0,
        "leaderboard_ifeval": 0,
        "leaderboard_mmlu_pro": 5,
    }
    said = results["settings"]
    keys = ("seed", "apply_chat_template", "fewshot_as_multiturn", "limit", "local_data")
    assert {key: said[key] for key in keys} == {
        "seed": 1,
        "apply_chat_template": True,
        "fewshot_as_multiturn": True,
        "limit": 0,
        "local_data": LOCAL,
    }
    assert len(said["chat_template_sha256"]) == 64
    prompt = samples(evaluated, "leaderboard_mmlu_pro")[0]["prompt"]
    assert (prompt.count("What is an oak?"), prompt.count("What is the Elbe?")) == (5, 1)


@pytest.mark.pipeline
def test_an_average_of_ones_own_is_beside_that_of_all(evaluated, results):
    values = [results["tasks"][task]["metrics"][metric]["value"] for task, metric in TASKS.items()]
    assert results["averages"]["average"]["value"] == pytest.approx(sum(values) / 6)
    assert results["averages"]["of_math"] == {"columns": ["leaderboard_math_hard"], "value": values[2], "missing": []}
    assert "demo-rich: of_math of 1 tasks 0.0000" in evaluated[1]


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """The entries of MATH and IFEval for answers that are written down, and of rows that need what is not there."""
    folder = tmp_path_factory.mktemp("known")
    write_files(folder / "rows", ANSWERED)
    (folder / "answers.json").write_text(json.dumps(ANSWERS))
    write_params(folder, **SECTION | KNOWN_TASKS)
    ran = python(folder, "-c", KNOWN)
    assert ran.returncode == 0, ran.stderr
    return json.loads((folder / "found.json").read_text())


@pytest.mark.pipeline
def test_both_scorings_of_math_score_known_answers(known):
    """A half said as 2/4 is right by both; a bare box is right by the newer scoring alone."""
    metrics = known["leaderboard_math_hard"]["metrics"]
    assert {name: (metric["value"], metric["n"]) for name, metric in metrics.items()} == {
        "exact_match": (0.5, 4),
        "exact_match_original": (0.25, 4),
    }


@pytest.mark.pipeline
def test_ifeval_scores_known_answers_strictly_and_loosely(known):
    """The first answer has four words but for a first line, which loose forgives; the second meets one of two."""
    metrics = known["leaderboard_ifeval"]["metrics"]
    assert {name: (round(metric["value"], 4), metric["n"]) for name, metric in metrics.items()} == {
        "prompt_level_strict_acc": (0.0, 2),
        "prompt_level_loose_acc": (0.5, 2),
        "inst_level_strict_acc": (0.3333, 3),
        "inst_level_loose_acc": (0.6667, 3),
    }


MATH = ("math_verify", "latex2sympy2_extended")  # of .venv/math, besides its antlr4


@pytest.mark.pipeline
@pytest.mark.parametrize("there", [(), MATH], ids=["nothing", "all but antlr4"])
def test_what_scores_ifeval_or_math_and_is_not_there_is_said_with_what_to_do(there, tmp_path):
    """The 2024 scoring of MATH would count every answer as wrong that it cannot parse, whatever the reason."""
    (tmp_path / "math").mkdir()
    for name in there:
        (tmp_path / "math" / name).symlink_to(tasks.MATH / name)
    sentences = ("length_constraints:number_sentences", {"num_sentences": 3, "relation": "less than"})
    rows = {"leaderboard_ifeval/train.jsonl": [ifeval(1, "Write about tea.", sentences)]}
    write_files(tmp_path / "rows", ANSWERED | rows)
    (tmp_path / "answers.json").write_text("{}")
    write_params(tmp_path, **SECTION | KNOWN_TASKS)
    program = "from stages.lib.evaluation import tasks\nfrom pathlib import Path\ntasks.MATH = Path('math')\n"
    ran = python(tmp_path, "-c", program + KNOWN)
    assert ran.returncode == 0, ran.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert {task: (entry["status"], entry["reason"]) for task, entry in found.items()} == {
        "leaderboard_ifeval": ("failed", NEEDS_PUNKT),
        "leaderboard_math_hard": ("failed", NEEDS_MATH),
    }
    assert "python -m nltk.downloader punkt_tab" in NEEDS_PUNKT and "make env" in NEEDS_MATH


# What is wrong is named before a model is loaded.


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files(Path("rows"))
    Path("scratch").mkdir()
    return Path("rows")


def test_lm_evals_own_tasks_are_read_only_as_far_as_they_are_asked_for(rows, tmp_path):
    known = find_tasks(settings(), tmp_path / "scratch").all_tasks
    assert "leaderboard_bbh" in known and "gsm8k" not in known


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("leaderboard_mmlu_pro/validation-00000-of-00001.parquet", "leaderboard_mmlu_pro/validation.jsonl"),
        ("leaderboard_gpqa/gpqa_diamond/train.parquet", "leaderboard_gpqa/gpqa_diamond/train.jsonl"),
        ("leaderboard_musr/murder_mysteries.csv", "leaderboard_musr/murder_mysteries.jsonl"),
    ],
)
def test_a_file_that_is_not_there_is_named_in_one_line(rows, tmp_path, file, message):
    assert file in FILES
    (rows / file).unlink()
    with pytest.raises(UserError) as error:
        find_tasks(settings(), tmp_path / "scratch")
    task = file.partition("/")[0]
    assert str(error.value).startswith(
        f"evaluate.local_data.{task}: rows/{message} (or .parquet, .csv) is not there; put it"
    )
    assert "\n" not in str(error.value)


def test_a_part_that_a_group_does_not_have_is_named_with_those_that_it_has(rows, tmp_path):
    wrong = settings(local_data=LOCAL | {"leaderboard_gpqa": ["gpqa_ruby"]})
    with pytest.raises(UserError, match=r"no part 'gpqa_ruby'; it has: gpqa_diamond, gpqa_extended, gpqa_main"):
        find_tasks(wrong, tmp_path / "scratch")


def test_files_of_several_formats_in_one_place_are_refused(rows, tmp_path):
    (rows / "leaderboard_mmlu_pro/test.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match=r"the files of rows/leaderboard_mmlu_pro have several formats; keep one"):
        find_tasks(settings(), tmp_path / "scratch")


def test_an_absent_folder_of_tasks_is_named(tmp_path):
    with pytest.raises(UserError, match="there is no folder nowhere; name one that holds lm-eval's task files"):
        find_tasks(settings(tasks_folder="nowhere"), tmp_path)
