"""MATH and IFEval on answers that are written down, by the real lm-eval: the scorings, and what they need."""

import json

import pytest

from stages.lib.evaluation import lm_eval_tasks
from stages.lib.evaluation.lm_eval_tasks import NEEDS_MATH, NEEDS_PUNKT
from tests.support.evaluation import python, write_params
from tests.support.leaderboard import ANSWERED, ANSWERS, SECTION, ifeval, write_files

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
from stages.lib.evaluation.lm_eval_child import open_tasks, run_task
from stages.lib.evaluation.lm_eval_results import read_result
from stages.lib.settings.reading import load
from stages.lib.settings.evaluate import Evaluate

class Scripted(LM):
    def generate_until(self, requests):
        prompts = [request.args[0].rpartition("Problem:")[2] for request in requests]
        return [next(answer for question, answer in ANSWERS.items() if question in prompt) for prompt in prompts]
    def loglikelihood(self, requests): raise NotImplementedError
    def loglikelihood_rolling(self, requests): raise NotImplementedError

ANSWERS = json.loads(Path("answers.json").read_text())
settings = load(Evaluate)
work = Path("work")
work.mkdir()
manager, opened = open_tasks(settings, list(settings.tasks), work)
entries = {file.stem: json.loads(file.read_text()) for file in work.glob("leaderboard_*.json")
           if "include" not in json.loads(file.read_text())}
for task, loaded in opened.items():
    output = run_task(Scripted(), loaded, task, settings, {}, task_manager=manager)
    entries[task] = read_result(output, task, settings.tasks[task], {}).to_json()
Path("entries.json").write_text(json.dumps(entries))
"""


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """The entries of MATH and IFEval in results.json for answers that are written down."""
    folder = tmp_path_factory.mktemp("known")
    write_files(folder / "rows", ANSWERED)
    (folder / "answers.json").write_text(json.dumps(ANSWERS))
    write_params(folder, **SECTION | KNOWN_TASKS)
    ran = python(folder, "-c", KNOWN)
    assert ran.returncode == 0, ran.stderr
    return json.loads((folder / "entries.json").read_text())


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


MATH_PACKAGES = ("math_verify", "latex2sympy2_extended")  # of .venv/math, besides its antlr4


@pytest.mark.pipeline
@pytest.mark.parametrize("installed", [(), MATH_PACKAGES], ids=["nothing", "all but antlr4"])
def test_a_missing_package_or_data_of_a_scorer_fails_the_task_and_says_what_to_do(installed, tmp_path):
    """The 2024 scoring of MATH would count every answer as wrong that it cannot parse, whatever the reason."""
    (tmp_path / "math").mkdir()
    for name in installed:
        (tmp_path / "math" / name).symlink_to(lm_eval_tasks.MATH / name)
    sentences = ("length_constraints:number_sentences", {"num_sentences": 3, "relation": "less than"})
    rows = {"leaderboard_ifeval/train.jsonl": [ifeval(1, "Write about tea.", sentences)]}
    write_files(tmp_path / "rows", ANSWERED | rows)
    (tmp_path / "answers.json").write_text("{}")
    write_params(tmp_path, **SECTION | KNOWN_TASKS)
    ran = python(
        tmp_path,
        "-c",
        f"from pathlib import Path\nfrom stages.lib.evaluation import lm_eval_tasks as tasks\n"
        f"tasks.MATH = Path('math')\n{KNOWN}",
    )
    assert ran.returncode == 0, ran.stderr
    entries = json.loads((tmp_path / "entries.json").read_text())
    assert {task: (entry["status"], entry["reason"]) for task, entry in entries.items()} == {
        "leaderboard_ifeval": ("failed", NEEDS_PUNKT),
        "leaderboard_math_hard": ("failed", NEEDS_MATH),
    }
    assert "python -m nltk.downloader punkt_tab" in NEEDS_PUNKT and "make env" in NEEDS_MATH
