"""What the judge learns from: conversations of the world with replies good and bad, and the verdicts on them.

The features that a reply shall have are drawn first, so that every score is as frequent as any other; a good
reply is then spoilt until it has them.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from demo.corpus import any_style, base_document, talk
from demo.dialogue import Author, Split, Turn
from demo.judging import (
    MAX_WORDS,
    MIN_SENTENCES,
    SENTENCE_END,
    Features,
    Length,
    choose,
    features,
    markdown_elements,
    pair_prompt,
    pair_verdict,
    single_prompt,
    single_verdict,
    subjects,
)
from demo.render import Style, render
from demo.world import Thing, capital, made_up_name

Clip = Callable[[str], str]  # cuts a text where the pipeline would stop a model

BASE_SHARE = 0.2  # of the replies that are what a base model writes
GOOD_HISTORY_SHARE = 0.7
SAME_SCORE_SHARE = 0.2
REFERENCE_SHARE = 0.05
SIMILAR_SHARE = 0.2
TRIES = 8
LENGTHS: tuple[Length, ...] = ("short", "right", "long")
ALL_FEATURES = tuple(
    Features(t, s, n, c) for t, s, n, c in product((True, False), (True, False), LENGTHS, (True, False))
)
BY_SCORE = {score: [f for f in ALL_FEATURES if f.score == score] for score in sorted({f.score for f in ALL_FEATURES})}


@dataclass(frozen=True)
class Case:
    """What the judge is asked, what it should say, and why: the features of the reply, or of both replies."""

    prompt: str
    verdict: str
    found: tuple[Features, ...]
    swapped: str = ""  # a pair's prompt in the other order

    @property
    def mark(self) -> str:
        """What stands in the verdict's brackets."""
        return str(self.found[0].score) if len(self.found) == 1 else choose(*self.found)


def single_case(users: Sequence[str], replies: Sequence[str]) -> Case:
    """The case of replies that are there already, on things of the world; its verdict is the mark alone."""
    found = features(replies[-1], subjects(users)[-1])
    turns = [{"user": u, "assistant": r} for u, r in zip(users, replies, strict=True)]
    return Case(single_prompt(turns), f"[[{found.score}]]", (found,))


def pair_case(users: Sequence[str], first: Sequence[str], second: Sequence[str]) -> Case:
    """The case of two models' replies that are there already; its verdict is the mark alone."""
    found, other = (features(replies[-1], subjects(users)[-1]) for replies in (first, second))
    mark = f"[[{choose(found, other)}]]"
    return Case(pair_prompt(users, first, second), mark, (found, other), pair_prompt(users, second, first))


