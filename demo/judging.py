"""What the demo's judge looks at: four visible features of a reply, the score that they give, and the verdict's words.

Everything here is a function of the texts, so that anyone can work out what the judge should say.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from jinja2 import Environment, StrictUndefined, Template

from demo.world import all_things, names_in

Length = Literal["short", "right", "long"]
Choice = Literal["A", "B", "C"]

FOLDER = Path(__file__).parent / "judge"
MARKDOWN = re.compile(
    r"^#{1,6} |^\s*[-*] |^\s*\d+\. |^> |^\|(?!\s*---)|^```\w+|\*\*[^*\n]+\*\*|(?<!\*)\*[^*\n]+\*(?!\*)",
    re.MULTILINE,
)
SENTENCE_END = re.compile(r"\w\w[.!?](?!\w)[*\"')]*")
MIN_SENTENCES = 3
MAX_WORDS = 80
# A sentence, a row of a table with two cells, a block of code, the signature of an email; but not "2." alone in a line.
WHOLE_END = re.compile(r"([.!?][*\"')]*|\|[^|\n]+\|[^|\n]+\||\n```|Best wishes, \w+)\s*\Z")
LIST_NUMBER_END = re.compile(r"^\s*\d+\.\s*\Z", re.MULTILINE)

OPENINGS = ("The question is about {x}.", "The user asks about {x}.", "The topic is {x}.")
SAYINGS: dict[str, dict[bool | str, tuple[str, ...]]] = {
    "topic": {
        True: ("{who} names {it}.", "{who} speaks of {it}.", "{who} is on topic."),
        False: ("{who} does not name {it}.", "{who} never speaks of {it}.", "{who} is off topic."),
    },
    "structure": {
        True: ("It is well structured.", "It has a clear structure.", "It makes good use of Markdown."),
        False: ("It is not structured.", "It has no structure.", "It lacks structure."),
    },
    "length": {
        "right": ("It gives enough detail.", "It is detailed.", "It has the right length."),
        "short": ("It lacks detail.", "It is too brief.", "It does not say enough."),
        "long": ("It rambles.", "It is far too long.", "It does not stop in time."),
    },
    "complete": {
        True: ("It is complete.", "It ends well.", "It is not cut off."),
        False: ("It is incomplete.", "It is cut off.", "It does not come to an end."),
    },
}
RATING = re.compile(r"\[\[(\d+)\]\]\s*\Z")
CHOICE = re.compile(r"\[\[([ABC])\]\]\s*\Z")


@dataclass(frozen=True)
class Features:
    """What can be seen of a reply."""

    topic: bool
    structure: bool
    length: Length
    complete: bool

    @property
    def score(self) -> int:
        """1 to 10."""
        return 1 + 3 * self.topic + 2 * self.structure + 2 * (self.length == "right") + 2 * self.complete


def features(reply: str, names: Sequence[str]) -> Features:
    """The features of a reply that should name these things (those of `subjects`; none: it is on topic)."""
    return Features(
        topic=all(mentions(reply, name) for name in names),
        structure=markdown_elements(reply) > 0,
        length=length_of(reply),
        complete=bool(WHOLE_END.search(reply)) and not LIST_NUMBER_END.search(reply),
    )


def subjects(user_turns: Sequence[str]) -> list[list[str]]:
    """For each user turn the names it is about: its own, or else those of the turn before."""
    found: list[list[str]] = []
    for user in user_turns:
        found.append(names_in(user) or (found[-1] if found else []))
    return found


def mentions(text: str, name: str) -> bool:
    """Whether a text holds a name as a word, in any case, perhaps in the plural."""
    return re.search(rf"\b{re.escape(name)}(e?s)?\b", text, re.IGNORECASE) is not None


def markdown_elements(text: str) -> int:
    """Headings, list items, quotes, table rows, code blocks, bold and italic spans."""
    return len(MARKDOWN.findall(text))


def length_of(reply: str) -> Length:
    """Long: over MAX_WORDS words. Short: fewer than MIN_SENTENCES sentences."""
    if len(reply.split()) > MAX_WORDS:
        return "long"
    return "short" if len(SENTENCE_END.findall(reply)) < MIN_SENTENCES else "right"


def choose(first: Features, second: Features) -> Choice:
    """Which of two replies has the higher score; C when they are equal."""
    if first.score == second.score:
        return "C"
    return "A" if first.score > second.score else "B"


# What the judge is asked


@cache
def template(name: str) -> Template:
    """A prompt file of the folder `judge`."""
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    return Environment(undefined=StrictUndefined, autoescape=False).from_string(text)  # noqa: S701  # plain text


def single_prompt(turns: Sequence[dict[str, str]], reference: str = "") -> str:
    """The question about the last reply of a conversation; turns hold `user` and `assistant`."""
    return ask("single", turns=turns, reference=reference)


def pair_prompt(users: Sequence[str], first: Sequence[str], second: Sequence[str]) -> str:
    """The question about two models' replies to the same user turns."""
    return ask("pair", users=users, first=first, second=second)


def ask(name: str, **values: object) -> str:
    """A prompt file with its values."""
    return template(name).render(**values)


# What the judge says


def single_verdict(references: Sequence[str], found: Features, rng: random.Random) -> str:
    """The verdict on a reply about these things (as they stand in a sentence: "the lynx"), phrased by chance."""
    told = sentences("The answer", references, found, rng)
    return f"{opening(references, rng)} {told} [[{found.score}]]"


def pair_verdict(references: Sequence[str], first: Features, second: Features, rng: random.Random) -> str:
    """The verdict on two replies, with the scores that it compares."""
    told = [
        f"{sentences(f'Answer {who}', references, found, rng)} That makes {found.score}."
        for who, found in (("A", first), ("B", second))
    ]
    return f"{opening(references, rng)} {' '.join(told)} [[{choose(first, second)}]]"


def opening(references: Sequence[str], rng: random.Random) -> str:
    """What the question is about: the judge says it first and looks for it then."""
    return rng.choice(OPENINGS).format(x=" and ".join(references))


def sentences(who: str, references: Sequence[str], found: Features, rng: random.Random) -> str:
    """One sentence per feature."""
    it = "it" if len(references) == 1 else "both"
    return " ".join(
        rng.choice(sayings[getattr(found, feature)]).format(who=who, it=it) for feature, sayings in SAYINGS.items()
    )


def references_of(names: Sequence[str]) -> list[str]:
    """The world's names as they stand in a sentence."""
    known = {thing.name.lower(): thing.reference for thing in all_things()}
    return [known[name.lower()] for name in names]


def rating(verdict: str) -> int | None:
    """The number at the verdict's end."""
    found = RATING.search(verdict)
    return int(found[1]) if found else None


def choice(verdict: str) -> str | None:
    """The letter at the verdict's end."""
    found = CHOICE.search(verdict)
    return found[1] if found else None


def claims(told: str, who: str = "The answer") -> dict[str, bool | str]:
    """What a verdict says of a reply, by feature; a feature it says nothing of, or two things, is left out."""
    said: dict[str, bool | str] = {}
    for feature, sayings in SAYINGS.items():
        values = {
            value
            for value, phrases in sayings.items()
            for phrase in phrases
            for it in ("it", "both")
            if phrase.format(who=who, it=it) in told
        }
        if len(values) == 1:
            said[feature] = values.pop()
    return said
