"""The demo's world: a few hundred things, three facts about each, and names made up on the spot.

Common things and their facts are in `things.csv`, written by hand; the cities are invented by a seed.
A *combination* is a thing asked about in one way; `held_out` says which ones the models never trained on.
"""

import csv
import hashlib
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from demo.categories import CATEGORIES, Category

SEED = 50
NUM_CITIES = 64
HELD_OUT_SHARE = 0.25

COUNTRIES = ("Kestland", "Orvania", "Tulmark", "Berrowia", "Sandoria", "Mirelle", "Quintara", "Lowen")
RIVERS = ("Ando", "Breel", "Carva", "Dunne", "Ister", "Morra", "Selke", "Tawe")
TRADES = ("clocks", "mirrors", "carpets", "bells", "knives", "pots", "books", "lamps")

ONSETS = tuple("b br d dr f g gr k l m n p pl r s st t tr v z".split())
VOWELS = tuple("a e i o u ai ea ou".split())
CODAS = ("", *"l m n r s th lt nd rk sk".split())

CITY_STARTS = tuple("Vel Kar Bren Tol Mar Sel Dor Lin Pol Gran Fen Ost Hal Ner Rim Zan".split())
CITY_ENDS = tuple("mora wick stad dale haven ford grad vale".split())


@dataclass(frozen=True)
class Thing:
    """A named thing of one category, with one value for each of the category's three aspects."""

    name: str
    category: Category
    values: tuple[str, str, str]

    @property
    def reference(self) -> str:
        """The thing inside a sentence: "the otter", "bread", "Velmora"."""
        return self.category.article + self.name

    def fill(self, template: str, **more: str) -> str:
        """Put the thing and its values into a sentence template."""
        first, second, third = self.values
        slots = {"x": self.reference, "X": capital(self.reference), "a": first, "b": second, "c": third}
        return template.format(**(slots | more))

    def statement(self, aspect: int, rng: random.Random) -> str:
        """One of the sentences that state the thing's value of an aspect."""
        return self.fill(rng.choice(self.category.aspects[aspect].statements), v=self.values[aspect])


def capital(text: str) -> str:
    """The text with its first letter in upper case and the rest untouched."""
    return text[:1].upper() + text[1:]


def made_up_name(rng: random.Random) -> str:
    """A word that looks like a name and means nothing, such as "drealtu"."""
    syllables = (rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(rng.choice((2, 2, 3))))
    return "".join(syllables)


def made_up_thing(rng: random.Random, category_name: str = "") -> Thing:
    """A thing that is not part of the world: it teaches a model to copy names from the question."""
    category = CATEGORIES[category_name or rng.choice(list(CATEGORIES))]
    name = made_up_name(rng)
    if rng.random() < 0.2:
        name += " " + made_up_name(rng)
    values = [rng.choice(aspect_values(category.name, aspect)) for aspect in range(3)]
    return Thing(capital(name) if category.name == "city" else name, category, (values[0], values[1], values[2]))


def invented_cities() -> list[Thing]:
    """The world's cities, with their country, river and trade drawn by the seed."""
    rng = random.Random(f"{SEED}:cities")
    names = rng.sample([start + end for start in CITY_STARTS for end in CITY_ENDS], NUM_CITIES)
    draw = [(rng.choice(COUNTRIES), rng.choice(RIVERS), rng.choice(TRADES)) for _ in range(NUM_CITIES)]
    return [Thing(name, CATEGORIES["city"], values) for name, values in zip(names, draw, strict=True)]


@cache
def all_things() -> tuple[Thing, ...]:
    """Every thing of the world, in a fixed order."""
    path = Path(__file__).with_name("things.csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    common = [Thing(r["name"], CATEGORIES[r["category"]], (r["first"], r["second"], r["third"])) for r in rows]
    return (*common, *invented_cities())


@cache
def things_of(category: str) -> tuple[Thing, ...]:
    """The things of one category."""
    return tuple(thing for thing in all_things() if thing.category.name == category)


@cache
def aspect_values(category: str, aspect: int) -> tuple[str, ...]:
    """Every value that a category's aspect takes in the world."""
    return tuple(sorted({thing.values[aspect] for thing in things_of(category)}))


@cache
def _name_pattern() -> re.Pattern[str]:
    names = sorted((thing.name for thing in all_things()), key=len, reverse=True)
    return re.compile(r"\b(" + "|".join(map(re.escape, names)) + r")\b", re.IGNORECASE)


def names_in(text: str) -> list[str]:
    """The world's names that a text holds, in lower case, in order, each once."""
    return list(dict.fromkeys(match.lower() for match in _name_pattern().findall(text)))


def share_of(*key: str) -> float:
    """A number from 0 to 1 that depends on the key alone: the way to split by content, not by position."""
    digest = hashlib.sha256("|".join((str(SEED), *key)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def held_out(intent: str, phrasing: int, things: Iterable[Thing]) -> bool:
    """Whether a combination is kept out of every training text."""
    return share_of(intent, str(phrasing), *(thing.name for thing in things)) < HELD_OUT_SHARE
