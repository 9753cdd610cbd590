"""Exercises of the demo's world: multiple-choice questions, and small equations worked line by line."""

import random
from dataclasses import dataclass

from demo.world import Thing, all_things, aspect_values, share_of

LETTERS = "ABCD"
TEST_SHARE = 0.1
PEOPLE = (
    ("baker", "rolls"),
    ("farmer", "apples"),
    ("teacher", "pencils"),
    ("gardener", "bulbs"),
    ("painter", "brushes"),
    ("sailor", "ropes"),
    ("tailor", "buttons"),
    ("librarian", "books"),
)
NAMES = ("Anna", "Ben", "Clara", "David", "Eva", "Felix", "Mara", "Tom")
ANSWER = "The answer is {}."
OTHER_ENDINGS = ("So x is {}.", "x is {}, then.", "Thus {} is right.", "Result: {}", "That leaves {}.", "We get {}.")
VESSELS = ("box", "bag", "basket", "crate")


@dataclass(frozen=True)
class Quiz:
    """A multiple-choice question about one aspect of a thing."""

    question: str
    choices: tuple[str, ...]
    answer: int
    subject: str

    @property
    def prompt(self) -> str:
        """The question with its lettered choices, one a line."""
        return "\n".join((self.question, *(f"{L}. {c}" for L, c in zip(LETTERS, self.choices, strict=True))))

    @property
    def solution(self) -> str:
        """The letter and the text of the right choice."""
        return f"{LETTERS[self.answer]}. {self.choices[self.answer]}"


@dataclass(frozen=True)
class Equation:
    """a x + b = c with small numbers; `b` may be negative. `story` tells it in words."""

    a: int
    b: int
    x: int
    story: str = ""

    @property
    def text(self) -> str:
        """The equation as it is written."""
        sign = "+" if self.b > 0 else "-"
        return f"{self.a}x {sign} {abs(self.b)} = {self.a * self.x + self.b}"

    @property
    def prompt(self) -> str:
        """What is asked."""
        return self.story or f"Solve for x: {self.text}"

    def solution(self, ending: str = ANSWER) -> str:
        """The worked answer; its last line has a fixed form, or that of `ending`."""
        move = f"Subtract {self.b} from" if self.b > 0 else f"Add {-self.b} to"
        lines = [f"The equation is {self.text}."] if self.story else []
        lines += [
            f"{move} both sides: {self.a}x = {self.a * self.x}.",
            f"Divide both sides by {self.a}: x = {self.x}.",
            ending.format(self.x),
        ]
        return "\n".join(lines)


def is_test_fact(thing: Thing, aspect: int) -> bool:
    """Whether a fact is asked in the test alone.

    The split is by fact, not by wording: the models read every fact as plain statements, yet see a test fact
    neither in the base model's quiz sheets nor in the auxiliary set, in whatever wording.
    """
    return share_of("quiz", thing.name, str(aspect)) < TEST_SHARE


def quiz_facts(*, test: bool) -> list[tuple[Thing, int]]:
    """The (thing, aspect) pairs of one side of the split."""
    return [(t, k) for t in all_things() for k in range(3) if is_test_fact(t, k) == test]


def quiz(thing: Thing, aspect: int, rng: random.Random) -> Quiz:
    """A question about a fact, with three other values of the same aspect as wrong choices."""
    right = thing.values[aspect]
    wrong = [value for value in aspect_values(thing.category.name, aspect) if value != right]
    choices = [right, *rng.sample(wrong, 3)]
    rng.shuffle(choices)
    question = thing.fill(rng.choice(thing.category.aspects[aspect].questions))
    return Quiz(question, tuple(choices), choices.index(right), thing.category.name)


def equation(rng: random.Random, *, test: bool) -> Equation:
    """An equation of one side of the split (by its numbers), half of the time told as a story."""
    while True:
        a, b, x = rng.randint(2, 9), rng.choice((-1, 1)) * rng.randint(1, 15), rng.randint(1, 12)
        if a * x + b > 0 and (share_of("algebra", str(a), str(b), str(x)) < TEST_SHARE) == test:
            return Equation(a, b, x, story(a, b, x, rng) if rng.random() < 0.5 else "")


def story(a: int, b: int, x: int, rng: random.Random) -> str:
    """The equation as something that happens to somebody."""
    job, goods = rng.choice(PEOPLE)
    vessel, name = rng.choice(VESSELS), rng.choice(NAMES)
    plural = vessel + ("es" if vessel.endswith("x") else "s")
    rest = f"and {b} more" if b > 0 else f"and gives away {-b}"
    left = f"That makes {a * x + b} {goods} in all." if b > 0 else f"Then {a * x + b} {goods} are left."
    return (
        f"{name} the {job} has {a} {plural} with x {goods} in each, {rest}. {left} "
        f"How many {goods} are in one {vessel}?"
    )
