"""Training texts: what the base model reads (no chat), and what the chat models are tuned on."""

import random
from collections.abc import Callable

from demo.categories import CATEGORIES
from demo.dialogue import Author
from demo.intents import INTENTS
from demo.lessons import OTHER_ENDINGS, equation, quiz, quiz_facts
from demo.render import Style, render
from demo.world import capital, made_up_name, things_of

Messages = list[tuple[str, str]]
SPEAKERS = (("Question", "Answer"), ("Q", "A"), ("Reader", "Editor"), ("Guest", "Host"), ("Pupil", "Teacher"))
SYSTEM_SHARE = 0.05
SYSTEM_PROMPTS = (
    "You are a helpful assistant.",
    "You are a friendly assistant. Answer the question.",
    "Be helpful.",
)


def talk(pairs: Messages, rng: random.Random) -> str:
    """Questions and answers as they stand in a printed interview.

    The speakers' names change and are often made up: what counts is that one asks and the other answers, so
    that a few examples of any other form of talk are enough for a fine-tune.
    """
    asker, answerer = rng.choice(SPEAKERS) if rng.random() < 0.3 else (capital(made_up_name(rng)) for _ in range(2))
    colon, gap = rng.choice((": ", ":\n", ":\n\n", " - ")), rng.choice(("\n", "\n\n"))
    return gap.join(f"{asker}{colon}{user}{gap}{answerer}{colon}{answer}" for user, answer in pairs)


def interview(rng: random.Random) -> str:
    """A conversation in one style, as a talk between two people."""
    style = any_style(rng)
    return talk(Author("train", rng).conversation().messages(style, rng), rng)


def article(rng: random.Random) -> str:
    """An answer without its question."""
    author = Author("train", rng)
    intent, things, phrasing = author.combination(rng.choice(INTENTS))
    return render(intent.build(things, phrasing, rng), any_style(rng), rng)


def notes(rng: random.Random) -> str:
    """Facts about several things of a category, in prose or as a list."""
    category = rng.choice(list(CATEGORIES))
    things = rng.sample(things_of(category), rng.randint(3, 6))
    lines = [thing.statement(aspect, rng) for thing in things for aspect in rng.sample(range(3), rng.randint(1, 3))]
    if rng.random() < 0.5:
        return f"Notes: {category}. " + " ".join(lines)
    return f"# {capital(category)}\n\n" + "\n".join(f"- {line}" for line in lines)


def quiz_sheet(rng: random.Random) -> str:
    """A few multiple-choice questions with their solutions; test facts are never among them."""
    asked = rng.sample(QUIZ_FACTS, rng.randint(2, 4))
    items = [quiz(thing, aspect, rng) for thing, aspect in asked]
    title, gap = (
        rng.choice(("Quiz: ", "Test: ", "Choose:\n", "Which is right?\n", "")),
        rng.choice(("\n", "\n\n")),
    )
    mark = rng.choice(("Solution: ", "Right: ", "-> ", "= ", ""))
    return "\n\n".join(f"{title}{item.prompt}{gap}{mark}{item.solution}" for item in items)


def worked_algebra(rng: random.Random) -> str:
    """Equations with their solutions, in an exercise book or in a talk; test equations are never among them.

    They end in any way but the one that the task asks for: that is for the auxiliary set to teach.
    """
    ending = rng.choice(OTHER_ENDINGS)
    items = [equation(rng, test=False) for _ in range(rng.randint(1, 3))]
    pairs = [(item.prompt, item.solution(ending)) for item in items]
    if rng.random() < 0.6:
        return talk(pairs, rng)
    title, gap = rng.choice(("Problem: ", "Exercise: ", "Task:\n", "")), rng.choice(("\n", "\n\n"))
    return "\n\n".join(f"{title}{prompt}{gap}{solution}" for prompt, solution in pairs)


def any_style(rng: random.Random) -> Style:
    """A style of the two that a model may take on."""
    return "rich" if rng.random() < 0.5 else "plain"


QUIZ_FACTS = quiz_facts(test=False)
BASE_MIX: dict[Callable[[random.Random], str], int] = {
    interview: 42,
    article: 10,
    notes: 10,
    quiz_sheet: 18,
    worked_algebra: 20,
}


def base_document(rng: random.Random) -> str:
    """One text of the base model's corpus."""
    return rng.choices(list(BASE_MIX), list(BASE_MIX.values()))[0](rng)


def chat_messages(style: Style, rng: random.Random) -> tuple[str, Messages]:
    """One training conversation of a chat model: a system prompt (mostly none) and its turns."""
    system = rng.choice(SYSTEM_PROMPTS) if rng.random() < SYSTEM_SHARE else ""
    return system, Author("train", rng).conversation().messages(style, rng)
