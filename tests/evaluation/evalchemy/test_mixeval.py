"""What is read of a run of MixEval: scores, options, and random draws that count as failed verdicts."""

import pytest

from stages.lib.evaluation.evalchemy.mixeval import DATA, RESULTS
from stages.lib.evaluation.results import measure
from tests.support.evalchemy import read, write


def mixeval(folder, freeform, multichoice, overall):
    """Write what MixEval leaves, from the judge's texts per question of both halves."""
    clone = folder / "clone"
    results = clone / RESULTS / "rewild/mixeval/2024-06-01"
    halves = (
        ("free-form", "ff", freeform, {"prompt": "Who?", "benchmark_name": "TriviaQA", "target": ["Ann"]}),
        (
            "multiple-choice",
            "mp",
            multichoice,
            {"prompt": "Which?", "benchmark_name": "PIQA", "target": [1], "options": ["no", "yes"]},
        ),
    )
    for name, short, texts, item in halves:
        items = {str(number): item for number in range(len(texts))}
        write(clone / DATA / f"{name}.json", items)
        rows = [
            item | {"id": str(number), "response": "Ann", "judge_response": text, "judge_score": 0.3}
            for number, text in enumerate(texts)
        ]
        write(results / f"judge_results_{short}_model_judge_gpt-4o-mini-2024-07-18.jsonl", *rows)
    own = {"gpt-4o-mini-2024-07-18": {"metrics": {"overall": overall}}, "samples": {}}
    write(folder / "out/models__rewild/results_x.json", {"results": {"MixEval": own}})


def test_the_score_is_the_mean_over_both_halves_and_over_each_source(tmp_path):
    mixeval(tmp_path, ["[[1.0]]", "So: [[0.5]]"], ["[[B]]", "[[A]]"], 0.625)
    entry, samples = read(tmp_path, "MixEval", "overall")
    assert (entry["status"], entry["task_version"]) == ("ok", "2024-06-01")
    values = {name: metric["value"] for name, metric in entry["metrics"].items()}
    assert values == {"overall": 0.625, "PIQA": 0.5, "TriviaQA": 0.75, "failed_verdicts": 0.0, "cut_prompts": 0.0}
    assert entry["metrics"]["overall"] == measure([[1.0], [0.5], [1.0], [0.0]])
    assert [(row["task"], row["id"], row["score"]) for row in samples] == [
        ("MixEval_freeform", 0, 1.0),
        ("MixEval_freeform", 1, 0.5),
        ("MixEval_multichoice", 0, 1.0),
        ("MixEval_multichoice", 1, 0.0),
    ]


def test_a_score_that_mixeval_drew_at_random_is_a_failed_verdict(tmp_path):
    mixeval(tmp_path, ["[[1.0]]", "I cannot say.", None, "[[7]]"], ["[[B]]", "none of them"], 0.4)
    entry, samples = read(tmp_path, "MixEval", "overall")
    assert [row["score"] for row in samples] == [1.0, None, None, None, 1.0, None]
    assert entry["reason"] == "the judge gave no score for 4 of 6 answers (66.7%)"


def test_an_old_score_file_that_mixeval_reused_is_noticed(tmp_path):
    mixeval(tmp_path, ["[[1.0]]"], ["[[B]]"], 0.25)
    with pytest.raises(ValueError, match=r"overall is 0\.25, but the mean of its 2 verdicts is 1\.0"):
        read(tmp_path, "MixEval", "overall")
