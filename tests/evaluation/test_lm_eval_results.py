"""What lm-eval returned, as one schema: metrics, samples, and rows without a score."""

import hashlib
from importlib.metadata import version
from types import SimpleNamespace

import pytest

from stages.lib.console.errors import UserError
from stages.lib.evaluation.lm_eval_child import check_metric
from stages.lib.evaluation.lm_eval_results import (
    completeness,
    failure,
    metric_labels,
    read_answer,
    read_metrics,
    read_result,
    read_samples,
    read_target,
    value_of_task,
)
from stages.lib.evaluation.results import measure
from stages.lib.records.chats import Message


def quiz_row(number, correct):
    """A row as simple_evaluate logs it: the model finds 'no' likelier, per character 'certainly'."""
    return {
        "doc_id": number,
        "doc": {"choices": ["no", "certainly"]},
        "target": 1,
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


def test_results_have_one_schema():
    entry = read_result(quiz_result(), "quiz", "acc_norm", {"rows": 2, "of_rows": 9}).to_json()
    assert entry.pop("data_sha256") == hashlib.sha256(b"d0t\nd1t\nd2t\nd3t").hexdigest()
    metrics = entry.pop("metrics")
    assert list(metrics) == ["acc", "acc_norm"]
    assert metrics["acc_norm"] == measure([[1.0], [1.0], [1.0], [0.0]], 0.75)
    expected = {"status": "ok", "reason": None, "primary": "acc_norm", "task_version": 1.0, "num_fewshot": 5}
    assert entry.pop("coverage") == {"rows": 2, "of_rows": 9}
    assert entry == {**expected, "prompts": {}, "harness": "lm_eval", "harness_version": version("lm_eval")}
    assert set(failure("no data", "acc").to_json()) == {*entry, "metrics", "data_sha256", "coverage"}


def test_a_task_with_a_sample_without_a_score_is_partial():
    result = quiz_result()
    result["samples"]["quiz"][3]["acc_norm"] = None
    result["results"]["quiz"]["acc_norm,none"] = 1.0
    actual = read_result(result, "quiz", "acc_norm", {})
    assert (actual.status, actual.reason) == ("partial", "1 of 4 samples have no score")
    assert actual.metrics["acc_norm"] == measure([[1.0], [1.0], [1.0]])


@pytest.mark.parametrize(("scored", "status"), [(9, "ok"), (8, "partial"), (0, "failed")])
def test_the_status_depends_on_how_many_samples_have_a_score(scored, status):
    assert completeness(scored, 9)[0] == status


def quiz_task(output_type="multiple_choice", target="label"):
    config = SimpleNamespace(doc_to_target=target)
    return SimpleNamespace(OUTPUT_TYPE=output_type, config=config, doc_to_choice=lambda doc: doc["choices"])


def test_samples_hold_the_choice_that_the_main_metric_counts_as_the_answer():
    quiz, chats = quiz_task(), {"Question 0": [Message(role="user", content="0?")]}
    by_likelihood = read_samples(quiz_result(), {"quiz": quiz}, "acc", chats)
    by_length = read_samples(quiz_result(), {"quiz": quiz}, "acc_norm", {})
    row = {"task": "quiz", "id": 0, "prompt": "Question 0", "response": "no", "score": 0.0, "num_scores": 1}
    more = {"messages": [{"role": "user", "content": "0?"}], "target": "certainly", "answer": None}
    assert by_likelihood[0] == row | more
    assert by_likelihood[1]["messages"] is None
    assert by_length[0]["response"] == "certainly"
    assert [row["score"] for row in by_length] == [1.0, 1.0, 1.0, 0.0]


def test_samples_count_the_scores_that_a_row_is_the_mean_of():
    output = quiz_result()
    for row, followed in zip(output["samples"]["quiz"], ([1.0, 0.0, 0.0, 1.0], [1.0], [], [0.0]), strict=True):
        row["acc"] = followed
    rows = read_samples(output, {"quiz": quiz_task("generate_until")}, "acc", {})
    assert [(row["score"], row["num_scores"]) for row in rows] == [(0.5, 4), (1.0, 1), (None, 0), (0.0, 1)]


@pytest.mark.parametrize(
    ("output_type", "task_target", "row_target", "read"),
    [
        ("multiple_choice", "label", 0, "no"),
        ("multiple_choice", "label", [0, 1], "no\ncertainly"),
        ("multiple_choice", "label", "B", "B"),
        ("multiple_choice", "label", -100, "-100"),
        ("generate_until", "answer", 42, "42"),
        ("generate_until", "answer", ["4", "four"], "4\nfour"),
        ("generate_until", "answer", None, None),
        ("generate_until", 0, 0, None),
    ],
)
def test_the_right_answer_is_a_text_and_absent_where_the_task_has_none(output_type, task_target, row_target, read):
    assert read_target(quiz_task(output_type, task_target), quiz_row(0, 1.0) | {"target": row_target}) == read


@pytest.mark.parametrize(
    ("reply", "found", "answer"),
    [("The answer is 4.", "4", "4"), ("Hm.", "[invalid]", ""), ("Hm.", "", ""), ("4", "4", None), ("4", ["4"], None)],
)
def test_what_a_filter_found_in_a_reply_is_kept_where_it_is_not_the_reply(reply, found, answer):
    row = quiz_row(0, 1.0) | {"resps": [[reply]], "filtered_resps": [found]}
    assert read_answer(quiz_task("generate_until"), row) == answer


def test_a_group_without_a_score_of_its_own_is_scored_over_all_its_rows():
    result = quiz_result()
    parts = {"one": result["samples"]["quiz"][:1], "two": result["samples"]["quiz"][1:]}
    metrics = read_metrics({"results": {"group": {"alias": "group"}}, "samples": parts}, "group")
    assert metrics["acc_norm"] == measure([[1.0], [1.0], [1.0], [0.0]])


def test_a_metric_is_named_with_its_filter_where_there_are_several():
    assert metric_labels(["acc"], ["none"]) == {"acc": ("acc", "none")}
    assert list(metric_labels(["exact"], ["strict", "loose"])) == ["exact,strict", "exact,loose"]


def test_a_group_has_the_version_and_the_number_of_examples_of_its_tasks():
    assert value_of_task({"bbh": "N/A", "one": 1.0, "two": 1.0}, "bbh") == "1.0"
    assert value_of_task({"bbh": "N/A", "one": 3, "two": 5}, "bbh") == "3, 5"
    assert value_of_task({"bbh": 2.0, "one": 1.0}, "bbh") == 2.0
    assert value_of_task({}, "bbh") is None


def test_an_unknown_metric_is_an_error_that_names_the_known_ones():
    part = SimpleNamespace(config=SimpleNamespace(filter_list=None), aggregation=lambda: {"acc": 1, "acc_norm": 1})
    check_metric({"tasks": {"quiz": part}}, "quiz", "acc_norm")
    with pytest.raises(UserError, match=r"evaluate\.tasks\.quiz: no metric 'f1'; it has: acc, acc_norm"):
        check_metric({"tasks": {"quiz": part}}, "quiz", "f1")