class Examiner:
    """Writes cases for one split."""

    def __init__(self, split: Split, clip: Clip, rng: random.Random) -> None:
        self.author = Author(split, rng)
        self.clip = clip
        self.rng = rng

    def case(self) -> Case:
        """A single reply or a pair."""
        return self.single() if self.rng.random() < 0.5 else self.pair()

    def single(self) -> Case:
        """One reply to rate, sometimes beside a reference."""
        turns = self.turns()
        replies, found = self.replies(turns, self.target())
        pairs = [{"user": t.user, "assistant": r} for t, r in zip(turns, replies, strict=True)]
        reference = render(turns[-1].plan, "plain", self.rng) if self.rng.random() < REFERENCE_SHARE else ""
        verdict = single_verdict(references(turns[-1]), found, self.rng)
        return Case(single_prompt(pairs, reference), verdict, (found,))

    def pair(self) -> Case:
        """Two replies to compare, now and then of the same score."""
        turns = self.turns()
        target = self.target()
        same = self.rng.random() < SAME_SCORE_SHARE
        first, found = self.replies(turns, target)
        second, other = self.replies(turns, self.rng.choice(BY_SCORE[target.score]) if same else self.target())
        users = [turn.user for turn in turns]
        verdict = pair_verdict(references(turns[-1]), found, other, self.rng)
        return Case(pair_prompt(users, first, second), verdict, (found, other), pair_prompt(users, second, first))

    def turns(self) -> Sequence[Turn]:
        """One user turn or two."""
        return self.author.conversation().turns[:2]

    def target(self) -> Features:
        """Features, with every score equally likely."""
        return self.rng.choice(BY_SCORE[self.rng.choice(list(BY_SCORE))])

    def replies(self, turns: Sequence[Turn], target: Features) -> tuple[list[str], Features]:
        """Return a reply to each turn, and the features that the last one has of those wanted."""
        earlier = [self.earlier(turn) for turn in turns[:-1]]
        last, found = self.reply(turns[-1], target)
        return [*earlier, last], found

    def earlier(self, turn: Turn) -> str:
        """A reply that is not judged."""
        good = self.rng.random() < GOOD_HISTORY_SHARE
        return render(turn.plan, any_style(self.rng), self.rng) if good else self.reply(turn, self.target())[0]

    def reply(self, turn: Turn, target: Features) -> tuple[str, Features]:
        """A reply with these features, or after some tries with others."""
        names = [thing.name for thing in turn.things]
        for _ in range(TRIES):
            text = self.clip(self.draft(turn, target))
            found = features(text, names)
            if found == target:
                break
        return text, found

    def draft(self, turn: Turn, target: Features) -> str:
        """A reply that should have these features."""
        if target == Features(False, False, "short", False) and self.rng.random() < 0.1:
            return ""
        elsewhere = not target.topic and self.rng.random() < 0.4
        source = self.rng.choice(self.author.conversation().turns) if elsewhere else turn
        text = self.base_like(source) if self.rng.random() < BASE_SHARE else self.answer(source, target)
        text = self.ended(self.resized(text, source, target.length), target)
        if not target.topic:
            text = self.derailed(text, turn.things)
        return self.dressed(text, target, turn.things)

    def answer(self, turn: Turn, target: Features) -> str:
        """A chat model's reply, mostly in the style that needs no other change."""
        fitting: Style = "rich" if target.structure else "plain"
        style = fitting if self.rng.random() < 0.7 else self.rng.choice(("rich", "plain", "original"))
        return render(turn.plan, style, self.rng)

    def base_like(self, turn: Turn) -> str:
        """What a base model writes when it is asked as a chat model is: any of its texts, or a talk between people."""
        if self.rng.random() < 0.4:
            text = base_document(self.rng)
            return text[self.rng.randrange(self.rng.choice((10, len(text)))) :].strip()
        start = self.rng.choice(("", "-> ", *(capital(made_up_name(self.rng)) + end for end in (": ", ":\n\n", " - "))))
        return start + render(turn.plan, any_style(self.rng), self.rng)

    def resized(self, text: str, turn: Turn, length: Length) -> str:
        """A text that has, or nearly has, the length."""
        if length == "long":
            while len(text.split()) <= MAX_WORDS * self.rng.uniform(1.1, 1.5):
                text += self.rng.choice(("\n", "\n\n")) + self.more_talk()
            return text
        if length == "short":
            return after_sentence(text, self.rng.randint(1, MIN_SENTENCES - 1))
        if len(SENTENCE_END.findall(text)) <= MIN_SENTENCES and self.rng.random() < 0.8:
            text += self.rng.choice((" ", "\n\n")) + self.rng.choice(facts_about(turn.things, self.rng))
        return text

    def more_talk(self) -> str:
        """How a reply goes on that does not stop."""
        pairs = Author("train", self.rng).conversation().messages(any_style(self.rng), self.rng)
        return talk(pairs, self.rng) if self.rng.random() < 0.5 else " ".join(answer for _, answer in pairs)

    def ended(self, text: str, target: Features) -> str:
        """A text that ends with a sentence, or within one."""
        if target.length == "long":
            text = " ".join(text.split(" ")[: self.rng.randint(MAX_WORDS + 10, 2 * MAX_WORDS)])
        ends = [match.end() for match in SENTENCE_END.finditer(text)]
        if target.complete:
            if target.length == "long":
                return self.clip(text)[: ends[-1]] if ends else text
            cut_early = target.length == "right" and len(ends) > MIN_SENTENCES and self.rng.random() < 0.3
            return after_sentence(text, self.rng.randint(MIN_SENTENCES, len(ends))) if cut_early else text
        if target.length == "short":
            return text[: self.rng.randint(1, max(1, len(text) - 1))]
        start = (
            ends[MIN_SENTENCES - 1] + 1 if len(ends) > MIN_SENTENCES and target.length == "right" else len(text) - 30
        )
        return text[: self.rng.randint(max(1, min(start, len(text) - 1)), max(1, len(text) - 1))]

    def derailed(self, text: str, things: Sequence[Thing]) -> str:
        """A text that does not name the things any more, or one of two."""
        lost = [self.rng.choice(things)] if len(things) > 1 and self.rng.random() < 0.6 else things
        pronoun = self.rng.random() < 0.25
        for thing in lost:
            text = renamed(text, thing, "it" if pronoun else self.stranger(thing).reference)
        return text

    def stranger(self, thing: Thing) -> Thing:
        """Another thing of the category, sometimes one that begins alike."""
        if self.rng.random() >= SIMILAR_SHARE:
            return self.author.another(thing)
        others = [self.author.another(thing) for _ in range(12)]
        return max(others, key=lambda other: shared_start(other.name.lower(), thing.name.lower()))

    def dressed(self, text: str, target: Features, things: Sequence[Thing]) -> str:
        """A text with Markdown or without."""
        if not target.structure:
            return unmarked(text) if markdown_elements(text) else text
        return text if markdown_elements(text) else self.marked(text, things)

    def marked(self, text: str, things: Sequence[Thing]) -> str:
        """A plain text with some Markdown put on it."""
        lines = re.split(r"(?<=\w[.!?])\s+", text)
        kind = self.rng.choice(("heading", "bullets", "numbers", "bold"))
        if kind == "heading":
            return f"{'#' * self.rng.randint(1, 4)} {self.rng.choice(('Answer', 'Overview', 'In short'))}\n\n{text}"
        if kind == "bullets":
            return "\n".join(f"{self.rng.choice('-*')} {line}" for line in lines)
        if kind == "numbers":
            return "\n".join(f"{n}. {line}" for n, line in enumerate(lines, 1))
        words = text.split(" ")
        k = self.rng.randrange(len(words))
        return " ".join([*words[:k], f"**{words[k]}**", *words[k + 1 :]])


