"""The six sets of the Open LLM Leaderboard 2 on rows on this machine, by the real lm-eval, offline."""

import json
import random

import pyarrow.parquet as pq
import pytest

from stages.lib.models.catalogue import Model, save_model, weights_digest
from tests.support.evaluation import SETTINGS, python, write_params
from tests.support.leaderboard import FILES, LOCAL, SECTION, TASKS, write_files
from tests.support.project import ROOT

WEIGHTS = ROOT / "demo/models/demo-rich"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """The demo's model, evaluated once on all six: the folder of its results, and the output of the stage."""
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
def test_all_six_run_offline_on_local_rows_and_give_the_leaderboards_metrics(results):
    tasks = results["tasks"]
    assert {task: entry["status"] for task, entry in tasks.items()} == dict.fromkeys(TASKS, "ok")
    assert {task: set(entry["metrics"]) for task, entry in tasks.items()} == {
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
def test_n_counts_rows_or_instructions_depending_on_the_metric(results):
    metrics_by_task = {task: entry["metrics"] for task, entry in results["tasks"].items()}
    assert {task: metrics[TASKS[task]]["n"] for task, metrics in metrics_by_task.items()} == {
        "leaderboard_bbh": 6,
        "leaderboard_gpqa": 2,
        "leaderboard_math_hard": 3,  # a row of level 1 is not in MATH-hard
        "leaderboard_musr": 2,
        "leaderboard_ifeval": 3,
        "leaderboard_mmlu_pro": 2,
    }
    ifeval = metrics_by_task["leaderboard_ifeval"]
    assert [ifeval[name]["n"] for name in ("inst_level_loose_acc", "inst_level_strict_acc")] == [4, 4]
    assert ifeval["prompt_level_strict_acc"]["value"] == pytest.approx(1 / 3)
    assert ifeval["inst_level_loose_acc"]["value"] == 0.5


@pytest.mark.pipeline
def test_one_of_two_contradicting_answers_is_right(results):
    tasks = results["tasks"]
    assert tasks["leaderboard_musr"]["metrics"]["acc_norm"]["value"] == 0.5
    assert tasks["leaderboard_mmlu_pro"]["metrics"]["acc"]["value"] == 0.5


@pytest.mark.pipeline
def test_a_group_is_scored_over_all_rows_of_the_parts_that_were_chosen(evaluated, results):
    rows = samples(evaluated, "leaderboard_bbh")
    assert [row["task"] for row in rows] == ["leaderboard_bbh_boolean_expressions"] * 2 + [
        "leaderboard_bbh_navigate"
    ] * 4
    # One of two is right, and all or none of four: a mean of the two parts would be 1/4 or 3/4.
    coverage = results["tasks"]["leaderboard_bbh"]["coverage"]
    assert coverage == {"rows": 6, "of_rows": 6, "parts": 2, "of_parts": 24}
    assert "leaderboard_bbh: 2 of 24 parts" in results["conditions"]
    assert "demo-rich: conditions of these scores: max_tokens 8: longer replies are cut; " in evaluated[1]
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
def test_only_the_seed_decides_the_order_of_gpqas_choices(evaluated):
    order = random.Random(SETTINGS["seed"])
    rows = FILES["leaderboard_gpqa/gpqa_diamond/train.parquet"]
    for row, sample in zip(rows, samples(evaluated, "leaderboard_gpqa"), strict=True):
        choices = [*(row[f"Incorrect Answer {number}"] for number in (1, 2, 3)), row["Correct Answer"]]
        order.shuffle(choices)
        expected = "".join(f"({letter}) {choice}\n" for letter, choice in zip("ABCD", choices, strict=True))
        assert expected in sample["prompt"]


@pytest.mark.pipeline
def test_results_hold_the_settings_of_the_run(evaluated, results):
    assert {task: entry["num_fewshot"] for task, entry in results["tasks"].items()} == {
        "leaderboard_bbh": 3,
        "leaderboard_gpqa": 0,
        "leaderboard_math_hard": 4,
        "leaderboard_musr": 0,
        "leaderboard_ifeval": 0,
        "leaderboard_mmlu_pro": 5,
    }
    settings = results["settings"]
    keys = ("seed", "apply_chat_template", "fewshot_as_multiturn", "limit", "local_data")
    assert {key: settings[key] for key in keys} == {
        "seed": 1,
        "apply_chat_template": True,
        "fewshot_as_multiturn": True,
        "limit": 0,
        "local_data": LOCAL,
    }
    assert len(settings["chat_template_sha256"]) == 64
    prompt = samples(evaluated, "leaderboard_mmlu_pro")[0]["prompt"]
    assert (prompt.count("What is an oak?"), prompt.count("What is the Elbe?")) == (5, 1)


@pytest.mark.pipeline
def test_a_named_average_is_given_beside_that_of_all_tasks(evaluated, results):
    values = [results["tasks"][task]["metrics"][metric]["value"] for task, metric in TASKS.items()]
    assert results["averages"]["average"]["value"] == pytest.approx(sum(values) / 6)
    assert results["averages"]["of_math"] == {"columns": ["leaderboard_math_hard"], "value": values[2], "missing": []}
    assert "demo-rich: of_math of 1 tasks 0.0000" in evaluated[1]
