"""The judge's replies: scores and choices in brackets, missing ones, and the questions that are judged."""

import json
from pathlib import Path
from typing import Any

import pytest

from stages.judge import measure_scores
from stages.lib.judging.judge_replies import JudgeReply, judging_status, parse_score
from stages.lib.judging.questions import read_questions
from stages.lib.records.pairings import TIE
from stages.pairwise import choose_pairs, to_pairing

NO_SCORE, SEVERAL_SCORES, NO_SINGLE_SCORE = (
    "no score in double brackets",
    "several different scores in double brackets",
    "double brackets that hold no single score",
)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Good. [[7]]", 7),
        ("Rating: [[ 8.5 ]]", 8.5),
        ("[[10]]", 10),
        ("[[8/10]]", 8),
        ("[[ 8.5 / 10 ]]", 8.5),
        ("[[7 out of 10]]", 7),
        ("**[[9]]**", 9),
        ("[[**9**]]", 9),
        ("[[Rating: 9]]", 9),
        ("[[８]]", 8),
        ("［［８．５］］", 8.5),
        ("[[\n6\n]]", 6),
    ],
)
def test_a_score_is_a_number_in_double_brackets(text: str, score: float) -> None:
    assert parse_score(JudgeReply(text, "")) == (score, "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[[11]]", "a score that is not from 1 to 10"),
        ("[[0]]", "a score that is not from 1 to 10"),
        ("[[85/10]]", "a score that is not from 1 to 10"),
        ("7", NO_SCORE),
        ("[7]", NO_SCORE),
        ("", NO_SCORE),
        ("[[N/A]]", NO_SCORE),
        ("Rating: [[rating]]", NO_SCORE),
        ("[[7-8]]", NO_SINGLE_SCORE),
        ("[[4/5]]", NO_SINGLE_SCORE),
        ("[[-3]]", NO_SINGLE_SCORE),
        ("[[8²]]", NO_SINGLE_SCORE),
        ("[[1, 2]]", NO_SINGLE_SCORE),
        ("As asked, not [[5]] but [[8]]", SEVERAL_SCORES),
        ("[[8]] for style, [[7-8]] for content", SEVERAL_SCORES),
        ("First turn: [[8]]. Second turn: [[3]].", SEVERAL_SCORES),
    ],
)
def test_a_reply_without_one_score_says_why(text: str, reason: str) -> None:
    assert parse_score(JudgeReply(text, "")) == (None, reason)


@pytest.mark.parametrize(
    "text",
    [
        "Rating: [[8]]. To sum up, [[8]].",
        "[[8.0]], that is [[8/10]]",
        "I was told to write [[rating]], see [[Rome]]. [[8]]",
        'The user asked for "a list such as [[1]]" and got it. [[8]]',
        "The user asked for “[[1]]”. [[8]]",
        "It prints `[[3]]`:\n```\n[[5]]\n```\nwell done. [[8]]",
        "> like this: [[5]]\n\n[[8]]",
        'I rate it "[[8]]"',
        "```\n[[8]]\n```",
    ],
)
def test_an_equal_score_again_or_another_one_in_a_quotation_changes_nothing(text: str) -> None:
    assert parse_score(JudgeReply(text, "")) == (8, "")


def test_a_judge_that_could_not_be_asked_gave_no_score_whatever_its_text() -> None:
    assert parse_score(JudgeReply("[[7]]", "HTTP 500")) == (None, "HTTP 500")


@pytest.mark.parametrize(
    ("text", "winner"),
    [
        ("[[A]]", "b"),
        ("[[C]]", TIE),
        ("[[ b ]]", "a"),
        ("[[Ｂ]] [[B]]", "a"),
        ("[[Assistant A]]", "b"),
        ("**[[B]]**", "a"),
        ("[[tie]]", TIE),
        ("[[Tie]]", TIE),
        ("[[A>B]]", "b"),
        ("[[B>>A]]", "a"),
        ("[[A = B]]", TIE),
        ('My verdict can be "[[A]]", "[[B]]" or "[[C]]". [[B]]', "a"),
    ],
)
def test_a_choice_names_the_model_that_was_shown_under_the_letter(text: str, winner: str) -> None:
    row = to_pairing({"one": "a", "other": "b", "first": "b", "prompt": ""}, JudgeReply(text, ""))
    assert (row["winner"], row["status"], row["reason"]) == (winner, "ok", "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A", "no choice in double brackets"),
        ("[[D]]", "no choice in double brackets"),
        ("[[8]]", "no choice in double brackets"),
        ("[[A]] or [[B]]", "several different choices in double brackets"),
        ("[[A]], or [[A or B]]", "several different choices in double brackets"),
        ("[[A/B]]", "double brackets that hold no single choice"),
    ],
)
def test_a_reply_without_one_choice_says_why(text: str, reason: str) -> None:
    row = to_pairing({"one": "a", "other": "b", "first": "b", "prompt": ""}, JudgeReply(text, ""))
    assert (row["winner"], row["status"], row["reason"]) == (None, "failed", reason)


def test_a_tie_is_written_as_the_word_tie() -> None:
    assert TIE == "tie"


def test_scores_of_one_question_are_a_cluster() -> None:
    rows: list[dict[str, Any]] = [
        {"question_id": 1, "turn": 1, "score": 2.0}, {"question_id": 1, "turn": 2, "score": 4.0},
        {"question_id": 2, "turn": 1, "score": 6.0}, {"question_id": 2, "turn": 2, "score": None},
    ]  # fmt: skip
    metrics = measure_scores(rows)
    assert metrics["score"]["value"] == 4 and metrics["score"]["n"] == 3
    # residuals of the questions: -2 + 0 and 2; variance (4 + 4) * 2 / 1 = 16; 4 / 3
    assert metrics["score"]["stderr"] == pytest.approx(4 / 3)
    assert (metrics["turn_1"]["value"], metrics["turn_2"]["value"]) == (4, 4)


def test_pairs_are_all_none_or_those_that_are_listed() -> None:
    assert choose_pairs("all", ["a", "b", "c"]) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert choose_pairs("none", ["a", "b"]) == []
    assert choose_pairs([["c", "a"]], ["a", "b", "c"]) == [("c", "a")]


def rows_by_status(ok: int, failed: int, unanswered: int = 0) -> list[dict[str, Any]]:
    return [
        *({"status": "ok", "reason": "", "text": ""} for _ in range(ok)),
        *({"status": "failed", "reason": "no score in double brackets", "text": "I like it."} for _ in range(failed)),
        *({"status": "unanswered", "reason": "", "text": ""} for _ in range(unanswered)),
    ]


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        (rows_by_status(100, 0, 50), "ok"),
        (rows_by_status(99, 1), "ok"),
        (rows_by_status(98, 2), "partial"),
        (rows_by_status(95, 5), "partial"),
        (rows_by_status(94, 6), "failed"),
        ([], "ok"),
    ],
)
def test_judgments_are_partial_above_one_percent_missing_and_failed_above_five(
    rows: list[dict[str, Any]], status: str
) -> None:
    assert judging_status(rows, "m")[0] == status


def test_a_file_of_questions_may_have_reference_replies(tmp_path: Path) -> None:
    lines = [
        {"question_id": 1, "category": "c", "turns": ["a", "b"], "reference": ["x"]},
        {"question_id": 2, "category": "c", "turns": ["a", "b"]},
    ]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert [row["reference"] for row in read_questions(tmp_path / "q.jsonl")] == [["x", ""], ["", ""]]
