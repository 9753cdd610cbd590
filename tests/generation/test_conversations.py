"""Conversations of many turns: their history, limits, seeds and thinking."""

from dataclasses import replace

import pytest

from stages.lib.engines.base import Reply
from stages.lib.engines.echo import EchoEngine
from stages.lib.engines.request import RequestConfig
from stages.lib.generation.conversations import Conversation, longest_first
from stages.lib.records.chats import build_chat
from stages.lib.records.hashing import chat_sha
from tests.support.conversations import CONFIG, Recorder, run_on, talk


def test_a_later_turn_sees_the_models_own_earlier_replies() -> None:
    engine = Recorder(CONFIG)
    [conversation] = run_on(engine, Conversation("h", ["One?", "Two?"], ["Ref."]))
    assert [message["content"] for message in engine.chats[1]] == ["One?", conversation.turns[0]["assistant"], "Two?"]


def test_with_reference_history_a_later_turn_sees_the_reference_replies_after_the_system_prompt() -> None:
    config = replace(CONFIG, history="reference", system_prompt="Be kind.")
    engine = Recorder(config)
    run_on(engine, Conversation("h", ["One?", "Two?"], ["Ref.", ""]))
    assert [m["content"] for m in engine.chats[1]] == ["Be kind.", "One?", "Ref.", "Two?"]


def test_a_turn_that_does_not_fit_ends_its_conversation_and_no_other() -> None:
    long, short = Conversation("long", ["x" * 500, "never asked"]), Conversation("short", ["Hi?"])
    run_on(EchoEngine(CONFIG), long, short)
    assert (long.status, len(long.turns)) == ("context_overflow", 1)
    assert long.turns[0]["finish_reason"] == "context_overflow"
    assert short.status == "ok"


def test_a_reply_at_the_limit_has_the_finish_reason_length_and_each_turn_its_own_seed() -> None:
    conversation = talk("Hi?", "Hi?", config=RequestConfig(CONFIG.sampling, 10, 400, 1))
    assert conversation.turns[0]["finish_reason"] == "length" and conversation.turns[0]["completion_tokens"] == 10
    assert conversation.turns[0]["assistant"] != conversation.turns[1]["assistant"]


def test_equal_prompts_of_two_conversations_have_different_replies() -> None:
    one, other = run_on(EchoEngine(CONFIG), Conversation("a", ["Hi?"]), Conversation("b", ["Hi?"]))
    assert one.turns[0]["assistant"] != other.turns[0]["assistant"]


def test_at_most_max_concurrent_requests_run_at_once() -> None:
    engine = Recorder(CONFIG)
    conversations = [Conversation(str(number), ["Hi?", "So?"]) for number in range(9)]
    assert len(run_on(engine, *conversations, max_concurrent=3)) == 9
    assert engine.most_running == 3


def test_of_those_that_wait_the_one_with_the_most_turns_begins_next_then_the_one_with_the_longest_texts() -> None:
    turns = {"a": ["Hi?"], "b": ["Hi?"], "c": ["Hello?"], "d": ["Hi?", "So?"], "e": ["Hi?", "So?", "Why?"]}
    conversations = [Conversation(name, users) for name, users in turns.items()]
    assert [each.key for each in longest_first(conversations, lookahead=4)] == ["e", "d", "c", "a", "b"]
    assert [each.key for each in longest_first(conversations, lookahead=2)] == ["c", "d", "e", "a", "b"]


def test_a_conversation_that_is_held_back_begins_at_the_end_and_a_long_one_at_once() -> None:
    stream = (Conversation(str(number), ["Hi?"] * (1 if number < 3 else 2)) for number in range(10_000))
    ordered = longest_first(stream, lookahead=3)
    assert [next(ordered).key for _ in range(4)] == ["3", "4", "5", "6"]
    assert [each.key for each in ordered][-3:] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("<think>Hm.</think>\n\nYes.", "Yes."),
        ("[THINK]Hm.[/THINK]Yes.", "Yes."),
        ("<muse>Hm.</muse>Yes.", "Yes."),
        ("<think>Hm, for ever", ""),
        ("It ends with </think>.", "It ends with </think>."),
        ("Yes.", "Yes."),
    ],
)
def test_thinking_is_stripped_and_the_whole_text_kept_as_raw(text: str, kept: str) -> None:
    conversation = Conversation("h", ["One?", "Two?"])
    config = replace(CONFIG, thinking="strip", thinking_tags=(("<muse>", "</muse>"),))
    conversation.add_reply(Reply(text, "stop", 5, 5), config)
    assert (conversation.turns[0]["assistant"], conversation.turns[0]["raw"]) == (kept, text if text != kept else "")
    assert conversation.messages(CONFIG)[1]["content"] == kept  # a later turn does not see it


def test_a_reply_to_a_prompt_that_opened_thoughts_begins_inside_them() -> None:
    conversation = Conversation("h", ["One?"])
    reply = Reply("Hm.</think>Yes.", "stop", 5, 5, opened="<think>")
    conversation.add_reply(reply, replace(CONFIG, thinking="strip"))
    assert (conversation.turns[0]["assistant"], conversation.turns[0]["raw"]) == ("Yes.", "Hm.</think>Yes.")


def test_with_trim_oldest_the_oldest_turns_make_room_and_the_newest_message_is_never_cut() -> None:
    config = replace(CONFIG, trim="oldest", max_tokens=60, window=200, system_prompt="Be.")
    conversation = talk("a" * 40, "b" * 40, "c" * 40, config=config)
    assert [turn["trimmed_turns"] for turn in conversation.turns] == [0, 1, 2]
    sent = build_chat(["c" * 40], [], "Be.")
    assert conversation.turns[2]["prompt_sha"] == chat_sha(sent) and conversation.status == "ok"
    assert talk("x" * 500, config=config).status == "context_overflow"