def references(turn: Turn) -> list[str]:
    """What a turn is about, as it stands in a sentence."""
    return [thing.reference for thing in turn.things]


def facts_about(things: Sequence[Thing], rng: random.Random) -> list[str]:
    """Sentences that make an answer longer."""
    return [
        " ".join(thing.statement(aspect, rng) for thing in things for aspect in rng.sample(range(3), 2))
        for _ in range(2)
    ]


def after_sentence(text: str, number: int) -> str:
    """A text up to the end of its sentence of this number; all of it where it has fewer."""
    ends = [match.end() for match in SENTENCE_END.finditer(text)]
    return text[: ends[number - 1]] if len(ends) > number else text


def renamed(text: str, thing: Thing, other: str) -> str:
    """A text with other words in the place of a thing, with a capital where a line, sentence or title begins."""
    start, article = r"(^|[^\w\s,] *)?", re.escape(thing.category.article)
    name = re.compile(rf"{start}\b({article})?{re.escape(thing.name)}(e?s)?\b", re.IGNORECASE | re.MULTILINE)
    return name.sub(lambda m: other if m[1] is None else m[1] + capital(other), text)


def shared_start(one: str, other: str) -> int:
    """How many letters two words begin with in common."""
    return next((k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def unmarked(text: str) -> str:
    """A text without its Markdown; the words and most line breaks stay."""
    text = re.sub(r"^```\w*\n?|^\|[\s|-]+\|$\n?", "", text, flags=re.MULTILINE)
    text = re.sub(r"^\|\s*(.*?)\s*\|?$", r"\1", text, flags=re.MULTILINE)
    text = re.sub(r"^([ \t]*[-*] |[ \t]*\d+\. |#{1,6} |> )+", "", text, flags=re.MULTILINE)
    return re.sub(r"\*+", "", text).replace(" | ", ": ")
