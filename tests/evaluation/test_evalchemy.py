"""Evalchemy's adapter: what it reads of a run, what it trusts, and how a run ends when the clone or the judge fails."""

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest

from stages.lib.console.errors import UserError
from stages.lib.console.shell import progress
from stages.lib.core.code import Code
from stages.lib.core.process import call
from stages.lib.core.sections import parse
from stages.lib.evaluation import evalchemy
from stages.lib.evaluation import evalchemy_setup as evalchemy_setup
from stages.lib.evaluation.evalchemy import Run, Stalled, Watch, check_tasks, evaluate
from stages.lib.evaluation.evalchemy_child import note_judge
from stages.lib.evaluation.evalchemy_results import (
    ALPACA,
    ALPACA_DATA,
    MIX_DATA,
    MIX_EVAL,
    MT_BENCH,
    read_run,
    status_of,
)
from stages.lib.evaluation.evalchemy_setup import COMMIT, Judge, Place, check_judge, find_judge, find_place
from stages.lib.evaluation.results import measure
from stages.lib.evaluation.transformers4 import check_same, config_for_4, difference, downgrade, tokenizer_for_4
from stages.lib.models.catalogue import Model
from stages.lib.settings.sections import Evaluate, Runtime
from tests.support import judge as stub
from tests.support.project import ROOT

TUNED = Model(
    id="rewild",
    name="Tuned",
    location=str(ROOT / "demo/models/demo-rich"),
    kind="local",
    commit="c0ffee",
    parameters_billions=8,
    context_window=2048,
)
JUDGE = Judge("small-judge", "http://user:password@127.0.0.1:9/v1", "sk-very-secret")
SETTINGS = {
    "device": "cpu",
    "tasks_folder": "tasks",
    "tasks": {"quiz": "acc"},
    "local_data": {},
    "evalchemy": {"MTBench": "Average"},
    "evalchemy_judge": "gpt-4o-mini-2024-07-18",
    "alpaca_eval_data": "",
    "averages": {},
    "limit": 0,
    "apply_chat_template": True,
    "fewshot_as_multiturn": True,
    "max_tokens": 0,
    "seed": 1,
}


def settings(**changes):
    return parse(Evaluate, SETTINGS | changes, "evaluate")


