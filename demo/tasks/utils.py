"""Scoring of `demo_instructions`: every request has one condition that a program can check."""

import re
from collections.abc import Callable
from typing import Any

MARKDOWN = re.compile(r"^#{1,6} |^\s*[-*] |^\s*\d+\. |^> |^\||```|\*\*|(?<!\*)\*\w", re.MULTILINE)
LIST_ITEM = re.compile(r"^\s*[-*] \S", re.MULTILINE)
MAX_WORDS = 40

CONDITIONS: dict[str, Callable[[str, str], bool]] = {
    "word": lambda reply, word: re.search(rf"\b{re.escape(word)}\b", reply, re.IGNORECASE) is not None,
    "list": lambda reply, _: len(LIST_ITEM.findall(reply)) >= 3,
    "no_markdown": lambda reply, _: MARKDOWN.search(reply) is None,
    "short": lambda reply, _: len(reply.split()) < MAX_WORDS,
}


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """1 if the reply says something and meets its condition, else 0."""
    reply = results[0].strip()
    return {"prompt_strict": float(bool(reply) and CONDITIONS[doc["condition"]](reply, doc["word"]))}
