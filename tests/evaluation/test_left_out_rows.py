"""Rows of IFEval that nltk's punkt_tab scores: asked for only where they are run, and left out by name."""

from types import SimpleNamespace

import nltk
import pytest
from datasets import Dataset

from stages.lib.console.errors import UserError
from stages.lib.core.sections import parse
from stages.lib.evaluation.lm_eval_child import prepare_rows
from stages.lib.evaluation.lm_eval_tasks import NEEDS_PUNKT, check_scorer, leave_out_rows
from stages.lib.settings.evaluate import Evaluate
from tests.support.evaluation import SETTINGS

PLAIN, SENTENCES, CAPITALS = (
    "punctuation:no_comma",
    "length_constraints:number_sentences",
    "change_case:capital_word_frequency",
)


class Task(SimpleNamespace):
    """A loaded task of lm-eval as far as its rows are concerned."""

    def aggregation(self):
        return dict.fromkeys(self.metrics)

    @property
    def eval_docs(self):
        return self.dataset["train"]


def make_task(*instructions, metrics=("prompt_level_strict_acc", "inst_level_loose_acc")):
    rows = Dataset.from_list([{"instruction_id_list": [name]} for name in instructions])
    config = SimpleNamespace(test_split="train", validation_split=None)
    return Task(dataset={"train": rows}, config=config, metrics=metrics)


def settings(**changes):
    return parse(Evaluate, SETTINGS | changes, "evaluate")


@pytest.fixture
def no_punkt(monkeypatch):
    """A machine without nltk's data."""
    monkeypatch.setattr(nltk.data, "path", [])


def test_punkt_is_needed_only_by_a_row_within_the_limit(no_punkt):
    task = make_task(PLAIN, PLAIN, SENTENCES)
    check_scorer(task, limit=2)
    for limit in (3, 0):
        with pytest.raises(UserError, match=r"nltk's punkt_tab.* or leave the rows out .*`evaluate.leave_out: \[pun"):
            check_scorer(task, limit)
    assert str(NEEDS_PUNKT).count("\n") == 0


def test_rows_that_need_it_are_left_out_by_name_and_counted(no_punkt):
    task = make_task(SENTENCES, PLAIN, CAPITALS, PLAIN)
    assert leave_out_rows(task, ["punkt_tab"]) == {"punkt_tab": 2}
    assert [row["instruction_id_list"] for row in task.eval_docs] == [[PLAIN], [PLAIN]]
    check_scorer(task, limit=0)


def test_nothing_is_left_out_unasked_or_of_another_task():
    assert leave_out_rows(make_task(SENTENCES, PLAIN), []) == {}
    assert leave_out_rows(make_task(SENTENCES, metrics=("acc",)), ["punkt_tab"]) == {}
    assert leave_out_rows(make_task(PLAIN), ["punkt_tab"]) == {}


def test_the_coverage_counts_rows_and_parts_against_all_of_them(no_punkt):
    ifeval = {"tasks": {"ifeval": make_task(SENTENCES, PLAIN, PLAIN)}}
    left_out = settings(leave_out=["punkt_tab"], limit=1)
    assert prepare_rows(ifeval, 1, left_out) == {"rows": 1, "of_rows": 3, "left_out": {"punkt_tab": 1}}
    parts = {f"part{number}": make_task(*[PLAIN] * number, metrics=("acc",)) for number in (2, 5)}
    expected = {"rows": 2 + 3, "of_rows": 7, "parts": 2, "of_parts": 24}
    assert prepare_rows({"tasks": parts}, 24, settings(limit=3)) == expected
