"""Rows of the pipeline as conversations of the browser."""

from typing import Any

import pytest

from stages.lib.console.errors import UserError
from stages.lib.report.conversations import (
    Conversation,
    add_judgments,
    from_answers,
    from_responses,
    list_labels,
)
from tests.support.browser import conversation, response_row, turn, turn_row, verdict_row


def test_responses_are_converted_with_their_verdicts() -> None:
    rows = [response_row("a", "One."), response_row("b", "Two")]
    verdicts = [
        verdict_row("a", keep=True),
        verdict_row("b", keep=False, reasons=["loop", "too_short"], language="Korean"),
    ]
    one, two = from_responses(rows, verdicts)
    assert (one.key, one.group, one.keep, one.turns) == ("a", "English", True, [turn("Say a.", "One.")])
    assert (two.group, two.keep, two.reasons) == ("Korean", False, ["loop", "too_short"])


def test_a_response_shows_the_system_message_of_its_prompt() -> None:
    rows = [response_row("a", "One.") | {"system": "Be brief."}, response_row("b", "Two.")]
    assert [each.system for each in from_responses(rows)] == ["Be brief.", ""]


def test_a_response_without_a_verdict_is_neither_kept_nor_dropped() -> None:
    (result,) = from_responses([response_row("a", "One.")])
    assert (result.group, result.keep, list_labels(result)) == ("", None, ["answered"])


@pytest.mark.parametrize("keys", [["b"], [], ["a", "b"]], ids=["another", "too few", "too many"])
def test_verdicts_on_other_responses_are_rejected(keys: list[str]) -> None:
    with pytest.raises(UserError, match="run `dvc repro validate`"):
        list(from_responses([response_row("a", "One.")], [verdict_row(key, keep=True) for key in keys]))


def test_an_empty_imported_row_is_labelled_no_text() -> None:
    row = {"conversation_hash": None, "turns": [None, {"user": None, "assistant": None}], "status": None}
    (result,) = from_responses([row])
    assert result == Conversation("", "", [turn("", "", ""), turn("", "", "")], "")
    assert list_labels(result) == ["ended early: no status", "no text"]


def test_answers_are_converted_with_the_judgments_of_their_turns() -> None:
    turns = [turn_row("Why?", "So."), turn_row("And?", "")]
    row = {"question_id": 7, "category": "explain", "turns": turns, "status": "ok"}
    judgments: list[dict[str, Any]] = [
        {"question_id": 7, "turn": 1, "score": 8.0, "text": "Clear. [[8]]", "reason": ""},
        {"question_id": 7, "turn": 2, "score": None, "text": "", "reason": "the model gave no reply"},
    ]
    (result,) = from_answers([row], judgments)
    assert (result.key, result.group) == ("7", "explain")
    assert result.turns[0] == turn("Why?", "So.", score=8.0, judgment="Clear. [[8]]")
    assert result.turns[1] == turn("And?", "", unscored="the model gave no reply")


def test_judgments_are_added_by_the_position_of_the_prompt() -> None:
    judged = {"question_id": 1, "turn": 1, "score": 8.0, "text": "Clear.", "reason": ""}
    first, second = add_judgments([conversation("a", "So."), conversation("b", "No.")], [judged])
    assert first == conversation("a", "So.")
    assert second.turns == [turn("Tell me of b.", "No.", score=8.0, judgment="Clear.")]


def test_labels_say_what_became_of_a_conversation() -> None:
    def of(status: str = "ok", reply: str = "x", finish: str = "stop", **rest: Any) -> list[str]:
        return list_labels(Conversation("a", "", [turn("", reply, finish)], status, **rest))

    assert of() == ["answered"]
    assert of(keep=True, reasons=["off_topic"]) == ["kept", "noted: off topic"]
    assert of(finish="length", keep=False, reasons=["finish_length"]) == [
        "dropped",
        "dropped: finish length",
        "cut at the token limit",
    ]
    assert of("context_overflow", "", "context_overflow") == ["ended early: did not fit the context window"]
    assert of("failed", "", "failed") == ["ended early: failed"]
    assert of(reply=" \n") == ["no text"]
