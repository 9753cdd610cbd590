"""Time the scoring of pairs of replies, compare it with rouge-score and nltk in the same run, and print the scores.

python -m perf.similarity responses.parquet

The file has a row per model and session: dgm, session_id, response. If a model has a session twice, the first row is
taken. The packages score sampled pairs of replies to the same session; ours scores the same pairs, each as if it were
alone, and then all pairs of all models. Rates are per second of CPU time on one core, which a busy machine changes
least; the last run is the whole stage on all cores, in wall time. METEOR of a pair is two scores, since its roles can
be swapped: a score is compared with a score.
"""

import argparse
import os
import random
import time
from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
import pyarrow.parquet as pq
from nltk.translate.meteor_score import meteor_score
from rouge_score.rouge_scorer import RougeScorer

from stages.lib.console.shell import exit_on_user_error
from stages.lib.core.files import ROWS_SUMMARY, read_json
from stages.lib.core.types import Json
from stages.lib.settings.sections import Similarity
from stages.lib.similarity.measures import MEASURES
from stages.lib.similarity.meteor import meteor, split_words
from stages.lib.similarity.pair_scores import PAIRS_FILE
from stages.lib.similarity.rouge import rouge, tokenize
from stages.lib.similarity.stems import stem
from stages.lib.similarity.wordnet import open_wordnet, synonyms
from stages.similarity import write_similarity

Sessions = dict[str, dict[str, str]]  # the replies by session and model
Pairs = list[tuple[str, str]]
Result = TypeVar("Result")
SEED = 11
NAMES = [measure.name for measure in MEASURES]


def read_sessions(file: Path) -> Sessions:
    """Read the replies by session and model."""
    sessions: Sessions = {}
    rows = pq.read_table(file, columns=["dgm", "session_id", "response"]).to_pylist()
    for row in sorted(rows, key=lambda row: row["dgm"]):
        sessions.setdefault(row["session_id"], {}).setdefault(row["dgm"], row["response"] or "")
    return sessions


def sample_pairs(sessions: Sessions, count: int) -> Pairs:
    """Sample `count` pairs of replies, neither of them blank, to the same session."""
    draw = random.Random(SEED)
    pairs: Pairs = []
    names = sorted(sessions)
    while len(pairs) < count:
        one, other = draw.sample(sorted(sessions[draw.choice(names)].values()), 2)
        if tokenize(one) and tokenize(other):
            pairs.append((one, other))
    return pairs


def time_scores(title: str, count: int, score: Callable[[], Result]) -> tuple[float, Result]:
    """Run `score`, print and return how many of `count` scores it makes per second of CPU time, with its result."""
    cpu_start, start = time.process_time(), time.perf_counter()
    result = score()
    cpu = time.process_time() - cpu_start
    wall = time.perf_counter() - start
    print(f"{count / cpu:12,.0f}/s  {title} ({cpu:.1f} s of CPU time, {wall:.1f} s of wall time)")
    return count / cpu, result


def score_with_rouge_score(pairs: Pairs) -> list[tuple[float, float]]:
    scorer = RougeScorer(["rouge1", "rougeL"], use_stemmer=True)
    scores = [scorer.score(one, other) for one, other in pairs]
    return [(score["rouge1"].fmeasure, score["rougeL"].fmeasure) for score in scores]


def score_with_nltk(pairs: Pairs) -> list[float]:
    return [meteor_score([other.split()], one.split(), wordnet=open_wordnet()) for one, other in pairs]


def score_rouge(groups: list[list[str]]) -> list[tuple[np.ndarray, np.ndarray]]:
    return [rouge([tokenize(text) for text in group]) for group in groups]


def score_meteor(groups: list[list[str]]) -> list[tuple[np.ndarray, np.ndarray]]:
    return [meteor([split_words(text) for text in group], synonyms) for group in groups]


def clear_caches() -> None:
    """Forget all words, as in a new process; nltk's reader has a cache too."""
    stem.cache_clear()
    synonyms.cache_clear()
    open_wordnet()._synset_offset_cache.clear()


def compare_rouge(sessions: Sessions, pairs: Pairs) -> None:
    """Time ROUGE by rouge-score and by ours on one core, and check that the numbers are equal."""
    alone = [list(pair) for pair in pairs]
    clear_caches()
    cold, ours = time_scores("ours, ROUGE, pairs alone, empty cache", len(pairs), lambda: score_rouge(alone))
    warm, _ = time_scores("ours, ROUGE, pairs alone, full cache", len(pairs), lambda: score_rouge(alone))
    theirs, expected = time_scores("rouge-score, the same pairs", len(pairs), lambda: score_with_rouge_score(pairs))
    assert [(float(one[0]), float(longest[0])) for one, longest in ours] == expected
    groups, count = all_groups(sessions)
    clear_caches()
    matrix, _ = time_scores(f"ours, ROUGE, all {count:,} pairs, empty cache", count, lambda: score_rouge(groups))
    print_ratios("rouge-score", theirs, cold, warm, matrix)


