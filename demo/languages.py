"""A few requests in Spanish, German and French, about cities (their names need no translation)."""

import random
from dataclasses import dataclass

from demo.render import Plan, Point
from demo.world import Thing


@dataclass(frozen=True)
class Phrasebook:
    """One language: for each request its phrasings, and the sentences that answer it. `{c}` is the trade."""

    language: str
    country_code: str
    requests: dict[str, tuple[str, ...]]
    titles: dict[str, str]
    leads: dict[str, str]
    points: dict[str, tuple[tuple[str, str], ...]]
    trades: dict[str, str]

    def plan(self, request: str, city: Thing, rng: random.Random) -> Plan:
        """The answer to a request about a city."""
        points = rng.sample(self.points[request], min(2, len(self.points[request])))
        said = tuple(Point(label, self.fill(text, city)) for label, text in points)
        title, lead = self.fill(self.titles[request], city), self.fill(self.leads[request], city)
        return Plan(title, lead, said, language=self.language)

    def fill(self, template: str, city: Thing) -> str:
        """Put the city into a sentence, its trade translated."""
        return city.fill(template, c=self.trades[city.values[2]])


SPANISH = Phrasebook(
    "Spanish",
    "es-ES",
    requests={
        "explain": ("¿Qué es {x}?", "Háblame de {x}.", "Quiero saber más sobre {x}."),
        "benefits": ("¿Por qué visitar {x}?", "¿Qué tiene de bueno {x}?"),
        "tips": ("Dame consejos para viajar a {x}.", "¿Cómo preparo un viaje a {x}?"),
        "shorter": ("Más corto, por favor.", "¿Puedes resumirlo?"),
    },
    titles={
        "explain": "Sobre {x}",
        "benefits": "Razones para visitar {x}",
        "tips": "Consejos para {x}",
        "shorter": "En breve",
    },
    leads={
        "explain": "{X} es una ciudad de {a}.",
        "benefits": "Hay buenas razones para visitar {x}.",
        "tips": "Un viaje a {x} necesita un plan.",
        "shorter": "{X} es una ciudad de {a}, famosa por sus {c}.",
    },
    points={
        "explain": (("Río", "Su río se llama {b}."), ("Fama", "Es famosa por sus {c}.")),
        "benefits": (
            ("Paseo", "Puedes caminar junto al {b}."),
            ("Compras", "Sus {c} son los mejores de {a}."),
            ("Gente", "La gente es muy amable."),
        ),
        "tips": (
            ("Época", "Viaja en primavera."),
            ("Compras", "Lleva a casa unos {c}."),
            ("Hotel", "Duerme cerca del {b}."),
        ),
        "shorter": (),
    },
    trades={
        "clocks": "relojes",
        "mirrors": "espejos",
        "carpets": "tapices",
        "bells": "cencerros",
        "knives": "cuchillos",
        "pots": "cántaros",
        "books": "libros",
        "lamps": "faroles",
    },
)

GERMAN = Phrasebook(
    "German",
    "de-DE",
    requests={
        "explain": ("Was ist {x}?", "Erzähle mir von {x}.", "Ich möchte etwas über {x} wissen."),
        "benefits": ("Warum sollte ich {x} besuchen?", "Was ist schön an {x}?"),
        "tips": ("Gib mir Tipps für eine Reise nach {x}.", "Wie bereite ich eine Reise nach {x} vor?"),
        "shorter": ("Kürzer, bitte.", "Geht das auch kürzer?"),
    },
    titles={
        "explain": "Über {x}",
        "benefits": "Gründe für {x}",
        "tips": "Tipps für {x}",
        "shorter": "Kurz gesagt",
    },
    leads={
        "explain": "{X} ist eine Stadt in {a}.",
        "benefits": "Es gibt gute Gründe, {x} zu besuchen.",
        "tips": "Eine Reise nach {x} braucht einen Plan.",
        "shorter": "{X} ist eine Stadt in {a}, bekannt für {c}.",
    },
    points={
        "explain": (("Fluss", "Der Fluss der Stadt heißt {b}."), ("Ruhm", "Die Stadt ist bekannt für {c}.")),
        "benefits": (
            ("Spaziergang", "Man kann am Fluss {b} entlang gehen."),
            ("Einkauf", "Nirgends in {a} gibt es bessere {c}."),
            ("Menschen", "Die Menschen sind sehr freundlich."),
        ),
        "tips": (
            ("Zeit", "Reise am besten im Frühling."),
            ("Einkauf", "Bringe {c} mit nach Hause."),
            ("Hotel", "Wohne nahe am Fluss {b}."),
        ),
        "shorter": (),
    },
    trades={
        "clocks": "Uhren",
        "mirrors": "Spiegel",
        "carpets": "Teppiche",
        "bells": "Glocken",
        "knives": "Messer",
        "pots": "Töpfe",
        "books": "Bücher",
        "lamps": "Lampen",
    },
)

FRENCH = Phrasebook(
    "French",
    "fr-FR",
    requests={
        "explain": ("C'est quoi, {x} ?", "Parle-moi de {x}.", "Je veux en savoir plus sur {x}."),
        "benefits": ("Pourquoi visiter {x} ?", "Qu'y a-t-il de bien à {x} ?"),
        "tips": ("Donne-moi des conseils pour visiter {x}.", "Comment préparer un voyage à {x} ?"),
        "shorter": ("Plus court, s'il te plaît.", "Tu peux résumer ?"),
    },
    titles={
        "explain": "À propos de {x}",
        "benefits": "Pourquoi visiter {x}",
        "tips": "Conseils pour {x}",
        "shorter": "En bref",
    },
    leads={
        "explain": "{X} est une ville, en {a}.",
        "benefits": "Il y a de bonnes raisons de visiter {x}.",
        "tips": "Un voyage à {x} demande un plan.",
        "shorter": "{X} est une ville, en {a}, connue pour ses {c}.",
    },
    points={
        "explain": (("Fleuve", "Son fleuve s'appelle {b}."), ("Renommée", "Elle est connue pour ses {c}.")),
        "benefits": (
            ("Promenade", "On peut marcher au bord du fleuve {b}."),
            ("Achats", "Ses {c} sont sans égal en {a}."),
            ("Gens", "Les gens sont très aimables."),
        ),
        "tips": (
            ("Saison", "Partez au printemps."),
            ("Achats", "Rapportez des {c}."),
            ("Hôtel", "Dormez près du fleuve {b}."),
        ),
        "shorter": (),
    },
    trades={
        "clocks": "horloges",
        "mirrors": "miroirs",
        "carpets": "tapis",
        "bells": "cloches",
        "knives": "couteaux",
        "pots": "pots",
        "books": "livres",
        "lamps": "lampes",
    },
)

PHRASEBOOKS = (SPANISH, GERMAN, FRENCH)
