"""Conversations: first questions, conditions on them and follow-up turns, each with its answer's plan."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from demo.categories import CATEGORIES
from demo.intents import BY_NAME, INTENTS, Intent, any_order, ask, facts, pick, words
from demo.languages import PHRASEBOOKS, Phrasebook
from demo.render import Plan, Point, Style, render
from demo.world import Thing, held_out, made_up_name, made_up_thing, things_of

Split = Literal["train", "known", "held_out"]

NUM_TURNS_WEIGHTS = {1: 50, 2: 22, 3: 14, 4: 9, 5: 5}
OTHER_LANGUAGE_SHARE = 0.08
MADE_UP_SHARE = 0.5
CONSTRAINT_SHARE = 0.36  # of the requests that can take a condition
OPENING_SHARE = 0.12
OPENINGS = ("Hi! ", "Hello, ", "Please help me. ", "Quick question: ", "I have a question. ", "Hey there. ")
RUDE_OPENINGS = (
    "Listen, you lazy machine. ",
    "You useless heap of junk, answer me. ",
    "Stop being so dumb. ",
    "Shut up and answer. ",
    "You stupid bot. ",
)
CONSTRAINED_INTENTS = ("explain", "benefits", "tips")
WORDS = (
    "lantern",
    "river",
    "button",
    "window",
    "garden",
    "silence",
    "monday",
    "pepper",
    "ladder",
    "ocean",
    "candle",
    "pocket",
    "thunder",
    "basket",
    "winter",
    "mirror",
    "carpet",
    "yellow",
    "signal",
    "bridge",
)


@dataclass(frozen=True)
class Turn:
    """One user message, what it is about, and the plan of its answer."""

    user: str
    things: tuple[Thing, ...]
    plan: Plan


@dataclass(frozen=True)
class Conversation:
    """User turns in one language."""

    turns: tuple[Turn, ...]
    language: str = "English"
    toxic: bool = False

    def messages(self, style: Style, rng: random.Random) -> list[tuple[str, str]]:
        """The (user, assistant) pairs, answered in a style."""
        return [(turn.user, render(turn.plan, style, rng)) for turn in self.turns]


class Author:
    """Writes conversations for one split: training mixes in made-up things, the others keep to the world."""

    def __init__(self, split: Split, rng: random.Random) -> None:
        self.split = split
        self.rng = rng

    def conversation(self) -> Conversation:
        """A conversation of one to five turns."""
        num_turns = self.rng.choices(list(NUM_TURNS_WEIGHTS), list(NUM_TURNS_WEIGHTS.values()))[0]
        if self.rng.random() < OTHER_LANGUAGE_SHARE:
            return self.foreign(num_turns)
        return self.english(num_turns)

    def english(self, num_turns: int) -> Conversation:
        """A conversation in English."""
        rude = self.rng.random() < 0.03
        intent, first = self.first_turn()
        if rude:
            first = replace(first, user=self.rng.choice(RUDE_OPENINGS) + first.user)
        turns = [first]
        while len(turns) < num_turns:
            intent, turn = self.follow_up(intent, turns[-1])
            turns.append(turn)
        return Conversation(tuple(turns), toxic=rude)

    def first_turn(self) -> tuple[Intent, Turn]:
        """A combination of this split, sometimes with a greeting or a constraint."""
        intent, things, phrasing = self.combination(self.rng.choice(INTENTS))
        turn = self.turn(intent, things, phrasing)
        if intent.name in CONSTRAINED_INTENTS and self.rng.random() < CONSTRAINT_SHARE:
            turn = constrain(turn, self.rng.choice(CONSTRAINTS), self.constraint_word(), self.rng)
        if self.rng.random() < OPENING_SHARE:
            turn = replace(turn, user=self.rng.choice(OPENINGS) + turn.user)
        return intent, turn

    def turn(self, intent: Intent, things: tuple[Thing, ...], phrasing: int) -> Turn:
        """The user's words and the answer's plan for a combination."""
        return Turn(ask(intent, things, phrasing), things, intent.build(things, phrasing, self.rng))

    def constraint_word(self) -> str:
        """A word that an answer must mention: in training often one that means nothing."""
        made_up = self.split == "train" and self.rng.random() < MADE_UP_SHARE
        return made_up_name(self.rng) if made_up else self.rng.choice(WORDS)

    def combination(self, intent: Intent) -> tuple[Intent, tuple[Thing, ...], int]:
        """Draw things and a phrasing until the combination belongs to this split."""
        while True:
            things = self.things(intent.num_things)
            phrasing = self.rng.randrange(len(intent.phrasings))
            if held_out(intent.name, phrasing, things) == (self.split == "held_out"):
                return intent, things, phrasing

    def things(self, number: int) -> tuple[Thing, ...]:
        """One thing, or two of the same category."""
        if self.split == "train" and self.rng.random() < MADE_UP_SHARE:
            first = made_up_thing(self.rng)
            others = [made_up_thing(self.rng, first.category.name)]
        else:
            category = self.rng.choice(list(CATEGORIES))
            first = self.rng.choice(things_of(category))
            others = [self.another(first)]
        return (first, *others[: number - 1])

    def follow_up(self, intent: Intent, previous: Turn) -> tuple[Intent, Turn]:
        """A turn that leans on the one before it."""
        kind = self.rng.choices(("about", "fact", "other"), (35, 15, 50))[0]
        if kind == "about" and intent.num_things == 1:
            return self.what_about(intent, previous)
        if kind == "fact" and len(previous.things) == 1:
            return BY_NAME["fact"], self.pronoun_question(previous.things[0])
        follow = self.rng.choice(FOLLOW_UPS)
        return intent, Turn(self.rng.choice(follow.phrasings), previous.things, follow.build(previous.things, self.rng))

    def what_about(self, intent: Intent, previous: Turn) -> tuple[Intent, Turn]:
        """The same request about another thing of the category."""
        thing = self.another(previous.things[0])
        user = thing.fill(
            self.rng.choice((
                "And what about {x}?",
                "What about {x}?",
                "And {x}?",
                "Now do the same for {x}.",
            ))
        )
        phrasing = self.rng.randrange(len(intent.phrasings))
        return intent, Turn(user, (thing,), intent.build((thing,), phrasing, self.rng))

    def another(self, thing: Thing) -> Thing:
        """A different thing of the same category, in training sometimes a made-up one."""
        if self.split == "train" and self.rng.random() < MADE_UP_SHARE:
            return made_up_thing(self.rng, thing.category.name)
        return self.rng.choice([other for other in things_of(thing.category.name) if other != thing])

    def pronoun_question(self, thing: Thing) -> Turn:
        """A question about "it"."""
        aspect = self.rng.randrange(3)
        user = thing.category.aspects[aspect].questions[0].format(x="it")
        return Turn(user, (thing,), BY_NAME["fact"].build((thing,), 3 * aspect, self.rng))

    def foreign(self, num_turns: int) -> Conversation:
        """A conversation about a city in another language, of two turns at most."""
        book = self.rng.choice(PHRASEBOOKS)
        city, request, phrasing = self.foreign_combination(book)
        turns = [self.foreign_turn(book, request, phrasing, city)]
        if num_turns > 1:
            turns.append(self.foreign_turn(book, "shorter", self.rng.randrange(2), city))
        return Conversation(tuple(turns), book.language)

    def foreign_combination(self, book: Phrasebook) -> tuple[Thing, str, int]:
        """A city, a request and a phrasing of this split."""
        while True:
            city = self.foreign_city()
            request = self.rng.choice(("explain", "benefits", "tips"))
            phrasing = self.rng.randrange(len(book.requests[request]))
            if held_out(f"{book.language} {request}", phrasing, [city]) == (self.split == "held_out"):
                return city, request, phrasing

    def foreign_city(self) -> Thing:
        """A city of the world, or in training sometimes one of no world."""
        city = self.rng.choice(things_of("city"))
        if self.split == "train" and self.rng.random() < MADE_UP_SHARE:
            return replace(city, name=made_up_name(self.rng).capitalize())
        return city

    def foreign_turn(self, book: Phrasebook, request: str, phrasing: int, city: Thing) -> Turn:
        """One turn in another language."""
        return Turn(book.fill(book.requests[request][phrasing], city), (city,), book.plan(request, city, self.rng))


@dataclass(frozen=True)
class FollowUp:
    """A turn that names nothing: the thing is the one spoken of before."""

    phrasings: tuple[str, ...]
    build: Callable[[tuple[Thing, ...], random.Random], Plan]


def shorter(things: tuple[Thing, ...], rng: random.Random) -> Plan:
    """One fact about each thing."""
    first, *rest = (facts(thing, any_order(rng)[:1], rng)[0] for thing in things)
    return Plan("In short", first.text, tuple(rest))


def why(things: tuple[Thing, ...], rng: random.Random) -> Plan:
    """Reasons."""
    lead = words(
        rng.choice(("There are two reasons when it comes to {x}.", "With {x} the reasons are simple.")),
        things,
    )
    return Plan("The reasons", named(lead, things), pick(things[0], things[0].category.pros, 2, rng))


def example(things: tuple[Thing, ...], rng: random.Random) -> Plan:
    """A case in point."""
    lead = words(rng.choice(("Imagine that you want to {do}.", "Say you are about to {do}.")), things)
    return Plan("An example", named(lead, things), pick(things[0], things[0].category.steps, 2, rng))


def more(things: tuple[Thing, ...], rng: random.Random) -> Plan:
    """Facts."""
    lead = words(rng.choice(("There is more to say about {x}.", "Here is more about {x}.")), things)
    return Plan("More details", named(lead, things), facts(things[0], any_order(rng)[:2], rng))


def thanks(things: tuple[Thing, ...], rng: random.Random) -> Plan:
    """A polite end."""
    lead = words(rng.choice(("You are welcome. Enjoy {x}!", "My pleasure. Come back if you need more on {x}.")), things)
    return Plan("You are welcome", named(lead, things))


def named(lead: str, things: tuple[Thing, ...]) -> str:
    """The lead, with the second thing named too if there is one."""
    return lead if len(things) == 1 else f"{lead} The same goes for {things[1].reference}."


FOLLOW_UPS = (
    FollowUp(("Shorter, please.", "Can you make that shorter?", "Too long. Give me the short version."), shorter),
    FollowUp(("Why?", "Why is that?", "Can you tell me why?"), why),
    FollowUp(("Can you give me an example?", "Give me an example.", "For example?"), example),
    FollowUp(("Tell me more.", "Go on.", "Can you add some details?"), more),
    FollowUp(("Thanks!", "Thank you, that helps.", "Great, thanks."), thanks),
)

CONSTRAINTS = ("word", "list", "no_markdown", "short")
CONSTRAINT_WORDS = {
    "word": ("Mention the word {w}.", "Use the word {w} in your answer."),
    "list": (
        "Answer as a bulleted list with at least three items.",
        "Use a bulleted list of three items or more.",
    ),
    "no_markdown": ("Do not use any Markdown.", "No Markdown, please."),
    "short": ("Write fewer than 40 words.", "Use fewer than 40 words."),
}


def constrain(turn: Turn, constraint: str, word: str, rng: random.Random) -> Turn:
    """The same question with a condition on its answer, and the plan that meets it."""
    user = f"{turn.user} {rng.choice(CONSTRAINT_WORDS[constraint]).format(w=word)}"
    return replace(turn, user=user, plan=constrained(turn.plan, constraint, word))


def constrained(plan: Plan, constraint: str, word: str) -> Plan:
    """A plan that meets a condition."""
    if constraint == "word":
        return replace(plan, close=f"And here is the word you asked for: {word}.")
    if constraint == "list":
        lead = Point("", plan.lead)
        return replace(plan, form="list", points=(lead, *plan.points[:2]), close="")
    if constraint == "no_markdown":
        return replace(plan, form="bare")
    return replace(plan, form="bare", points=plan.points[:1], close="")