def write(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def append(path, row):
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def judgment(question, turn, score):
    """A row of model_judgment/gpt-4_single.jsonl, a name that it has whoever judges."""
    return {
        "question_id": question,
        "model": "model_hf_model_args_pretrained=models__rewild,dtype=float32",
        "judge": ["gpt-4o-mini-2024-07-18", "single-v1"],
        "user_prompt": "[Instruction] …",
        "judgment": "$ERROR$" if score == -1 else f"Rating: [[{score}]]",
        "score": score,
        "turn": turn,
        "tstamp": 1764000000.0 + turn,
    }


def mtbench(folder, scores, average=None):
    """What MTBench leaves: `scores` by question, each a list by turn. Its Average leaves -1 out."""
    data = folder / "clone" / MT_BENCH
    turns = {name: [f"Question {name}.{turn}" for turn in (1, 2)] for name in scores}
    write(data / "question.jsonl", *({"question_id": n, "category": "math", "turns": t} for n, t in turns.items()))
    replies = {name: [f"Reply {name}.{turn}" for turn in (1, 2)] for name in scores}
    answers = ({"question_id": n, "choices": [{"index": 0, "turns": t}]} for n, t in reversed(replies.items()))
    write(data / "model_answer/model_hf.jsonl", *answers)
    rows = [judgment(name, turn, score) for name, pair in scores.items() for turn, score in enumerate(pair, 1)]
    write(data / "model_judgment/gpt-4_single.jsonl", *reversed(rows))
    said = [row["score"] for row in rows if row["score"] != -1]
    found = {"Turn 1": 0.0, "Turn 2": 0.0, "Average": sum(said) / len(said) if average is None else average}
    write(folder / "out/models__rewild/results_2026-01-01T00-00-00.json", {"results": {"MTBench": found}})
    return data


def read(folder, task="MTBench", primary="Average"):
    return read_run(folder / "clone", folder / "out", task, primary, COMMIT)


def alike(metric):
    return metric | {key: pytest.approx(metric[key]) for key in ("value", "stderr", "ci95")}


TWO = {81: [9, 5], 82: [7, 3]}


def test_mtbench_has_the_interval_computed_by_hand_with_a_questions_turns_as_a_cluster(tmp_path):
    # Mean 6; the questions' residuals add up to (3 - 1) = 2 and (1 - 3) = -2; variance (4 + 4) * 2 / 1; stderr 4 / 4.
    mtbench(tmp_path, TWO)
    entry, _ = read(tmp_path)
    assert (entry["status"], entry["harness"], entry["harness_version"]) == ("ok", "evalchemy", COMMIT)
    assert entry["metrics"]["Average"] == {
        "value": 6.0,
        "n": 4,
        "stderr": pytest.approx(1.0),
        "ci95": pytest.approx([6 - 1.96, 6 + 1.96]),
        "unit": "score_1_10",
    }
    assert (entry["metrics"]["Turn 1"]["value"], entry["metrics"]["Turn 2"]["value"]) == (8.0, 4.0)
    assert entry["metrics"]["Turn 1"]["n"] == 2


def test_mtbench_samples_stand_in_the_order_of_questions_and_turns_whatever_the_judges_threads_did(tmp_path):
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
    found, reason = status_of(failed, 160)
    assert found == status
    assert (reason is None) == (status == "ok")


def test_failed_verdicts_are_counted_and_the_interval_is_over_the_others(tmp_path):
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
    entry, _ = read_run(tmp_path / "clone", tmp_path / "out", "MTBench", "Average", COMMIT, cut=3)
    assert (entry["metrics"]["cut_prompts"]["value"], entry["metrics"]["cut_prompts"]["n"]) == (0.75, 4)


def test_a_rating_outside_the_scale_is_no_verdict(tmp_path):
    mtbench(tmp_path, TWO | {82: [100, 3]})
    entry, samples = read(tmp_path)
    assert entry["status"] == "failed"
    assert [row["score"] for row in samples] == [9.0, 5.0, None, 3.0]


def test_a_verdict_that_is_missing_is_a_failed_one(tmp_path):
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


def test_a_task_that_evalchemy_dropped_is_missed(tmp_path):
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


# MixEval


def mixeval(folder, freeform, multichoice, overall):
    """What MixEval leaves: judges' words by question, of both halves."""
    clone = folder / "clone"
    results = clone / MIX_EVAL / "results/rewild/mixeval/2024-06-01"
    halves = (
        ("free-form", "ff", freeform, {"prompt": "Who?", "benchmark_name": "TriviaQA", "target": ["Ann"]}),
        (
            "multiple-choice",
            "mp",
            multichoice,
            {"prompt": "Which?", "benchmark_name": "PIQA", "target": [1], "options": ["no", "yes"]},
        ),
    )
    for name, short, words, item in halves:
        items = {str(number): item for number in range(len(words))}
        write(clone / MIX_DATA / f"{name}.json", items)
        rows = [
            item | {"id": str(number), "response": "Ann", "judge_response": text, "judge_score": 0.3}
            for number, text in enumerate(words)
        ]
        write(results / f"judge_results_{short}_model_judge_gpt-4o-mini-2024-07-18.jsonl", *rows)
    found = {"gpt-4o-mini-2024-07-18": {"metrics": {"overall": overall}}, "samples": {}}
    write(folder / "out/models__rewild/results_x.json", {"results": {"MixEval": found}})


def test_mixeval_is_the_mean_of_scores_and_right_options_over_both_halves_and_per_source(tmp_path):
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


def test_an_old_score_file_that_mixeval_took_up_again_is_noticed(tmp_path):
    mixeval(tmp_path, ["[[1.0]]"], ["[[B]]"], 0.25)
    with pytest.raises(ValueError, match=r"overall is 0\.25, but the mean of its 2 verdicts is 1\.0"):
        read(tmp_path, "MixEval", "overall")


# AlpacaEval


def alpaca(folder, preferences, **result):
    """What alpaca_eval leaves: the judge's cache in the package, and a row of its leaderboard."""
    clone = folder / "clone"
    items = [{"instruction": f"Do {number}"} for number in range(len(preferences))]
    for name in ("alpaca_eval.json", "alpaca_eval_gpt4_baseline.json"):
        write(clone / ALPACA_DATA / name, items)
    (clone / ALPACA_DATA / "df_gamed.csv").write_text("made,up\n")
    rows = [
        item
        | {
            "output_1": "base",
            "output_2": "mine",
            "preference": value,
            "preference_raw_completion": {"text": "m", "index": 0},
        }
        for item, value in zip(items, preferences, strict=True)
    ]
    write(clone / ALPACA / "evaluators_configs/weighted/annotations_seed0_configs.json", rows)
    write(folder / "out/models__rewild/results_x.json", {"results": {"alpaca_eval": result}})


def test_alpaca_eval_has_its_own_length_control_and_our_interval_of_the_win_rate(tmp_path):
    alpaca(tmp_path, [2.0, 1.0, 1.6], win_rate=160 / 3, length_controlled_winrate=41.0, lc_standard_error=1.5)
    entry, samples = read(tmp_path, "alpaca_eval", "length_controlled_winrate")
    controlled = entry["metrics"]["length_controlled_winrate"]
    assert controlled == {
        "value": 41.0,
        "n": 3,
        "stderr": 1.5,
        "ci95": [41 - 1.96 * 1.5, 41 + 1.96 * 1.5],
        "unit": "percent",
    }
    assert entry["metrics"]["win_rate"] == alike(measure([[100.0], [0.0], [60.0]], unit="percent"))
    assert [row["score"] for row in samples] == pytest.approx([100.0, 0.0, 60.0])


def test_a_preference_that_alpaca_eval_could_not_read_is_a_failed_verdict(tmp_path):
    alpaca(tmp_path, [2.0, None, float("nan")], win_rate=100.0, length_controlled_winrate=41.0)
    entry, samples = read(tmp_path, "alpaca_eval", "win_rate")
    assert [row["score"] for row in samples] == [100.0, None, None]
    assert entry["status"] == "failed"


def test_without_a_length_control_there_is_no_main_metric(tmp_path):
    alpaca(tmp_path, [2.0, 1.0], win_rate=50.0, length_controlled_winrate=float("nan"))
    with pytest.raises(ValueError, match="evalchemy gave no 'length_controlled_winrate', only: win_rate"):
        read(tmp_path, "alpaca_eval", "length_controlled_winrate")


# The checkpoint

LLAMA_3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def test_a_config_of_transformers_5_gets_version_4s_words():
    found = config_for_4({"model_type": "llama", "dtype": "bfloat16", "rope_parameters": LLAMA_3})
    assert found == {
        "model_type": "llama",
        "torch_dtype": "bfloat16",
        "rope_theta": 500000.0,
        "rope_scaling": {key: value for key, value in LLAMA_3.items() if key != "rope_theta"},
    }


def test_unscaled_and_partial_rotary_embeddings_are_plain_keys():
    rope = {"rope_type": "default", "rope_theta": 1e6, "partial_rotary_factor": 0.5}
    found = config_for_4({"rope_parameters": rope})
    assert found == {"rope_theta": 1e6, "partial_rotary_factor": 0.5, "rope_scaling": None}


def test_gemma_3s_two_rotary_embeddings_have_version_4s_names():
    local = {"rope_type": "default", "rope_theta": 10000.0}
    usual = {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6}
    found = config_for_4({"rope_parameters": {"sliding_attention": local, "full_attention": usual}})
    assert found == {
        "rope_theta": 1e6,
        "rope_local_base_freq": 10000.0,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    }


def test_what_version_4_has_no_words_for_is_refused():
    with pytest.raises(ValueError, match="rope_parameters by kind of layer"):
        config_for_4({"rope_parameters": {"linear_attention": {"rope_theta": 1.0}}})


def test_a_config_of_version_4_stays_as_it_is():
    config = {"rope_theta": 1e6, "rope_scaling": None, "torch_dtype": "bfloat16"}
    assert config_for_4(config) == config


def test_the_tokenizer_class_and_list_of_special_tokens_get_version_4s_names():
    found = tokenizer_for_4({"tokenizer_class": "TokenizersBackend", "extra_special_tokens": ["<|x|>"]})
    assert found == {"tokenizer_class": "PreTrainedTokenizerFast", "additional_special_tokens": ["<|x|>"]}


def test_the_catalogues_template_takes_the_place_of_the_models_own(tmp_path):
    (tmp_path / "model").mkdir()
    for name, text in (("config.json", "{}"), ("tokenizer_config.json", "{}"), ("model.safetensors", "weights")):
        (tmp_path / "model" / name).write_text(text)
    with pytest.raises(ValueError, match="bare has no chat template: name one as `chat_template` in its catalogue"):
        downgrade(tmp_path / "model", tmp_path / "bare")
    (tmp_path / "model/chat_template.jinja").write_text("old")
    downgrade(tmp_path / "model", tmp_path / "given", "new")
    assert (tmp_path / "given/chat_template.jinja").read_text() == "new"
    assert (tmp_path / "model/chat_template.jinja").read_text() == "old"
    assert (tmp_path / "given/model.safetensors").is_symlink()


READING = {"transformers": "5.19.0", "ids": [1, 2], "inv_freq": [[1.0, 0.5]], "logits": [4.0, -1.0]}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, None),
        ({"logits": [4.0002, -1.0]}, None),
        ({"logits": [4.1, -1.0]}, "the logits differ by 0.025 of the largest"),
        ({"logits": [float("nan"), -1.0]}, "the logits differ by nan"),
        ({"ids": [1, 3]}, "the same chat has other tokens"),
        ({"inv_freq": [[1.0, 0.4]]}, "the rotary frequencies are not the same in transformers 5.19.0 and 4.57.6"),
        ({"inv_freq": [[1.0]]}, "the rotary frequencies are not the same"),
    ],
)
def test_tokens_frequencies_and_logits_prove_that_it_is_the_same_model(change, found):
    said = difference(READING, READING | {"transformers": "4.57.6"} | change, 1e-4)
    assert said == found if found is None else str(said).startswith(found)


