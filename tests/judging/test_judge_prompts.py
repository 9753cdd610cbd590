"""The judge's prompts: how a reply is shown to a judge, and templates that cannot work."""

from pathlib import Path
from typing import Any

import pytest

from stages import judge, pairwise
from stages.lib.checking.judge_prompts import find_prompt_faults
from stages.lib.judging.judge_prompts import JudgePrompts
from tests.support.project import ROOT

PROMPTS = ROOT / "stages/lib/judging/prompts"
QUESTIONS = [{"question_id": 1, "category": "c", "turns": ["What is tin?", "Why?"], "reference": ["A metal.", ""]}]


def turn(user: str, assistant: str, finish_reason: str = "stop") -> Any:
    return {"user": user, "assistant": assistant, "finish_reason": finish_reason}


def test_a_judge_is_shown_the_conversation_up_to_the_judged_reply_and_the_reference_reply() -> None:
    text = JudgePrompts(PROMPTS).single([turn("What is tin?", "A metal, {{ 1 + 1 }}.")], "A chemical element.")
    assert text.index("What is tin?") < text.index("A metal, {{ 1 + 1 }}.") < text.index("A chemical element.")


def test_a_reference_reply_is_mentioned_only_where_there_is_one() -> None:
    assert "expert" not in JudgePrompts(PROMPTS).single([turn("Hi", "Hello")], "")
    assert "expert" in JudgePrompts(PROMPTS).pair([turn("Hi", "Hello")], [turn("Hi", "Hey")], "Good day")


def test_both_replies_of_a_pair_are_shown_under_their_letters_to_the_same_user_turns() -> None:
    first, second = [turn("One?", "a1"), turn("Two?", "a2")], [turn("One?", "b1"), turn("Two?", "b2")]
    text = JudgePrompts(PROMPTS).pair(first, second, "")
    places = [
        text.index(part) for part in ("## Conversation with assistant A", "a1", "a2", "assistant B\n", "b1", "b2")
    ]
    assert places == sorted(places) and text.count("Two?") == 2


@pytest.mark.parametrize("folder", [PROMPTS, ROOT / "demo" / "judge"])
def test_the_templates_of_the_project_show_the_last_turn(folder: Path) -> None:
    assert list(find_prompt_faults(folder)) == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "{{ turns[0].user }}",
            [
                "single.txt:0: does not show the last user turn: the judge would not see it",
                "single.txt:0: does not show the last reply: the judge would not see it",
            ],
        ),
        (
            "\n{{ turn }} {{ answer }}",
            [
                "single.txt:2: there is no answer to show; there are: turns, reference",
                "single.txt:2: there is no turn to show; did you mean turns?",
            ],
        ),
        ("{% for turn in turns %}", ["single.txt:1: is not valid Jinja: Unexpected end of template."]),
        (None, ["single.txt:0: {} is not there: the folder must hold single.txt and pair.txt"]),
    ],
)
def test_a_template_that_cannot_work_is_named_with_its_line(text: str | None, lines: list[str], tmp_path: Path) -> None:
    (tmp_path / "pair.txt").write_text("{{ users[-1] }} {{ first[-1] }} {{ second[-1] }}")
    if text is not None:
        (tmp_path / "single.txt").write_text(text)
    found = [f"{file.name}:{line}: {problem}" for file, line, problem in find_prompt_faults(tmp_path)]
    expected = [line.format(tmp_path / "single.txt") for line in lines]
    assert [line[: len(start)] for line, start in zip(found, expected, strict=True)] == expected


def test_a_turn_without_a_reply_is_counted_and_not_judged() -> None:
    answers = [{"question_id": 1, "turns": [turn("What is tin?", "A metal."), turn("Why?", "", "context_overflow")]}]
    first, second = judge.build_requests(answers, QUESTIONS, JudgePrompts(PROMPTS))
    assert (first["turn"], first["chars"], second["prompt"]) == (1, 8, None)
    assert judge.to_judgment(second, None)["status"] == "unanswered"


def test_a_conversation_that_ended_early_has_no_second_turn_to_judge() -> None:
    answers = [{"question_id": 1, "turns": [turn("What is tin?", "A metal.")]}]
    rows = judge.build_requests(answers, QUESTIONS, JudgePrompts(PROMPTS))
    assert [row["prompt"] is None for row in rows] == [False, True]


def test_every_pair_is_shown_in_both_orders_or_not_at_all() -> None:
    answers = {
        "a": {1: [turn("What is tin?", "from a"), turn("Why?", "", "failed")]},
        "b": {1: [turn("What is tin?", "from b"), turn("Why?", "more of b")]},
    }
    rows = pairwise.build_requests(("a", "b"), answers, QUESTIONS, JudgePrompts(PROMPTS))
    assert [(row["turn"], row["first"], row["prompt"] is None) for row in rows] == [
        (1, "a", False), (1, "b", False), (2, "a", True), (2, "b", True)
    ]  # fmt: skip
    assert rows[0]["prompt"].index("from a") < rows[0]["prompt"].index("from b")
    assert rows[1]["prompt"].index("from b") < rows[1]["prompt"].index("from a")
