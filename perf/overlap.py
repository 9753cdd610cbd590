"""Measure the speed and memory of the search for benchmark texts and for duplicates.

python -m perf.overlap overlap              beside a naive index in the same run: tuples of words in a Python set
python -m perf.overlap exact --rows 366550  as many rows as the paper's mix
python -m perf.overlap near --rows 366550

The texts are generated, with words by Zipf's law: 20,000 benchmark documents of 100 words, each tenth of 8 to 12;
conversations of 350 words, 2 kB. No two texts are alike, which takes the most memory.
"""

import argparse
import random
import time
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path

from stages.lib.mixing.contamination import MIN_WORDS, NGRAM_WORDS, NgramIndex
from stages.lib.mixing.duplicates import Duplicates, take_fingerprint
from stages.lib.mixing.words import split_words

VOCABULARY = 60_000
DOCUMENTS = 20_000
PAGE = 4096  # bytes


def generate_texts(seed: int, lengths: Iterator[int]) -> Iterator[str]:
    """Yield a text of each length in words, drawn by Zipf's law from one vocabulary."""
    draw = random.Random(seed)
    spell = random.Random(0)
    weights = list(accumulate(1 / rank for rank in range(1, VOCABULARY + 1)))
    vocabulary = ["".join(spell.choices("etaoinshrdlu", k=spell.randint(2, 9))) for _ in range(VOCABULARY)]
    return (" ".join(draw.choices(vocabulary, cum_weights=weights, k=length)) for length in lengths)


def naive_index(questions: list[str]) -> Callable[[str], bool]:
    """Index whole n-grams only, each as a tuple in a set; return a function that looks a text up."""
    known = {ngram for text in questions for ngram in ngrams(split_words(text))}
    return lambda text: any(ngram in known for ngram in ngrams(split_words(text)))


def ngrams(words: list[str]) -> Iterator[tuple[str, ...]]:
    """Yield the n-grams of a list of words."""
    return zip(*(words[offset:] for offset in range(NGRAM_WORDS)), strict=False)


def measure_rate(search: Callable[[str], object], conversations: list[str]) -> float:
    """Measure megabytes of text per second of CPU time of one core."""
    start = time.process_time()
    for text in conversations:
        search(text)
    return sum(len(text.encode()) for text in conversations) / 1e6 / (time.process_time() - start)


def resident_megabytes() -> float:
    """Read this process's resident memory."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE / 1e6


def measure_overlap() -> None:
    """Print the speed and memory of NgramIndex and of the naive index."""
    short = NGRAM_WORDS - MIN_WORDS
    lengths = (MIN_WORDS + number // 10 % short if number % 10 == 0 else 100 for number in range(DOCUMENTS))
    questions = list(generate_texts(1, lengths))
    conversations = list(generate_texts(2, iter([350] * 3_000)))
    before = resident_megabytes()
    start = time.process_time()
    index = NgramIndex((("b", str(number), text) for number, text in enumerate(questions)), NGRAM_WORDS)
    seconds = time.process_time() - start
    memory = resident_megabytes() - before
    print(f"NgramIndex: {measure_rate(index.find, conversations):.1f} MB/s, {memory:.0f} MB, built in {seconds:.1f} s")
    before = resident_megabytes()
    naive = naive_index(questions)
    memory = resident_megabytes() - before
    print(f"naive: {measure_rate(naive, conversations):.1f} MB/s, {memory:.0f} MB, without the short documents")


def measure_duplicates(kind: str, rows: int) -> None:
    """Print the speed and memory of Duplicates, exact or near."""
    similarity = 0.8 if kind == "near" else 1
    duplicates = Duplicates(similarity)
    before = resident_megabytes()
    seconds = 0.0
    num_chars = 0
    for number, text in enumerate(generate_texts(3, iter([350] * rows))):
        start = time.process_time()
        assert duplicates.find_or_add(f"source/{number:032x}", take_fingerprint(text, similarity)) is None
        seconds += time.process_time() - start
        num_chars += len(text)
    rate = f"{rows / seconds:.0f} rows/s, {num_chars / 1e6 / seconds:.1f} MB/s"
    print(f"Duplicates({kind}): {rate}, {resident_megabytes() - before:.0f} MB for {rows} rows")


def main() -> None:
    """Measure one of the three."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("overlap", "exact", "near"))
    parser.add_argument("--rows", type=int, default=366_550)
    args = parser.parse_args()
    if args.what == "overlap":
        measure_overlap()
    else:
        measure_duplicates(args.what, args.rows)


if __name__ == "__main__":
    main()
