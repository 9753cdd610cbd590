"""What users of the demo ask for: every intent has its phrasings and a builder of the answer's plan."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from demo.render import Plan, Point, point, uncapital
from demo.world import Thing, capital

Builder = Callable[[tuple[Thing, ...], int, random.Random], Plan]


@dataclass(frozen=True)
class Intent:
    """A kind of request about one thing or two. `phrasings` use {x}, {X}, {y} and {do} (the activity)."""

    name: str
    phrasings: tuple[str, ...]
    build: Builder
    num_things: int = 1

    def ask(self, things: tuple[Thing, ...], phrasing: int) -> str:
        """The user's words."""
        return words(self.phrasings[phrasing], things)


def words(template: str, things: tuple[Thing, ...]) -> str:
    """Fill a template about one thing or two."""
    thing, other = things[0], things[-1]
    do = thing.fill(thing.category.activity)
    return thing.fill(template, y=other.reference, Y=capital(other.reference), do=do, Do=capital(do))


def pick(thing: Thing, texts: tuple[str, ...], number: int, rng: random.Random) -> tuple[Point, ...]:
    """Some of a category's sentences, filled in, in their own order."""
    chosen = sorted(rng.sample(range(len(texts)), number))
    return tuple(point(thing.fill(texts[index])) for index in chosen)


def facts(thing: Thing, order: list[int], rng: random.Random) -> tuple[Point, ...]:
    """The thing's facts as points, in the order given."""
    return tuple(Point(thing.category.aspects[k].label, thing.statement(k, rng)) for k in order)


def any_order(rng: random.Random) -> list[int]:
    """The three aspects, shuffled."""
    return rng.sample(range(3), 3)


def kind(thing: Thing) -> str:
    """The thing's category with its article: "an animal"."""
    name = thing.category.name
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def closing(things: tuple[Thing, ...], rng: random.Random) -> str:
    """A last sentence, or none."""
    return words(rng.choice(CLOSINGS), things)


CLOSINGS = (
    "",
    "",
    "Ask me if you want more.",
    "I hope this helps with {x}.",
    "That is {x} in short.",
    "Enjoy it!",
)


def explain(things: tuple[Thing, ...], phrasing: int, rng: random.Random) -> Plan:
    """What a thing is, with its facts."""
    lead = things[0].fill(
        rng.choice(("{X} is {kind} that many people know.", "Let me tell you about {x}, {kind}.")),
        kind=kind(things[0]),
    )
    title = words(rng.choice(("About {x}", "Understanding {x}", "{X}")), things)
    return Plan(title, lead, facts(things[0], any_order(rng), rng), closing(things, rng))


def benefits(things: tuple[Thing, ...], phrasing: int, rng: random.Random) -> Plan:
    """What speaks for a thing."""
    title = words(rng.choice(("Benefits of {x}", "The good sides of {x}")), things)
    lead = words(rng.choice(("{X} has several benefits.", "There are good reasons to value {x}.")), things)
    return Plan(title, lead, pick(things[0], things[0].category.pros, 3, rng), closing(things, rng))


def compare(things: tuple[Thing, ...], phrasing: int, rng: random.Random) -> Plan:
    """One difference between two things of a category, and a verdict."""
    order = any_order(rng)[:1]
    points = tuple(replace(facts(t, order, rng)[0], label=capital(t.name)) for t in things)
    lead = words(rng.choice(("Both {x} and {y} have their place.", "Let us look at {x} and {y}.")), things)
    close = words(rng.choice(("Choose what suits you.", "Neither is better for everyone.")), things)
    return Plan(words("{X} and {y}", things), lead, points, close)


def steps(things: tuple[Thing, ...], phrasing: int, rng: random.Random) -> Plan:
    """How to do what people do with the thing."""
    title = words(rng.choice(("How to {do}", "{Do}: the steps")), things)
    lead = words(rng.choice(("It is easy to {do}.", "Here is how to {do}.")), things)
    return Plan(title, lead, pick(things[0], things[0].category.steps, 3, rng), closing(things, rng), "steps")


def tips(things: tuple[Thing, ...], phrasing: int, rng: random.Random) -> Plan:
    """Advice."""
    title = words(rng.choice(("Tips for {x}", "Good advice on {x}")), things)
    lead = words(rng.choice(("These tips help you to {do}.", "A few things help when you {do}.")), things)
    return Plan(title, lead, pick(things[0], things[0].category.tips, 3, rng), closing(things, rng))


def pros_and_cons(things: tuple[Thing, ...], phrasing: int, rng: random.Random) -> Plan:
    """Two good sides and a bad one."""
    thing = things[0]
    good = pick(thing, thing.category.pros, 2, rng)
    bad = Point("But", "On the other hand, " + uncapital(pick(thing, thing.category.cons, 1, rng)[0].text))
    lead = words(rng.choice(("{X} has good and bad sides.", "There are two sides to {x}.")), things)
    return Plan(words("Pros and cons of {x}", things), lead, (*good, bad), closing(things, rng))


STORIES = (
    (
        "One morning Mara went out to {do}.",
        "It did not go well at first.",
        "An old man showed her how.",
        "She never forgot it.",
    ),
    (
        "Long ago nobody knew {x}.",
        "Then a child called Tom came upon it.",
        "He told the whole village.",
        "Soon all wanted to {do}.",
    ),
    (
        "Nora dreamed of {x} every night.",
        "One day she packed her bag.",
        "The road was long and wet.",
        "At last her dream came true.",
    ),
)
POEMS = (
    (
        "I think of {x} at night,",
        "and wait for morning light.",
        "The wind is cold, the stars are near,",
        "and all I love is here.",
    ),
    (
        "O {x}, so fine and fair,",
        "your song is in the air.",
        "The day is long, the hills are blue,",
        "and I come home to you.",
    ),
)


