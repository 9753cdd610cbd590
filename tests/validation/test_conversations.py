"""Checks of a conversation against its prompt and the request, and what is not checked where they are unknown."""

from dataclasses import replace
from typing import Any

import pytest

from stages.lib.core.types import Row
from stages.lib.records.chats import build_chat
from stages.lib.records.hashing import chat_sha
from stages.lib.validation.checks import CHECKS
from tests.support.conversations import CONFIG, answered_row
from tests.support.validation import (
    IMPORT,
    WITH_TOPICS,
    WITHOUT_PROMPT,
    WITHOUT_REQUEST,
    WITHOUT_USER,
    generated,
    prompt,
    reasons,
    verdict,
)


def test_a_response_that_generate_wrote_gives_no_reason() -> None:
    assert reasons(generated("One?", "Two?"), "One?", "Two?") == []


def test_a_reason_that_is_only_reported_drops_nothing() -> None:
    row = generated("Hi?")
    row["turns"][0]["assistant"] = "Sorry, I cannot help with that."
    reported = verdict(row, prompt("Hi?"))
    assert (reported["keep"], reported["reasons"]) == (True, ["refusal"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"finish_reason": "length", "completion_tokens": 100}, "finish_length"),
        ({"finish_reason": "abort"}, "finish_abort"),
        ({"finish_reason": ""}, "no_end_of_turn"),
        ({"finish_reason": "Stop! <b>"}, "no_end_of_turn"),
        ({"finish_reason": "failed", "completion_tokens": 0}, "failed"),
        ({"user": "Another?"}, "prompt_altered"),
        ({"prompt_sha": "0" * 32}, "history_broken"),
        ({"completion_tokens": 0}, "token_counts"),
        ({"completion_tokens": 101}, "token_counts"),
        ({"prompt_tokens": 399}, "token_counts"),
    ],
)
def test_each_fault_of_a_turn_gives_its_reason(change: dict[str, Any], reason: str) -> None:
    row = generated("One?", "Two?")
    row["turns"][1] |= change
    assert reason in reasons(row, "One?", "Two?")
    assert set(reasons(row, "One?", "Two?")) <= {reason, "history_broken"}


def test_another_reply_breaks_the_history_of_the_next_turn() -> None:
    row = generated("One?", "Two?")
    row["turns"][0]["assistant"] = "Another reply."
    assert reasons(row, "One?", "Two?") == ["history_broken"]


def test_other_sampling_a_missing_turn_and_a_status_are_reasons() -> None:
    row = generated("One?", "Two?")
    assert reasons(row | {"identity": "other"}, "One?", "Two?") == ["not_as_asked"]
    assert reasons(row | {"turns": row["turns"][:1]}, "One?", "Two?") == ["turns_missing"]
    assert reasons(row | {"status": "failed"}, "One?", "Two?") == ["failed"]
    for change in ({"dgm": "n"}, {"seed": 2}, {"history": "reference"}):
        assert reasons(row | change, "One?", "Two?") == ["not_as_asked"]
    assert reasons(row, "Two?", "One?") == ["not_as_asked", "turns_swapped"]


def test_a_row_with_a_missing_value_is_incomplete_and_not_checked_further() -> None:
    row = generated("One?")
    changes: list[dict[str, Any]] = [
        {"status": None},
        {"turns": None},
        {"turns": []},
        {"turns": [None]},
        {"engine": None},
    ]
    for change in changes:
        assert reasons(row | change, "One?") == ["incomplete_row"]
    for name in ("user", "assistant", "finish_reason", "prompt_tokens", "prompt_sha"):
        assert reasons(row | {"turns": [row["turns"][0] | {name: None}]}, "One?") == ["incomplete_row"]


def test_the_prompt_sha_of_a_trimmed_turn_is_that_of_the_chat_without_the_oldest_turns() -> None:
    row = generated("One?", "Two?")
    row["turns"][1]["trimmed_turns"] = 1
    assert reasons(row, "One?", "Two?") == ["history_broken"]
    row["turns"][1]["prompt_sha"] = chat_sha(build_chat(["Two?"], []))
    assert reasons(row, "One?", "Two?") == []