# What is there, and what is not


def make_clone(folder, **files):
    """A git repository with the files that a task needs, and its commit."""
    for name in ("eval/eval.py", "eval/chat_benchmarks/__init__.py", "database/__init__.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    for task, (paths, *_) in {name: (task.files,) for name, task in evalchemy.TASKS.items()}.items():
        for path in paths:
            place = folder / "eval/chat_benchmarks" / task / (path if path.endswith(".py") else f"{path}/__init__.py")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text("")
    for name, text in files.items():
        (folder / name.replace("__", "/")).write_text(text)
    return commit_all(folder)


def commit_all(folder):
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "all"]):
        subprocess.run([*git, *words], check=True)
    return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A clone at the commit that is asked for, an interpreter, and no judge."""
    commit = make_clone(tmp_path / "clone")
    monkeypatch.setattr(evalchemy_setup, "COMMIT", commit)
    monkeypatch.setattr(evalchemy, "COMMIT", commit)
    monkeypatch.setenv("EVALCHEMY_HOME", str(tmp_path / "clone"))
    monkeypatch.setenv("REWILD_EVALCHEMY_ENV", sys.prefix)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_clone_or_environment_every_task_is_skipped_with_the_command_to_run(there, monkeypatch):
    both = settings(evalchemy={"MTBench": "Average", "MixEval": "overall"})
    for variable, what in (("EVALCHEMY_HOME", "clone"), ("REWILD_EVALCHEMY_ENV", "environment")):
        with monkeypatch.context() as without:
            without.setenv(variable, str(there / "nowhere"))
            entries, samples = evaluate(TUNED, both, there, Runtime())
        assert [entry["status"] for entry in entries.values()] == ["skipped", "skipped"]
        assert entries["MixEval"]["reason"] == f"the {what} of Evalchemy is missing: run `make evalchemy`"
        assert samples == {}


def test_a_clone_without_the_pinned_commit_is_not_used(there, monkeypatch):
    monkeypatch.setattr(evalchemy_setup, "COMMIT", COMMIT)
    assert "has no commit 6ed674159b37: run `make evalchemy`" in str(find_place(TUNED, JUDGE))


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": "server"}, "rewild has no weights here"),
        ({"trust_remote_code": True}, "rewild runs code of its own"),
        ({"quantization": "fp8"}, r"quantized \(fp8\), which Evalchemy's transformers cannot run"),
        ({}, "there is no judge: set OPENAI_API_KEY"),
    ],
)
def test_what_cannot_be_evaluated_here_is_skipped_with_the_reason(changes, reason):
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(find_place(TUNED.model_copy(update=changes), None))


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


def test_the_clone_is_read_at_the_commit_and_never_written_to(there):
    home = there / "clone"
    dirty = home / "eval/chat_benchmarks/MTBench/fastchat/llm_judge/data/mt_bench/model_judgment"
    write(dirty / "gpt-4_single.jsonl", judgment(81, 1, 1))
    (home / "eval/eval.py").write_text("changed")
    commit_all(home)
    (home / "eval/eval.py").write_text("changed again")
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    evalchemy.copy_clone(home, "MTBench", there / "copy")
    assert (there / "copy/eval/eval.py").read_text() == ""
    assert not list(there.glob("copy/**/*.jsonl"))
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_a_limit_leaves_the_first_questions_in_the_copy(tmp_path):
    write(tmp_path / MT_BENCH / "question.jsonl", {"question_id": 81}, {"question_id": 82}, {"question_id": 83})
    for name in ("free-form", "multiple-choice"):
        write(tmp_path / MIX_DATA / f"{name}.json", {"0": {}, "1": {}, "2": {}})
    evalchemy.keep_first(tmp_path, "MTBench", 2)
    evalchemy.keep_first(tmp_path, "MixEval", 1)
    assert (tmp_path / MT_BENCH / "question.jsonl").read_text().count("\n") == 2
    assert json.loads((tmp_path / MIX_DATA / "free-form.json").read_text()) == {"0": {}}


@pytest.mark.parametrize(("task", "verdicts"), [("MTBench", 160), ("alpaca_eval", 805), ("MixEval", 4000)])
def test_a_whole_run_has_as_many_verdicts_as_the_benchmark(task, verdicts):
    assert evalchemy.TASKS[task].expected(0) == verdicts


def test_a_change_of_this_code_evaluates_anew():
    parts = {f"stages.lib.evaluation.evalchemy{part}" for part in ("", "_child", "_place", "_results")}
    assert parts <= Code(ROOT).modules("stages.evaluate")


# How it is called


def run_of(folder, model=TUNED, **changes):
    return Run(model, settings(**changes), Runtime(), Place(folder / "clone", Path("python"), JUDGE), folder)


def test_one_task_is_one_process_with_the_device_among_the_models_arguments(tmp_path):
    command = run_of(tmp_path).command("MTBench")
    assert command[1:4] == ["-m", "stages.lib.evaluation.evalchemy_child", "1"]
    assert command[command.index("--tasks") + 1] == "MTBench"
    arguments = command[command.index("--model_args") + 1]
    assert arguments == "pretrained=models/rewild,dtype=float32,max_length=1280,device=cpu"
    assert not {"--device", "--log_samples"} & set(command)
    assert str(tmp_path) not in " ".join(command)


def test_lm_eval_leaves_room_for_the_whole_reply_in_the_window(tmp_path):
    # It cuts prompts at max_length - 256, and Evalchemy asks for 48: 2048 - 48 = 2256 - 256.
    assert "max_length=2256," in " ".join(run_of(tmp_path, max_tokens=48).command("MTBench"))
    assert "max_length=2048," in " ".join(run_of(tmp_path, max_tokens=48).command("MixEval"))
    with pytest.raises(ValueError, match="leaves no room in the window of rewild"):
        run_of(tmp_path, TUNED.model_copy(update={"context_window": 512})).command("alpaca_eval")


def test_a_gpu_runs_the_models_own_dtype_and_several_share_a_model_that_needs_them(tmp_path):
    arguments = " ".join(run_of(tmp_path, device="gpu").command("MixEval"))
    assert "dtype=bfloat16,max_length=2048,device=cuda " in arguments
    large = run_of(tmp_path, TUNED.model_copy(update={"tensor_parallel": 2}), device="gpu")
    assert "device=cuda,parallelize=True " in " ".join(large.command("MixEval"))


@pytest.mark.parametrize(("device", "visible"), [("cpu", ""), ("gpu", "4,5")])
def test_evalchemy_on_a_cpu_sees_no_gpu_whatever_the_machine_has(device, visible, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    variables = run_of(tmp_path, device=device).variables("MTBench", tmp_path / "clone", tmp_path / "notes")
    assert variables["CUDA_VISIBLE_DEVICES"] == visible


def test_the_key_is_only_in_the_environment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = run_of(tmp_path)
    assert run.variables("MTBench", tmp_path / "clone", tmp_path / "notes")["OPENAI_API_KEY"] == "sk-very-secret"
    assert "secret" not in f"{run.command('MTBench')} {run}"
    (tmp_path / "words.txt").write_text("Incorrect API key provided: sk-very-secret.")
    run.keep_log("MTBench", tmp_path / "words.txt")
    assert run.log("MTBench").read_text() == "Incorrect API key provided: [key]."
    assert run.explain(ValueError(f"no {tmp_path}/x for\nsk-very-secret")) == "no x for [key]"


def test_the_address_is_shown_without_its_password():
    assert JUDGE.host == "127.0.0.1:9"


def test_the_environment_or_a_model_behind_a_server_judges(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.delenv("REWILD_API_KEY", raising=False)
    assert find_judge("small", None) == Judge("small", "https://api.openai.com/v1", "sk-1")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://here/v1")
    assert find_judge("small", None) == Judge("small", "http://here/v1", "EMPTY")  # OpenAI's key is for OpenAI
    server = TUNED.model_copy(update={"kind": "server", "location": "http://there/v1", "served_name": "large"})
    assert find_judge("small", server) == Judge("large", "http://there/v1", "EMPTY")


# The judge


@contextmanager
def serving(broken=0.0, mute=0.0, refuses=0.0, after=0):
    """A judge on this machine, and its address."""
    stub.Judge.broken, stub.Judge.mute, stub.Judge.refuses = broken, mute, refuses
    stub.Judge.after, stub.Judge.asked = after, 0
    server = stub.serve()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_judge_that_answers_is_taken_and_a_dead_or_broken_one_is_one_plain_line(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as address:
        check_judge(Judge("stub", address, "EMPTY"))
    with pytest.raises(ValueError, match=r"^the judge stub at 127\.0\.0\.1:\d+ does not answer \(APIConnectionError\)"):
        check_judge(Judge("stub", address, "EMPTY"))
    with serving(broken=1.0) as address, pytest.raises(ValueError, match=r"\(InternalServerError 500\): is it running"):
        check_judge(Judge("stub", address, "EMPTY"))


def test_a_dead_judge_ends_every_task_before_anything_runs(there, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    entries, samples = evaluate(TUNED, settings(), there, Runtime())
    assert entries["MTBench"]["status"] == "failed"
    assert entries["MTBench"]["reason"].startswith("the judge gpt-4o-mini-2024-07-18 at 127.0.0.1:9 does not answer")
    assert samples == {}


def test_every_request_asks_the_servers_own_model_and_is_noted(tmp_path, monkeypatch):
    from openai.resources.chat.completions import Completions

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(Completions, "create", Completions.create)
    stub.Judge.models.clear()
    note_judge(tmp_path / "notes.jsonl", "small")
    with serving() as address:
        client = openai.OpenAI(base_url=address, api_key="x", max_retries=0)
        reply = client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "[[rating]]"}])
    assert str(reply.choices[0].message.content).startswith("It has some length. Rating: [[")
    assert stub.Judge.models == ["small"]
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "?"}])
    notes = [json.loads(line) for line in (tmp_path / "notes.jsonl").read_text().splitlines()]
    assert [note["what"] for note in notes] == ["asked", "answered", "asked"]
    assert notes[1]["completion_tokens"] == 8


def test_a_request_that_the_judge_refuses_is_no_verdict_and_is_not_repeated(tmp_path, monkeypatch):
    from openai.resources.chat.completions import Completions

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(Completions, "create", Completions.create)
    note_judge(tmp_path / "notes.jsonl", "small")
    with serving(refuses=1.0) as address:
        client = openai.OpenAI(base_url=address, api_key="x")
        reply = client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "[[rating]]"}])
        assert stub.Judge.asked == 1
    assert reply.choices[0].message.content == ""
    logprobs = reply.model_dump()["choices"][0]["logprobs"]
    assert logprobs["content"][0]["top_logprobs"] == []  # alpaca_eval's parser finds no letter there


ASKING = "import sys, time; open(sys.argv[1], 'w').write(sys.argv[2]); time.sleep(60)"


@pytest.mark.parametrize(
    ("notes", "reason"),
    [
        (
            '{"what": "asked"}\n{"what": "answered"}\n{"what": "asked"}\n',
            "the judge had answered 1 of 2 requests, then nothing for 1 s",
        ),
        ("", "no output for 2 s"),
    ],
)
def test_a_run_in_which_nothing_comes_any_more_is_ended(tmp_path, notes, reason):
    (tmp_path / "words.txt").write_text("")
    none: list[None] = []
    with progress(none, desc="x", unit="y") as bar:
        watch = Watch(tmp_path / "notes", tmp_path / "words.txt", Runtime(stall_seconds=1, start_seconds=2), bar)
        with pytest.raises(Stalled, match=reason):
            call([sys.executable, "-c", ASKING, str(tmp_path / "notes"), notes], {}, tmp_path / "words.txt", watch.look)


# A whole run, with a program in the place of Evalchemy that leaves the same files

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
            words = reply.choices[0].message.content
            scores.append(int(words.split("[[")[1].split("]]")[0]) if "[[" in words else -1)
            row = {"question_id": question["question_id"], "turn": turn, "score": scores[-1], "judgment": words}
            with (data / "model_judgment/gpt-4_single.jsonl").open("a") as file:
                print(json.dumps(row), file=file)
    said = [score for score in scores if score != -1]
    out = Path(options["--output_path"], "m")
    out.mkdir(parents=True)
    if not os.environ.get("FORGET"):
        result = {"results": {"MTBench": {"Average": sum(said) / len(said)}}}
        (out / "results_now.json").write_text(json.dumps(result))
"""
QUESTIONS = "\n".join(json.dumps({"question_id": 81 + n, "turns": [f"One {n}?", f"Two {n}?"]}) for n in range(80))


