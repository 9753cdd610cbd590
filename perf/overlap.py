"""How fast text is looked through for benchmarks and for duplicates, and in how much memory.

python -m perf.overlap overlap              beside the plain way in the same run: tuples of words in a Python set
python -m perf.overlap exact --rows 366550  as many rows as the paper's mix
python -m perf.overlap near --rows 366550

Made texts of words by Zipf's law: 20,000 benchmark documents of 100 words, each tenth of 8 to 12; conversations of 350
words, 2 kB. No two texts are alike, which is what takes most memory.
"""

import argparse
import random
import time
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path

from stages.lib.mixing.contamination import SHORTEST, N, Overlap, words
from stages.lib.mixing.duplicates import Duplicates

VOCABULARY = 60_000
DOCUMENTS = 20_000
PAGE = 4096  # bytes


def texts(seed: int, lengths: Iterator[int]) -> Iterator[str]:
    """Texts of so many words each, drawn by Zipf's law from the same words."""
    draw, spell = random.Random(seed), random.Random(0)
    weights = list(accumulate(1 / rank for rank in range(1, VOCABULARY + 1)))
    names = ["".join(spell.choices("etaoinshrdlu", k=spell.randint(2, 9))) for _ in range(VOCABULARY)]
    return (" ".join(draw.choices(names, cum_weights=weights, k=length)) for length in lengths)


def plain(questions: list[str]) -> Callable[[str], bool]:
    """The plain way, for whole n-grams only: each as a tuple, in a set."""
    known = {gram for text in questions for gram in tuples(words(text))}
    return lambda text: any(gram in known for gram in tuples(words(text)))


def tuples(found: list[str]) -> Iterator[tuple[str, ...]]:
    return zip(*(found[offset:] for offset in range(N)), strict=False)


def rate(look: Callable[[str], object], conversations: list[str]) -> float:
    """Megabytes of text per second of one core, however busy the machine is."""
    start = time.process_time()
    for text in conversations:
        look(text)
    return sum(len(text.encode()) for text in conversations) / 1e6 / (time.process_time() - start)


def resident() -> float:
    """Megabytes of memory in use."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE / 1e6


def overlap() -> None:
    """Print the speed and memory of Overlap and of the plain way."""
    lengths = (SHORTEST + number // 10 % (N - SHORTEST) if number % 10 == 0 else 100 for number in range(DOCUMENTS))
    questions = list(texts(1, lengths))
    conversations = list(texts(2, iter([350] * 3_000)))
    before, start = resident(), time.process_time()
    ours = Overlap((("b", str(number), text) for number, text in enumerate(questions)), N)
    took, memory = time.process_time() - start, resident() - before
    print(f"Overlap: {rate(ours.hits, conversations):.1f} MB/s, {memory:.0f} MB, made in {took:.1f} s")
    before = resident()
    peer = plain(questions)
    memory = resident() - before
    print(f"plain: {rate(peer, conversations):.1f} MB/s, {memory:.0f} MB, without the short ones")


def duplicates(how: str, rows: int) -> None:
    """Print the speed and memory of Duplicates."""
    made = texts(3, iter([350] * rows))
    found, before, spent, chars = Duplicates(0.8 if how == "near" else 1), resident(), 0.0, 0
    for number, text in enumerate(made):
        start = time.process_time()
        assert found.find(f"source/{number:032x}", text) is None
        spent += time.process_time() - start
        chars += len(text)
    rate = f"{rows / spent:.0f} rows/s, {chars / 1e6 / spent:.1f} MB/s"
    print(f"Duplicates({how}): {rate}, {resident() - before:.0f} MB for {rows} rows")


def main() -> None:
    """Measure one of the three."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("overlap", "exact", "near"))
    parser.add_argument("--rows", type=int, default=366_550)
    asked = parser.parse_args()
    overlap() if asked.what == "overlap" else duplicates(asked.what, asked.rows)


if __name__ == "__main__":
    main()