def test_checks_that_lack_what_they_need_are_counted_as_not_checked_and_give_no_reason() -> None:
    row = generated("One?") | {"identity": "other", "status": "ok"}
    row["turns"][0] |= {"user": "", "finish_reason": "imported"}
    imported = verdict(row, prompt("One?"), WITH_TOPICS, IMPORT)
    assert (imported["keep"], imported["reasons"]) == (True, [])
    assert imported["not_checked"] == sorted(WITHOUT_REQUEST + WITHOUT_USER)
    row["turns"][0]["user"] = "One?"
    assert verdict(row, prompt("One?"), WITH_TOPICS, IMPORT)["not_checked"] == WITHOUT_REQUEST
    assert verdict(generated("One?"), prompt("One?"), WITH_TOPICS)["not_checked"] == []
    assert verdict(generated("One?"), prompt("One?"))["not_checked"] == ["off_topic"]
    unknown = verdict(generated("One?"), "unknown_conversation", WITH_TOPICS)
    assert unknown["not_checked"] == WITHOUT_PROMPT


def imported(*finish_reasons: str) -> Row:
    """An imported response whose turns have these finish reasons."""
    row = generated(*["One?"] * len(finish_reasons))
    for turn, finish in zip(row["turns"], finish_reasons, strict=True):
        turn["finish_reason"] = finish
    return row


def test_finish_reasons_are_checked_if_all_are_known_and_not_checked_if_one_is_not() -> None:
    users = prompt("One?", "One?")
    of_the_request = sorted({*WITHOUT_REQUEST} - {"finish_length", "no_end_of_turn"})
    assert verdict(imported("stop", "stop"), users, WITH_TOPICS, IMPORT)["not_checked"] == of_the_request
    assert verdict(imported("stop", "imported"), users, WITH_TOPICS, IMPORT)["not_checked"] == WITHOUT_REQUEST


def test_a_reason_that_was_found_is_not_counted_as_not_checked() -> None:
    one_of_two = verdict(imported("length", "imported"), prompt("One?", "One?"), WITH_TOPICS, IMPORT)
    assert one_of_two["reasons"] == ["finish_length"]
    assert one_of_two["not_checked"] == sorted({*WITHOUT_REQUEST} - {"finish_length"})


def test_of_an_incomplete_row_nothing_is_checked_but_that() -> None:
    incomplete = verdict(generated("One?") | {"engine": None}, "unknown_conversation", WITH_TOPICS)
    assert incomplete["reasons"] == ["incomplete_row", "unknown_conversation"]
    assert incomplete["not_checked"] == sorted({check.name for check in CHECKS if check.needs and not check.is_open})


def test_an_absent_reply_is_not_imported_and_not_empty() -> None:
    row = imported("imported", "imported") | {"status": "not_imported"}
    row["turns"][1]["assistant"] = ""
    assert verdict(row, prompt("One?", "One?"), model=IMPORT)["reasons"] == ["not_imported"]
    row["turns"][0]["assistant"] = "\u200b"
    assert verdict(row, prompt("One?", "One?"), model=IMPORT)["reasons"] == ["empty", "not_imported"]


def test_a_prompt_that_does_not_fit_the_window_gives_one_reason() -> None:
    row = generated("Hi?", "x" * 500)
    assert reasons(row, "Hi?", "x" * 500) == ["context_overflow"]


def system_row(system: str) -> tuple[Row, Row]:
    """A prompt with a system message, and the response to it as `generate` writes it."""
    asked = prompt("One?", "Two?") | {"system": system}
    return asked, answered_row(asked) | {"system": system}


def test_a_system_message_is_part_of_what_was_asked() -> None:
    asked, row = system_row("Be brief.")
    assert verdict(row, asked)["reasons"] == []
    assert verdict(row, asked | {"system": "Be kind."})["reasons"] == [
        "history_broken", "not_as_asked", "prompt_altered",
    ]  # fmt: skip
    assert verdict(row | {"system": ""}, asked)["reasons"] == ["prompt_altered"]
    catalogue = replace(CONFIG, system_prompt="Be kind.")
    assert verdict(row, asked, config=catalogue)["reasons"] == ["history_broken", "not_as_asked"]


def test_a_prompt_that_the_model_has_no_role_for_gives_one_reason() -> None:
    asked, row = system_row("Be brief.")
    unasked = row["turns"][0] | {
        "assistant": "", "finish_reason": "no_system_role", "prompt_tokens": 0, "completion_tokens": 0,
    }  # fmt: skip
    row |= {"turns": [unasked], "status": "no_system_role"}
    assert verdict(row, asked)["reasons"] == ["no_system_role"]
    assert not verdict(row, asked)["keep"]