@pytest.fixture
def program(there, monkeypatch):
    """A clone of which the program is that one."""
    home = there / "clone"
    subprocess.run(["rm", "-rf", str(home / ".git")], check=True)
    (home / MT_BENCH).mkdir(parents=True)
    commit = make_clone(home, eval__eval="", **{f"{MT_BENCH}/question.jsonl": QUESTIONS, "eval/eval.py": PROGRAM})
    monkeypatch.setattr(evalchemy_setup, "COMMIT", commit)
    monkeypatch.setattr(evalchemy, "COMMIT", commit)
    monkeypatch.setattr(evalchemy, "check_same", lambda *_: None)
    return there


def evaluate_with(address, folder, monkeypatch, **changes):
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    folder.mkdir()
    entries, samples = evaluate(TUNED, settings(**changes), folder, Runtime(stall_seconds=60))
    return entries["MTBench"], samples


def test_a_run_gives_as_many_verdicts_the_second_time_and_the_same_ones(program, monkeypatch):
    with serving() as address:
        first = evaluate_with(address, program / "one", monkeypatch)
        assert first[0]["status"] == "ok"
        assert first[0]["metrics"]["Average"]["n"] == 160
        assert evaluate_with(address, program / "two", monkeypatch) == first


def test_a_judge_without_a_verdict_on_three_percent_makes_the_task_partial(program, monkeypatch):
    with serving(mute=0.03) as address:
        entry, samples = evaluate_with(address, program / "one", monkeypatch)
    failed = sum(row["score"] is None for row in samples["MTBench"])
    assert (entry["status"], entry["metrics"]["Average"]["n"]) == ("partial", 160 - failed)
    assert f"no score for {failed} of 160 answers" in entry["reason"]


