"""Validation takes bounded time, whatever a text holds and however many turns there are."""

import time
from dataclasses import replace

import pytest

from stages.lib.models.reply_format import ReplyFormat
from tests.support.conversations import CONFIG
from tests.support.validation import ENGLISH, IMPORT, WITH_TOPICS, generated, prompt, verdict

CHARS = 20_000_000
SECONDS = 10  # here it takes two; without bounds most of these take over thirty
OWN = replace(CONFIG, reply_format=ReplyFormat(user_header="\nUSER:", control_tokens=("<sail>",)))
# Pieces with which some pattern of a check begins, so that it is tried again and again.
PIECES = {
    name: piece
    for name, piece in {
        "spaces": " ", "line breaks": "\n", "indented lines": "\n \t  ", "letters": "a", "words": "harbour ",
        "Chinese": "海", "Chinese in pieces": "海港是用来做什么的呢" + "a", "Thai": "แมวสีดำ",
        "Arabic": "مَرْسَى ", "Korean": "항구는 ",
        "fences": "```\n", "two fences": "```\n~~~\n", "backticks": "`a", "addresses": "https://", "tokens": "<|im_",
        "whole tokens": "<|im_end|>", "numbered tokens": "<extra_id_1>", "brackets": "[", "tags": "<think>",
        "struck": "<s>", "struck and closed": "<s>a</s>", "pads": "<pad> ", "quotes": "'</s>'", "headers": "\nUser: ",
        "roles": "\nUser: a\nAssistant: b", "refusals": "I'm sorry ", "marks": "(truncated", "accents": "e\u0301",
    }.items()
}  # fmt: skip


def seconds(*turns: tuple[str, str]) -> float:
    """The time that a verdict on a conversation of these messages and replies takes."""
    users = [user for user, _ in turns]
    row = generated("Hi?")
    row["turns"] = [row["turns"][0] | {"user": user, "assistant": reply} for user, reply in turns]
    given = prompt(*users)
    began = time.process_time()
    verdict(row, given, WITH_TOPICS, IMPORT, OWN)
    return time.process_time() - began


@pytest.mark.parametrize("name", PIECES)
def test_a_long_reply_or_message_takes_bounded_time(name: str) -> None:
    long = PIECES[name] * (CHARS // len(PIECES[name]))
    assert seconds((ENGLISH, long)) < SECONDS
    assert seconds((long, ENGLISH)) < SECONDS


def test_a_conversation_of_many_turns_takes_bounded_time() -> None:
    assert (
        seconds(*[(f"{ENGLISH} {number}", f"It is for {number} ships.<|im_end|>") for number in range(10_000)])
        < SECONDS
    )


def test_tokens_that_the_user_wrote_in_many_messages_take_bounded_time() -> None:
    tokens = [f"<extra_id_{number}>" for number in range(10_000)]
    assert seconds(*[(token, "".join(tokens[max(0, n - 20) : n])) for n, token in enumerate(tokens)]) < SECONDS