def compare_meteor(sessions: Sessions, pairs: Pairs) -> None:
    """Time METEOR by nltk and by ours on one core, and check that the numbers are equal."""
    alone = [list(pair) for pair in pairs]
    clear_caches()
    cold, ours = time_scores("ours, METEOR, pairs alone, empty cache", 2 * len(pairs), lambda: score_meteor(alone))
    warm, _ = time_scores("ours, METEOR, pairs alone, full cache", 2 * len(pairs), lambda: score_meteor(alone))
    clear_caches()
    theirs, expected = time_scores("nltk, the same pairs", len(pairs), lambda: score_with_nltk(pairs))
    assert [float(forward[0]) for forward, _ in ours] == expected
    groups, count = all_groups(sessions)
    clear_caches()
    title = "ours, METEOR, all pairs in both roles, empty cache"
    matrix, _ = time_scores(title, 2 * count, lambda: score_meteor(groups))
    print_ratios("nltk", theirs, cold, warm, matrix)


def all_groups(sessions: Sessions) -> tuple[list[list[str]], int]:
    """Return the replies to each session, and the number of their pairs."""
    groups = [list(replies.values()) for replies in sessions.values()]
    return groups, sum(len(list(combinations(group, 2))) for group in groups)


def print_ratios(package: str, theirs: float, cold: float, warm: float, matrix: float) -> None:
    """Print how many times as fast as a package ours is; all arguments are scores per second."""
    print("              equal to the package's scores to the last bit")
    print(
        f"{cold / theirs:8.0f} times as fast as {package} on the same pairs, {warm / theirs:.0f} with a full cache, "
        f"{matrix / theirs:.0f} on all pairs\n"
    )


def run_stage(sessions: Sessions) -> None:
    """Time the stage on all pairs, and print each model's means and the range of the pairs."""
    dgms = sorted({dgm for replies in sessions.values() for dgm in replies})
    rows: dict[str, Iterable[Json]] = {
        dgm: [
            {"conversation_hash": name, "turns": [{"assistant": replies.get(dgm, "")}]}
            for name, replies in sessions.items()
        ]
        for dgm in dgms
    }
    settings = Similarity(num_prompts=len(sessions), turns="first", synonyms=True, references=4, seed=SEED)
    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        write_similarity(Path(folder), rows, settings)
        wall = time.perf_counter() - start
        summary, pairs = read_json(Path(folder) / ROWS_SUMMARY), read_json(Path(folder) / PAIRS_FILE)
    print(f"{wall:.1f} s of wall time for the whole stage, {summary['pairs']} pairs on {summary['prompts']} prompts")
    print(f"not scored: {summary['unscorable']}")
    print_models(summary)
    for name in NAMES:
        means = {pair: moments[name]["mean"] for pair, moments in pairs.items()}
        least, most = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
        print(f"{name}: pairs from {means[least]} ({least}) to {means[most]} ({most})")
        print(f"{name}: prompts {summary['spread'][name]}")


def print_models(summary: Json) -> None:
    """Print each model's means with all others and with the references."""
    print(f"{', '.join(NAMES)}: mean with all others | with 4 references; ± standard error")
    with_references = summary["against_references"]["dgms"]
    for dgm, with_all in sorted(summary["dgms"].items(), key=lambda item: -item[1]["rouge1"]["mean"]):
        moments = [table[name] for table in (with_all, with_references[dgm]) for name in NAMES]
        cells = [f"{moment['mean']:.3f} ± {moment['stderr']:.3f}" for moment in moments]
        print(f"{dgm:30}", *cells[: len(NAMES)], "|", *cells[len(NAMES) :])


def main() -> None:
    """Time the packages and ours, then the stage."""
    parser = argparse.ArgumentParser()
    parser.add_argument("responses", type=Path)
    parser.add_argument("--pairs", type=int, default=1000, help="for nltk and rouge-score")
    parser.add_argument("--rouge-pairs", type=int, default=0, help="for rouge-score, if fewer")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    sessions = read_sessions(options.responses)
    pairs = sample_pairs(sessions, options.pairs)
    start = time.process_time()
    open_wordnet()
    print(f"WordNet was read in {time.process_time() - start:.1f} s of CPU time\n")
    compare_rouge(sessions, pairs[: options.rouge_pairs or None])
    compare_meteor(sessions, pairs)
    run_stage(sessions)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    with exit_on_user_error("perf.similarity"):
        main()