def test_a_run_that_wrote_no_results_is_failed_though_its_exit_code_is_zero(program, monkeypatch):
    monkeypatch.setenv("FORGET", "1")
    with serving() as address:
        entry, _ = evaluate_with(address, program / "one", monkeypatch, limit=1)
    assert (entry["status"], entry["reason"]) == ("failed", "Evalchemy left 0 files results_*.json where one belongs")


def test_a_judge_that_dies_in_between_ends_the_run_with_its_last_words(program, monkeypatch):
    with serving(broken=1.0, after=20) as address:
        entry, _ = evaluate_with(address, program / "one", monkeypatch)
    assert entry["status"] == "failed"
    assert entry["reason"].startswith("Evalchemy ended with exit code 1: openai.InternalServerError")
    assert entry["reason"].endswith("see .dvc/tmp/rewild/evalchemy/rewild-MTBench.txt")


# With the real Evalchemy

ENVIRONMENT = Path(os.environ.get("REWILD_EVALCHEMY_ENV", ROOT / ".venv-evalchemy"))
PYTHON = ENVIRONMENT / "bin/python"
CLONE = Path(os.environ.get("EVALCHEMY_HOME", ROOT / ".evalchemy"))
needs_environment = pytest.mark.skipif(not PYTHON.exists(), reason="no .venv-evalchemy: run `make evalchemy`")
needs_clone = pytest.mark.skipif(
    not (CLONE / ".git").exists(), reason="no clone of Evalchemy: run `make evalchemy`, or set EVALCHEMY_HOME"
)

