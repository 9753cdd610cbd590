"""Shapes of chats: what is one, with which system message and turns; and why another is none."""

import json
from typing import Any

import pytest

from stages.lib.readers.chats import Chat, ParsedTurn, parse_chat, parse_exchange
from stages.lib.readers.reasons import Reason

USER, REPLY = {"role": "user", "content": "q"}, {"role": "assistant", "content": "r"}
TURN: ParsedTurn = {"user": "q", "reply": "r", "finish": "imported"}
IMAGE = {"type": "image_url", "image_url": {"url": "x"}}
TEXT = {"type": "text", "text": "q"}


def system(text: object = "s") -> dict[str, Any]:
    return {"role": "system", "content": text}


@pytest.mark.parametrize(
    "value",
    [
        [USER, REPLY],
        [{"from": "human", "value": "q"}, {"from": "gpt", "value": "r"}],
        [{"from": "user", "value": "q"}, {"from": "assistant", "value": "r"}],
        [{"role": "User ", "content": "q"}, {"role": "model", "content": "r"}],
        [{**USER, "from": None, "value": None}, {**REPLY, "from": "other"}],
        [{"role": "user", "content": [TEXT]}, {"role": "assistant", "content": ["r"]}],
        [{"role": "user", "content": [{**TEXT, "image_url": None}, None]}, REPLY],
        json.dumps([USER, REPLY]),
        {"messages": [USER, REPLY]},
        json.dumps({"conversations": [USER, REPLY]}),
        [USER, REPLY, None, {"role": None, "content": None}],
    ],
    ids=str,
)
def test_a_chat_of_any_shape_is_the_same_chat(value: object) -> None:
    assert parse_chat(value) == Chat("", [TURN])


@pytest.mark.parametrize(
    ("value", "text"),
    [([system(), USER, REPLY], "s"), ([{**system(), "role": "developer"}, USER, REPLY], "s")]
    + [([system(blank), USER, REPLY], "") for blank in (None, "", "\u200b")],
)
def test_a_leading_system_message_is_apart_from_the_turns_and_one_that_shows_nothing_is_none(
    value: object, text: str
) -> None:
    assert parse_chat(value) == Chat(text, [TURN])


def test_parts_of_text_are_joined_by_line_breaks() -> None:
    chat = parse_chat([{"role": "user", "content": [TEXT, {"type": "input_text", "text": "more"}]}, REPLY])
    assert isinstance(chat, Chat) and chat.turns[0]["user"] == "q\nmore"


def test_a_finish_reason_is_kept() -> None:
    chat = parse_chat([USER, {**REPLY, "finish_reason": "length"}, USER, {**REPLY, "finish_reason": None}])
    assert isinstance(chat, Chat) and [turn["finish"] for turn in chat.turns] == ["length", "imported"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "no_messages"),
        ([], "no_messages"),
        ([None, None], "no_messages"),
        (" ", "no_messages"),
        (5, "no_messages"),
        ({"text": "q"}, "no_messages"),
        ("null", "no_messages"),
        ([system()], "no_messages"),
        ("hello", "chat_is_not_json"),
        ("[" * 100_000, "nested_too_deep"),
        ('[{"role": 1e999}]', "number_out_of_range"),
        ([REPLY], "roles_do_not_alternate"),
        ([USER, USER], "roles_do_not_alternate"),
        ([USER, REPLY, REPLY], "roles_do_not_alternate"),
        ([USER], "last_reply_missing"),
        ([USER, REPLY, USER], "last_reply_missing"),
        ([USER, system(), REPLY], "late_system_message"),
        ([system(), system(), USER, REPLY], "late_system_message"),
        ([USER, {"role": "tool", "content": "x"}], "tool_message"),
        ([{"from": "function_call", "value": "x"}], "tool_message"),
        ([{"role": "narrator", "content": "x"}], "unknown_role"),
        ([{"role": None, "content": "x"}], "unknown_role"),
        ([{"role": 1, "content": "x"}], "unknown_role"),
        ([{"content": "x"}], "unknown_role"),
        ([USER, None, USER, REPLY], "null_message"),
        (["q", "r"], "message_is_no_record"),
        ([{"role": "user", "content": None}, REPLY], "null_content"),
        ([{"role": "user"}, REPLY], "null_content"),
        ([{"role": "user", "content": []}, REPLY], "null_content"),
        ([USER, {**REPLY, "content": 1}], "content_is_no_text"),
        ([USER, {**REPLY, "content": "\ud800"}], "content_is_no_text"),
        ([system(1), USER, REPLY], "content_is_no_text"),
        ([{"role": "user", "content": [TEXT, IMAGE]}, REPLY], "content_has_other_parts"),
        ([{"role": "user", "content": [USER]}, REPLY], "content_has_other_parts"),
        ([{"role": "user", "content": [{"type": "text", "text": None}]}, REPLY], "null_content"),
        ([{"role": "user", "content": [["x"]]}, REPLY], "null_content"),
    ],
)
def test_what_is_no_chat_of_turns_has_its_reason(value: object, reason: str) -> None:
    assert parse_chat(value) == Reason(reason)


@pytest.mark.parametrize("content", [None, 1, [IMAGE], "\ud800"])
def test_a_reply_may_be_missing_where_replies_are_not_needed(content: object) -> None:
    assert parse_chat([USER, {**REPLY, "content": content}, USER], needs_replies=False) == Chat(
        "", [{**TURN, "reply": None}, {**TURN, "reply": None}]
    )
    assert parse_chat([{**USER, "content": content}], needs_replies=False) != Chat("", [])


def test_messages_may_have_other_keys() -> None:
    value = [{"who": "user", "says": "q"}, {"who": "assistant", "says": "r"}]
    assert parse_chat(value, {"role": "who", "content": "says"}) == Chat("", [TURN])


def test_two_columns_are_a_chat_of_one_turn() -> None:
    assert parse_exchange("q", "r") == Chat("", [TURN])
    assert parse_exchange("q", None) == Reason("null_content") == parse_exchange(None, "r", needs_replies=False)
    assert parse_exchange("q", None, needs_replies=False) == Chat("", [{**TURN, "reply": None}])


def test_a_chat_of_ten_thousand_turns_and_a_message_of_20_mb_are_read() -> None:
    chat = parse_chat([USER, REPLY] * 10_000)
    assert isinstance(chat, Chat) and len(chat.turns) == 10_000
    chat = parse_chat(json.dumps([{**USER, "content": "x" * 20_000_000}, REPLY]))
    assert isinstance(chat, Chat) and len(chat.turns[0]["user"] or "") == 20_000_000


@pytest.mark.parametrize(
    "finish", [None, float("nan"), "nan", "None", " ", "\u200b", {"type": "stop"}, True, "\ud800"], ids=repr
)
def test_a_finish_reason_that_tells_nothing_is_unknown(finish: object) -> None:
    assert parse_chat([USER, {**REPLY, "finish_reason": finish}]) == Chat("", [TURN])


def test_a_finish_reason_with_half_of_a_surrogate_pair_in_a_chat_as_text_is_unknown() -> None:
    assert parse_chat(json.dumps([USER, {**REPLY, "finish_reason": "\ud800"}])) == Chat("", [TURN])


def test_a_finish_reason_is_the_same_word_in_capital_letters() -> None:
    assert parse_chat([USER, {**REPLY, "finish_reason": " STOP"}]) == Chat("", [{**TURN, "finish": "stop"}])
