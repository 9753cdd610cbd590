"""Random texts of few words, for scores of replies."""

import random

WORDS = (
    "the a of cat cats sat sitting run running big large film movie picture Film, été 猫 мир 😀 x1 I'm U.S. ﬁ".split()
)


def random_texts(count: int) -> list[str]:
    """Short and long ones, some empty, of few words that repeat."""
    draw = random.Random(5)
    sizes = [0, 1, 2, 5, 20, 80]
    return [draw.choice([" ", "\n", ", "]).join(draw.choices(WORDS, k=draw.choice(sizes))) for _ in range(count)]
