"""The schema of results: intervals that can be computed by hand, averages, and what each status needs."""

from pathlib import Path

import pytest

from stages.lib.core.sections import parse
from stages.lib.evaluation.results import TaskResult, average, describe_conditions, measure, reason_of, summarize
from stages.lib.settings.evaluate import Evaluate
from tests.support.evaluation import FAILED, HARNESS, SETTINGS, scored, skipped


def test_a_standard_error_and_interval_are_the_ones_computed_by_hand():
    # Mean 3/4; squared residuals 3 * 1/16 + 9/16 = 3/4, over n - 1 = 3: variance 1/4; stderr = sqrt(1/4 / 4) = 1/4.
    metric = measure([[1.0], [1.0], [1.0], [0.0]], 0.75)
    assert metric["stderr"] == pytest.approx(0.25)
    assert metric["ci95"] == pytest.approx([0.75 - 1.96 * 0.25, 0.75 + 1.96 * 0.25])
    assert (metric["value"], metric["n"]) == (0.75, 4)


def test_the_instructions_of_one_prompt_count_as_a_cluster():
    # Mean 1/2; each prompt's residuals add up to 1 and -1; variance (1 + 1) * 2 / 1 = 4; stderr = 2 / 4.
    metric = measure([[1.0, 1.0], [0.0, 0.0]])
    assert (metric["value"], metric["n"], metric["stderr"]) == (0.5, 4, pytest.approx(0.5))
    assert metric["clusters"] == 2
    assert measure([[1.0, 1.0], [], [0.0]])["clusters"] == 2  # a row without a score is none


@pytest.mark.parametrize("scores", [[], [[]], [[1.0]], [[1.0], [0.0]]])
def test_a_metric_that_is_not_the_mean_of_its_scores_has_no_interval(scores):
    assert measure(scores, 0.9)["stderr"] is None
    assert measure(scores, 0.9)["ci95"] is None


def test_a_score_that_is_not_a_number_is_an_error():
    with pytest.raises(ValueError, match="not a finite number: nan"):
        measure([[1.0]], float("nan"))


def test_the_harness_gives_the_standard_error_where_the_scores_cannot():
    metric = measure([], 41.0, unit="percent", stderr=1.5)
    assert (metric["stderr"], metric["ci95"], metric["unit"]) == (
        1.5,
        [41.0 - 1.96 * 1.5, 41.0 + 1.96 * 1.5],
        "percent",
    )


@pytest.mark.parametrize(
    ("status", "reason", "metrics"),
    [("ok", None, {}), ("ok", "why?", {"acc": {}}), ("failed", None, {}), ("lost", "x", {})],
)
def test_a_status_without_the_metric_or_reason_that_it_needs_is_refused(status, reason, metrics):
    with pytest.raises(ValueError, match=r"cannot have the reason|lm_eval gave no 'acc', only: nothing"):
        TaskResult(status=status, reason=reason, metrics=metrics, primary="acc", **HARNESS)


def test_the_average_is_the_mean_of_shares_whatever_the_unit():
    # Sec. 3.1: MTBench divided by ten; AlpacaEval is a percentage. (0.6 + 0.4 + 0.2) / 3.
    tasks = {
        "MTBench": scored(6.0, "score_1_10"),
        "alpaca_eval": scored(40.0, "percent"),
        "a": scored(0.2),
        "b": scored(0.9),
    }
    columns = ["MTBench", "alpaca_eval", "a"]
    assert average(tasks, columns) == {"columns": columns, "value": pytest.approx(0.4), "missing": []}


def test_the_average_is_null_and_names_the_columns_without_a_score():
    tasks = {"a": scored(0.2), "b": FAILED, "c": skipped(), "d": FAILED}
    assert average(tasks, ["a", "b", "c"]) == {"columns": ["a", "b", "c"], "value": None, "missing": ["b", "c"]}


def test_git_keeps_four_decimals_of_each_task_in_its_unit_and_of_each_average():
    tasks = {"a": scored(1 / 3), "b": FAILED, "c": scored(6.66666, "score_1_10")}
    averages = {"average": average(tasks, tasks), "average_printed": average(tasks, ["a"])}
    assert summarize(tasks, averages, ["limit 2"]) == {
        "scores": {"a": 0.3333, "b": None, "c": 6.6667, "average": None, "average_printed": 0.3333},
        "n": {"a": 2, "b": None, "c": 2},
        "conditions": ["limit 2"],
    }


def settings(**changes):
    return parse(Evaluate, SETTINGS | changes, "evaluate")


def test_limits_and_what_was_left_out_are_the_conditions_of_the_scores():
    tasks = {
        "bbh": scored(0.5) | {"coverage": {"rows": 20, "of_rows": 500, "parts": 2, "of_parts": 24}},
        "ifeval": scored(0.5) | {"coverage": {"rows": 477, "of_rows": 541, "left_out": {"punkt_tab": 64}}},
        "musr": scored(0.5) | {"coverage": {"rows": 30, "of_rows": 30}},
        "broken": FAILED,
    }
    assert describe_conditions(settings(limit=10, max_tokens=128), tasks) == [
        "limit 10: at most the first 10 rows of each part",
        "max_tokens 128: longer replies are cut",
        "bbh: 2 of 24 parts, 20 of 500 rows",
        "ifeval: 477 of 541 rows, without 64 that need punkt_tab",
    ]


def test_tasks_that_ran_whole_within_their_own_limits_have_no_conditions():
    whole = scored(0.5) | {"coverage": {"rows": 30, "of_rows": 30, "parts": 3, "of_parts": 3}}
    assert describe_conditions(settings(limit=0, max_tokens=0), {"musr": whole}) == []


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
