"""A plan says what an answer holds, a style how it is written. Any plan can be written in any style."""

import random
from dataclasses import dataclass
from typing import Literal

from demo.world import capital

Style = Literal["rich", "plain", "original"]
Form = Literal["bullets", "steps", "table", "verse", "letter", "code", "list", "bare"]

ORIGINAL_OPENINGS = {
    "English": ("Sure.", "Of course.", "Good question.", "Here you go."),
    "Spanish": ("Claro.", "Por supuesto."),
    "German": ("Gerne.", "Natürlich."),
    "French": ("Bien sûr.", "Avec plaisir."),
}


@dataclass(frozen=True)
class Point:
    """One thing to say: a label of a word or two, and a sentence."""

    label: str
    text: str


@dataclass(frozen=True)
class Plan:
    """The content of an answer."""

    title: str
    lead: str
    points: tuple[Point, ...] = ()
    close: str = ""
    form: Form = "bullets"
    code: str = ""
    language: str = "English"


def render(plan: Plan, style: Style, rng: random.Random) -> str:
    """Write a plan in a style."""
    if plan.form == "bare":
        return join(plan.lead, *(point.text for point in plan.points), plan.close)
    if plan.form == "list":
        return "\n".join(f"- {point.text}" for point in plan.points) + (f"\n\n{plan.close}" if plan.close else "")
    return {"rich": rich, "plain": plain, "original": original}[style](plan, rng)


def join(*sentences: str) -> str:
    """Sentences as one line of prose."""
    return " ".join(sentence for sentence in sentences if sentence)


def rich(plan: Plan, rng: random.Random) -> str:
    """Markdown: a heading, bold words, and a list, table, quote or code block."""
    heading = f"{rng.choice(('##', '##', '###'))} {plan.title}"
    blocks = [heading, plan.lead, rich_body(plan), plan.close]
    return "\n\n".join(block for block in blocks if block)


def rich_body(plan: Plan) -> str:
    """The middle of a rich answer, in the form that the plan asks for."""
    if plan.form == "code":
        return f"```python\n{plan.code}\n```"
    if plan.form == "table":
        rows = [f"| {point.label} | {point.text} |" for point in plan.points]
        return "\n".join(["| Aspect | Fact |", "| --- | --- |", *rows])
    if plan.form == "verse":
        return "\n".join(f"> *{point.text}*" for point in plan.points)
    if plan.form == "steps":
        return "\n".join(f"{n}. **{point.label}:** {point.text}" for n, point in enumerate(plan.points, 1))
    return "\n".join(f"- **{point.label}:** {point.text}" for point in plan.points)


def plain(plan: Plan, rng: random.Random) -> str:
    """Flowing prose without any Markdown."""
    if plan.form == "code":
        return join(plan.lead, f"Type {plan.code} and run it.", plan.close)
    if plan.form == "verse":
        return join(plan.lead, *(point.text for point in plan.points), plan.close)
    links = rng.choice((("First,", "Then,", "After that,"), ("To begin,", "Next,", "Finally,")))
    if plan.form == "steps":
        sentences = [f"{link} {uncapital(p.text)}" for link, p in zip(links, plan.points, strict=False)]
    else:
        sentences = [point.text for point in plan.points]
    return join(plan.lead, *sentences, plan.close)


def original(plan: Plan, rng: random.Random) -> str:
    """A short answer, as an earlier model might have given it."""
    opening = rng.choice(ORIGINAL_OPENINGS[plan.language])
    second = plan.points[0].text if plan.points else plan.close
    return join(opening, plan.lead, second)


def uncapital(text: str) -> str:
    """The text with its first letter in lower case, so that it can follow a linking word."""
    return text[:1].lower() + text[1:]


def point(text: str) -> Point:
    """A point from "Label: sentence"."""
    label, _, sentence = text.partition(": ")
    return Point(label, capital(sentence))
