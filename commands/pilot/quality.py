"""What a sample of replies is like: refusals, languages, lengths, distinct n-grams (paper, App. F)."""

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
    """Counts of replies."""

    conversations: int = 0
    leaked: int = 0  # conversations with a control token or a piece of a template in them
    replies: int = 0
    cut: int = 0  # at the limit
    refusals: int = 0
    tokens: int = 0
    chars: int = 0
    prompt_languages: Counter[str] = field(default_factory=Counter)  # conversations, as their source names it
    reply_languages: Counter[str] = field(default_factory=Counter)  # ISO 639
    language_known: Counter[str] = field(default_factory=Counter)  # replies of a sure language, by the prompt's
    wrong_language: Counter[str] = field(default_factory=Counter)  # replies in another than the message, likewise
    words: list[list[str]] = field(default_factory=list)  # of each reply

    def add(self, turns: Iterable[Turn], prompt: dict[str, Any], reasons: Sequence[str]) -> None:
        """Count one conversation, with the reasons of its verdict."""
        self.conversations += 1
        self.leaked += any(reason in LEAKS for reason in reasons)
        self.prompt_languages[prompt["language"]] += 1
        for turn in turns:
            if turn["finish_reason"] not in UNANSWERED:
                self._add_reply(turn, prompt["language"])

    def _add_reply(self, turn: Turn, prompt_language: str) -> None:
        """Count one reply."""
        reply = turn["assistant"]
        self.replies += 1
        self.cut += turn["finish_reason"] == "length"
        self.refusals += is_refusal(reply)
        self.tokens += turn["completion_tokens"]
        self.chars += len(reply)
        self.words.append(WORD.findall(reply.casefold()))
        reply_language = detect_language(reply)
        self.reply_languages[reply_language or "not sure"] += 1
        self.language_known[prompt_language] += bool(reply_language)
        self.wrong_language[prompt_language] += is_other_language(reply, turn["user"])

    def share(self, number: int) -> float:
        """Divide a number by the number of replies."""
        return number / max(self.replies, 1)

    @property
    def num_words(self) -> int:
        """The number of words of all replies."""
        return sum(map(len, self.words))


def first_words(replies: Iterable[list[str]], number: int) -> Iterator[list[str]]:
    """Yield the first `number` words of all replies together, reply by reply."""
    for words in replies:
        taken = words[:number]
        number -= len(taken)
        yield taken


def distinct(replies: Iterable[list[str]], length: int, number: int) -> float:
    """Compute distinct-n (Li et al. 2016): different n-grams over all n-grams of the first `number` words.

    n is `length`; n-grams do not cross replies; 0 for none.
    """
    ngrams = [
        gram
        for words in first_words(replies, number)
        for gram in zip(*(islice(words, start, None) for start in range(length)), strict=False)
    ]
    return len(set(ngrams)) / len(ngrams) if ngrams else 0.0
