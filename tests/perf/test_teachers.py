"""The sources that are made of others' replies, and the order of prompts by disagreement."""

import numpy as np
import pytest

from perf.prompt_order import order_within_groups
from perf.teachers import cut, exchange, half
from stages.lib.core.types import Row


def chat(name: str, *turns: tuple[str, str]) -> Row:
    return {
        "conversation_hash": name,
        "turns": [{"user": "Hi", "assistant": reply, "finish_reason": reason} for reply, reason in turns],
    }


def replies(rows: list[Row]) -> dict[str, list[tuple[str, str]]]:
    return {
        row["conversation_hash"]: [(turn["assistant"], turn["finish_reason"]) for turn in row["turns"]] for row in rows
    }


def test_a_cut_reply_no_longer_tells_how_it_ended() -> None:
    row = cut(chat("a", ("one two three", "length"), ("four", "stop")), words=2)
    assert replies([row]) == {"a": [("one two", "imported"), ("four", "imported")]}


def test_replies_are_exchanged_whole_among_conversations_with_as_many_turns() -> None:
    rows = [
        chat("a", ("of a", "stop")),
        chat("b", ("b1", "stop"), ("b2", "stop")),
        chat("c", ("of c", "length")),
        chat("d", ("of d", "stop")),
    ]
    exchanged = replies(exchange(rows))
    assert [*exchanged] == ["a", "b", "c", "d"]
    assert exchanged["a"] == [("of c", "length")] and exchanged["c"] == [("of d", "stop")]
    assert exchanged["d"] == [("of a", "stop")] and exchanged["b"] == [("b1", "stop"), ("b2", "stop")]


def test_every_second_conversation_has_the_replies_that_came_with_its_prompt() -> None:
    rows = [chat("a", ("of a", "length")), chat("b", ("of b", "length"))]
    prompts = {name: {"turns": [{"reference": f"reference of {name}"}]} for name in "ab"}
    assert replies(half(rows, prompts)) == {"a": [("of a", "length")], "b": [("reference of b", "imported")]}


@pytest.mark.parametrize("beginning", [4, 8, 12])
def test_every_beginning_of_the_order_has_each_group_in_its_share(beginning: int) -> None:
    groups = [("English", n % 2) if n % 4 else ("Chinese", 0) for n in range(16)]
    order = order_within_groups(np.arange(16, dtype=np.float64), groups)
    assert sorted(order) == list(range(16))
    chosen = [groups[n] for n in order[:beginning]]
    assert [chosen.count(group) / beginning for group in (("Chinese", 0), ("English", 0), ("English", 1))] == [
        0.25,
        0.25,
        0.5,
    ]


def test_the_highest_score_of_a_group_comes_first() -> None:
    scores = np.array([0.1, 0.9, 0.5, 0.7])
    assert order_within_groups(scores, [("English", 0)] * 4) == [1, 3, 2, 0]
