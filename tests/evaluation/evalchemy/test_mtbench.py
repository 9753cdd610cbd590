"""What is read of a run of MT-bench: verdicts, their mean and interval, and which files are refused."""

import pytest

from stages.lib.evaluation.evalchemy.installation import COMMIT
from stages.lib.evaluation.evalchemy.results import status_of
from stages.lib.evaluation.results import measure
from tests.support.evalchemy import alike, append, judgment, mtbench, read, write

TWO = {81: [9, 5], 82: [7, 3]}


def test_the_interval_is_the_one_computed_by_hand_with_the_turns_of_a_question_as_a_cluster(tmp_path):
    # Mean 6; the questions' residuals add up to (3 - 1) = 2 and (1 - 3) = -2; variance (4 + 4) * 2 / 1; stderr 4 / 4.
    mtbench(tmp_path, TWO)
    entry, _ = read(tmp_path)
    assert (entry["status"], entry["harness"], entry["harness_version"]) == ("ok", "evalchemy", COMMIT)
    assert entry["metrics"]["Average"] == {
        "value": 6.0,
        "n": 4,
        "clusters": 2,
        "stderr": pytest.approx(1.0),
        "ci95": pytest.approx([6 - 1.96, 6 + 1.96]),
        "unit": "score_1_10",
    }
    assert (entry["metrics"]["Turn 1"]["value"], entry["metrics"]["Turn 2"]["value"]) == (8.0, 4.0)
    assert entry["metrics"]["Turn 1"]["n"] == 2


def test_samples_are_in_the_order_of_questions_and_turns_whatever_order_the_judge_answered_in(tmp_path):
    mtbench(tmp_path, TWO)
    _, samples = read(tmp_path)
    assert [(row["id"], row["turn"], row["score"]) for row in samples] == [
        (81, 1, 9.0),
        (81, 2, 5.0),
        (82, 1, 7.0),
        (82, 2, 3.0),
    ]
    assert samples[1] == {
        "task": "MTBench",
        "id": 81,
        "turn": 2,
        "prompt": "Question 81.2",
        "response": "Reply 81.2",
        "score": 5.0,
        "judge_text": "Rating: [[5]]",
    }


def test_a_second_run_in_the_same_folder_is_refused_where_evalchemy_would_average_both(tmp_path):
    data = mtbench(tmp_path, TWO, average=5.8)
    append(data / "model_judgment/gpt-4_single.jsonl", judgment(81, 1, 5))
    with pytest.raises(ValueError, match=r"two verdicts on \(81, 1\): files of another run"):
        read(tmp_path)


def test_a_verdict_on_a_question_that_was_not_asked_is_refused(tmp_path):
    data = mtbench(tmp_path, TWO)
    append(data / "model_judgment/gpt-4_single.jsonl", judgment(99, 1, 6))
    with pytest.raises(ValueError, match=r"a verdict on \(99, 1\), which was not asked"):
        read(tmp_path)


def test_a_number_that_is_not_the_mean_of_this_runs_verdicts_is_refused(tmp_path):
    mtbench(tmp_path, TWO, average=7.5)
    with pytest.raises(ValueError, match=r"Average is 7\.5, but the mean of its 4 verdicts is 6"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("failed", "status"), [(0, "ok"), (1, "ok"), (2, "partial"), (8, "partial"), (9, "failed"), (160, "failed")]
)
def test_a_task_is_partial_above_one_percent_without_a_verdict_and_failed_above_five(failed, status):
    actual, reason = status_of(failed, 160)
    assert actual == status
    assert (reason is None) == (status == "ok")


def test_failed_verdicts_are_counted_and_left_out_of_the_interval(tmp_path):
    # 80 verdicts, two of them -1, which Evalchemy leaves out without a word: 2.5 %.
    scores = {name: [8, 4] for name in range(81, 121)} | {81: [-1, 4], 100: [8, -1]}
    mtbench(tmp_path, scores)
    entry, samples = read(tmp_path)
    assert entry["status"] == "partial"
    assert entry["reason"].startswith("the judge gave no score for 2 of 80 answers (2.5%)")
    others = [[8.0, 4.0]] * 38 + [[4.0], [8.0]]
    assert entry["metrics"]["Average"] == alike(measure(others, unit="score_1_10"))
    assert entry["metrics"]["failed_verdicts"]["value"] == 2 / 80
    assert samples[0]["score"] is None
    assert samples[0]["judge_text"] == "$ERROR$"


def test_one_failed_verdict_of_160_leaves_the_task_ok_and_counted(tmp_path):
    mtbench(tmp_path, {name: [8, 4] for name in range(81, 161)} | {81: [-1, 4]})
    entry, _ = read(tmp_path)
    assert (entry["status"], entry["metrics"]["Average"]["n"]) == ("ok", 159)
    assert entry["metrics"]["failed_verdicts"]["value"] == 1 / 160


def test_prompts_that_were_cut_to_fit_the_window_are_counted(tmp_path):
    mtbench(tmp_path, TWO)
    entry, _ = read(tmp_path, num_cut=3)
    assert (entry["metrics"]["cut_prompts"]["value"], entry["metrics"]["cut_prompts"]["n"]) == (0.75, 4)


def test_a_rating_outside_the_scale_is_not_a_verdict(tmp_path):
    mtbench(tmp_path, TWO | {82: [100, 3]})
    entry, samples = read(tmp_path)
    assert entry["status"] == "failed"
    assert [row["score"] for row in samples] == [9.0, 5.0, None, 3.0]


def test_a_missing_verdict_counts_as_failed(tmp_path):
    data = mtbench(tmp_path, TWO, average=7.0)
    file = data / "model_judgment/gpt-4_single.jsonl"
    file.write_text("\n".join(file.read_text().splitlines()[1:]))  # the first line is on (82, 2)
    entry, samples = read(tmp_path)
    assert (entry["status"], samples[-1]["score"]) == ("failed", None)


def test_a_question_without_an_answer_is_refused(tmp_path):
    data = mtbench(tmp_path, TWO)
    write(data / "model_answer/model_hf.jsonl", {"question_id": 81, "choices": [{"turns": ["a", "b"]}]})
    with pytest.raises(ValueError, match="only 1 of 2 questions were answered"):
        read(tmp_path)


def test_a_task_that_is_missing_in_evalchemys_results_is_an_error(tmp_path):
    mtbench(tmp_path, TWO)
    write(tmp_path / "out/models__rewild/results_2026-01-01T00-00-00.json", {"results": {"IFEval": {}}})
    with pytest.raises(ValueError, match="results have no MTBench, only: IFEval"):
        read(tmp_path)


def test_no_results_and_two_results_are_both_refused(tmp_path):
    mtbench(tmp_path, TWO)
    write(tmp_path / "out/models__rewild/results_2026-01-02T00-00-00.json", {"results": {}})
    with pytest.raises(ValueError, match="left 2 files"):
        read(tmp_path)
    for file in tmp_path.glob("out/*/*"):
        file.unlink()
    with pytest.raises(ValueError, match="left 0 files"):
        read(tmp_path)