MAKE_LLAMA_3 = """
import sys, torch
from pathlib import Path
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
rope = {rope}
torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=1280, hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=131072, rope_parameters=rope,
    initializer_range=0.3,
)
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
LlamaForCausalLM(config).save_pretrained(sys.argv[2])
tokenizer.save_pretrained(sys.argv[2])
"""


@pytest.fixture
def llama_3(tmp_path):
    """A tiny random model with Llama 3's rotary embedding, saved by transformers 5."""
    script = MAKE_LLAMA_3.replace("{rope}", repr(LLAMA_3))
    folder = tmp_path / "llama-3"
    subprocess.run([sys.executable, "-c", script, TUNED.location, str(folder)], check=True, capture_output=True)
    assert "rope_parameters" in json.loads((folder / "config.json").read_text())
    return folder


@needs_environment
@pytest.mark.pipeline
def test_a_llama_3_checkpoint_is_the_same_model_in_transformers_4_and_is_not_with_its_own_config(llama_3, tmp_path):
    downgrade(llama_3, tmp_path / "models/llama-3")
    check_same(llama_3, tmp_path / "models/llama-3", PYTHON, "float32")
    (tmp_path / "models/llama-3/config.json").write_bytes((llama_3 / "config.json").read_bytes())
    with pytest.raises(
        ValueError, match="llama-3 is not the same model there: the rotary frequencies are not the same"
    ):
        check_same(llama_3, tmp_path / "models/llama-3", PYTHON, "float32")


@needs_environment
@needs_clone
@pytest.mark.pipeline
def test_evalchemy_itself_judges_the_demos_model_twice_alike(tmp_path, monkeypatch):
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
