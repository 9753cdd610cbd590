"""Conversations for the browser, and how a test opens and reads it."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect

from stages.lib.report.conversations import (
    Collection,
    Conversation,
    Turn,
    from_pairings,
)
from tests.support.chromium import Visit, visit

HOSTILE = """</script><script>window.pwned = 1</script><!-- <svg onload="window.pwned = 2">
<img src=x onerror="window.pwned = 3"> [go](javascript:alert(4)) ![dot](https://evil.example/dot.png)

<iframe srcdoc="<script>parent.pwned = 5</script>"></iframe> ');alert(6);(' \\');alert(7);//
<style>* { display: none }</style> {{ 7 * 191 }} \u2028 \u2029 \x00 end"""


def turn(user: str, assistant: str, finish_reason: str = "stop", **judged: Any) -> Turn:
    return Turn(user, assistant, finish_reason, **judged)


def conversation(key: str, reply: str, user: str = "", group: str = "English", **rest: Any) -> Conversation:
    """A conversation of one turn."""
    return Conversation(key, group, [turn(user or f"Tell me of {key}.", reply)], "ok", **rest)


def collection(**models: Iterable[Conversation]) -> Collection:
    return Collection("prompts", "Prompts of the DGMs", "Language", models)


def read_data_file(file: Path) -> list[Any]:
    """What a data file hands to the page: its lines without JavaScript's escapes are JSON."""
    first, *lines, last = file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    assert (first, last) == (f'receive("{file.stem}", [', "]);")
    unescaped = (re.sub(r"\\(u[0-9a-f]{4}|.)", unescape, line[1:-2]) for line in lines)
    return [json.loads(line) for line in unescaped]


def unescape(match: re.Match[str]) -> str:
    return chr(int(match[1][1:], 16)) if len(match[1]) > 1 else match[1]


def response_row(key: str, reply: str) -> dict[str, Any]:
    return {"conversation_hash": key, "turns": [turn_row(f"Say {key}.", reply)], "status": "ok"}


def turn_row(user: str, assistant: str) -> dict[str, Any]:
    return {"user": user, "assistant": assistant, "finish_reason": "stop"}


def verdict_row(key: str, keep: bool, reasons: Sequence[str] = (), language: str = "English") -> dict[str, Any]:
    return {"conversation_hash": key, "keep": keep, "reasons": list(reasons), "language": language}


def hostile_collections() -> list[Collection]:
    conversations = [Conversation(HOSTILE, HOSTILE, [turn(HOSTILE, HOSTILE, HOSTILE, judgment=HOSTILE)], HOSTILE)]
    return [collection(**{HOSTILE: conversations, "other": conversations})]


def example_collections() -> list[Collection]:
    """Three prompts and three DGMs; two questions of two turns, judged; names that need no explaining."""
    rich = [
        conversation("cat", "A **cat** purrs.\n\n- It sleeps.", keep=True),
        conversation("dog", "A dog " + "barks. " * 30, group="Korean", keep=False, reasons=["loop"]),
        Conversation("owl", "English", [turn("Tell me of owl.", "Who", "length")], "ok", True),
    ]
    plain = [
        conversation("cat", "The cat is an animal & <purrs>.", keep=True),
        conversation("owl", "An owl flies.", keep=True),
    ]
    third = [conversation("dog", "Third of dog.")]

    def answer(one: float, two: float) -> list[Conversation]:
        turns = [
            turn("Why?", "Because.", score=one, judgment="Short."),
            turn("And?", "So.", score=two, judgment="Shorter."),
        ]
        rest = [turn("Where?", "There.", score=5.0), turn("When?", "Then.", unscored="no score was found")]
        return [Conversation("1", "explain", turns, "ok"), Conversation("2", "places", rest, "ok")]

    pair = {"one": "base", "other": "tuned", "question_id": 1, "text": "Because.", "reason": ""}
    choices = [{**pair, "turn": 1, "first": first, "winner": "tuned"} for first in ("base", "tuned")]
    choices += [{**pair, "turn": 2, "first": first, "winner": first} for first in ("base", "tuned")]
    choices += [{**choices[0], "one": "gone"}]
    return [
        collection(rich=rich, plain=plain, third=third),
        Collection(
            "questions",
            "Questions",
            "Category",
            {"base": answer(4, 6), "tuned": answer(8, 8), "tied": answer(4, 6)},
            from_pairings(choices),
        ),
    ]


def open_browser(chromium: Browser, folder: Path, hash: str = "", **options: Any) -> Any:
    """Open the conversation browser in a folder."""
    return visit(chromium, folder / "conversations.html", hash=hash, **options)


def read_replies(visited: Visit) -> list[str]:
    """The texts of the replies that are shown, left to right and down."""
    return visited.page.locator(".reply .text").all_inner_texts()


def expect_count(visited: Visit, text: str) -> None:
    expect(visited.page.locator("#count")).to_have_text(text)