def story(things: tuple[Thing, ...], phrasing: int, rng: random.Random) -> Plan:
    """A story in four sentences."""
    first, *rest = (words(line, things) for line in rng.choice(STORIES))
    points = tuple(Point(label, text) for label, text in zip(("Start", "Turn", "End"), rest, strict=True))
    return Plan(words(rng.choice(("A story of {x}", "The tale of {x}")), things), first, points)


def poem(things: tuple[Thing, ...], phrasing: int, rng: random.Random) -> Plan:
    """Four lines of verse."""
    lines = tuple(Point("", words(line, things)) for line in rng.choice(POEMS))
    return Plan(words("A poem on {x}", things), words("Here is a poem about {x}.", things), lines, form="verse")


def email(things: tuple[Thing, ...], phrasing: int, rng: random.Random) -> Plan:
    """A short message to a friend."""
    friend = rng.choice(("Anna", "Ben", "Clara", "David", "Eva"))
    lead = words(f"Dear {friend}, I want to tell you about {{x}}.", things)
    return Plan(words("Email about {x}", things), lead, facts(things[0], any_order(rng)[:2], rng), "Best wishes, Sam")


def fact(things: tuple[Thing, ...], phrasing: int, rng: random.Random) -> Plan:
    """The answer to a question about one aspect, and one fact more. The phrasing counts over all aspects."""
    thing, asked = things[0], phrasing // 3
    other = rng.choice([k for k in range(3) if k != asked])
    title = f"{thing.category.aspects[asked].label} of {thing.reference}"
    more = facts(thing, [other], rng)
    return Plan(title, thing.statement(asked, rng), more, rng.choice(("", "", "I am glad you asked.")))


def summary(things: tuple[Thing, ...], phrasing: int, rng: random.Random) -> Plan:
    """The facts with nothing around them."""
    lead = things[0].fill("In short, {x} is {kind}.", kind=kind(things[0]))
    return Plan(words("Summary of {x}", things), lead, facts(things[0], any_order(rng)[:2], rng))


def table(things: tuple[Thing, ...], phrasing: int, rng: random.Random) -> Plan:
    """The facts as a table, where the style has tables."""
    lead = words("Here are the main facts about {x}.", things)
    return Plan(words("{X} at a glance", things), lead, facts(things[0], [0, 1, 2], rng), form="table")


def code(things: tuple[Thing, ...], phrasing: int, rng: random.Random) -> Plan:
    """A line of Python."""
    line = f'print("{things[0].name}")'
    lead = words("This line of Python prints the name of {x}.", things)
    return Plan(words("Code for {x}", things), lead, form="code", code=line, close="You can change the text.")


INTENTS = (
    Intent(
        "explain",
        (
            "What is {x}?",
            "Explain {x} to me.",
            "Tell me about {x}.",
            "Can you describe {x}?",
            "I want to learn about {x}.",
            "Give me an overview of {x}.",
        ),
        explain,
    ),
    Intent(
        "benefits",
        (
            "What are the benefits of {x}?",
            "List the benefits of {x}.",
            "What is good about {x}?",
            "Why do people like {x}?",
            "Name some advantages of {x}.",
        ),
        benefits,
    ),
    Intent(
        "compare",
        (
            "Compare {x} and {y}.",
            "What is the difference between {x} and {y}?",
            "{X} or {y}: which one is better?",
            "How do {x} and {y} differ?",
        ),
        compare,
        num_things=2,
    ),
    Intent(
        "steps",
        (
            "How do I {do}?",
            "Show me step by step how to {do}.",
            "I want to {do}. Where do I start?",
            "How can a beginner {do}?",
            "Write instructions on how to {do}.",
        ),
        steps,
    ),
    Intent(
        "tips",
        (
            "Give me some tips to {do}.",
            "What should I know before I {do}?",
            "Any advice on {x}?",
            "I plan to {do}. Do you have any tips?",
        ),
        tips,
    ),
    Intent(
        "pros_and_cons",
        (
            "What are the pros and cons of {x}?",
            "List good and bad sides of {x}.",
            "What speaks for and against {x}?",
        ),
        pros_and_cons,
    ),
    Intent(
        "story",
        (
            "Write a short story about {x}.",
            "Tell me a story with {x} in it.",
            "Make up a little tale about {x}.",
        ),
        story,
    ),
    Intent("poem", ("Write a poem about {x}.", "Compose a short poem on {x}.", "Can you rhyme about {x}?"), poem),
    Intent(
        "email",
        (
            "Write an email to a friend about {x}.",
            "Draft a short message about {x}.",
            "Help me write a letter about {x}.",
        ),
        email,
    ),
    Intent(
        "summary",
        ("Summarize {x} in a few words.", "Give me a summary of {x}.", "{X} in two sentences, please."),
        summary,
    ),
    Intent(
        "table",
        (
            "Make a table about {x}.",
            "Put the facts about {x} in a table.",
            "{X}: give me an overview as a table.",
        ),
        table,
    ),
    Intent("code", ("Write Python code that prints the name of {x}.", "Show me a line of Python for {x}."), code),
    Intent("fact", tuple(f"{{question {n}}}" for n in range(9)), fact),
)
BY_NAME = {intent.name: intent for intent in INTENTS}


def ask(intent: Intent, things: tuple[Thing, ...], phrasing: int) -> str:
    """The user's words for a combination; the questions of `fact` belong to the thing's category."""
    if intent.name == "fact":
        return things[0].fill(things[0].category.aspects[phrasing // 3].questions[phrasing % 3])
    return intent.ask(things, phrasing)
