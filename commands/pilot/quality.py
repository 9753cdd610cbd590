"""What a sample of replies looks like: verdicts, refusals, languages, lengths, distinct n-grams (paper, App. F)."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from stages.lib.records.responses import UNANSWERED, Turn
from stages.lib.validation.languages import CJK_CHARS, detect_language, is_other_language
from stages.lib.validation.relevance import is_refusal

WORD = re.compile(rf"[{CJK_CHARS}]|\w+")  # a character is a word where there are no spaces
LEAKS = ("control_token", "template_leak")


@dataclass(slots=True)
class Quality:
    """Replies, counted."""

    conversations: int = 0
    leaked: int = 0  # conversations with a control token or a piece of a template in them
    replies: int = 0
    cut: int = 0  # at the limit
    refusals: int = 0
    tokens: int = 0
    chars: int = 0
    asked: Counter[str] = field(default_factory=Counter)  # prompts by language, as their source names it
    answered: Counter[str] = field(default_factory=Counter)  # replies by language, ISO 639
    told: Counter[str] = field(default_factory=Counter)  # replies of which the language is sure, by that of the prompt
    elsewhere: Counter[str] = field(default_factory=Counter)  # of them, those in another language than the message
    words: list[list[str]] = field(default_factory=list)  # of each reply

    def add(self, turns: Iterable[Turn], prompt: dict[str, Any], reasons: Sequence[str]) -> None:
        """Count one conversation, with the reasons of its verdict."""
        self.conversations += 1
        self.leaked += any(reason in LEAKS for reason in reasons)
        self.asked[prompt["language"]] += 1
        for turn in turns:
            if turn["finish_reason"] not in UNANSWERED:
                self._add_reply(turn, prompt["language"])

    def _add_reply(self, turn: Turn, asked: str) -> None:
        """Count one reply."""
        reply = turn["assistant"]
        self.replies += 1
        self.cut += turn["finish_reason"] == "length"
        self.refusals += is_refusal(reply)
        self.tokens += turn["completion_tokens"]
        self.chars += len(reply)
        self.words.append(WORD.findall(reply.casefold()))
        found = detect_language(reply)
        self.answered[found or "not sure"] += 1
        self.told[asked] += bool(found)
        self.elsewhere[asked] += is_other_language(reply, turn["user"])

    def share(self, number: int) -> float:
        """So many of the replies, as a share."""
        return number / max(self.replies, 1)

    @property
    def num_words(self) -> int:
        """Of all replies."""
        return sum(map(len, self.words))


def first_words(replies: Iterable[list[str]], number: int) -> Iterator[list[str]]:
    """The first so many words of some replies, reply by reply."""
    for words in replies:
        taken = words[:number]
        number -= len(taken)
        yield taken


def distinct(replies: Iterable[list[str]], length: int, number: int) -> float:
    """Distinct-n (Li et al. 2016): different n-grams over all n-grams of the first `number` words, within replies."""
    ngrams = [
        gram
        for words in first_words(replies, number)
        for gram in zip(*(islice(words, start, None) for start in range(length)), strict=False)
    ]
    return len(set(ngrams)) / len(ngrams) if ngrams else 0.0
