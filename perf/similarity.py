"""How fast pairs of replies are scored, beside rouge-score and nltk in the same run, and what the scores are.

python -m perf.similarity responses.parquet

The file has a row per model and session: dgm, session_id, response. Of a session that a model has twice the first is
taken. The packages score sampled pairs of replies to the same session; ours scores the same pairs, each as if it were
alone, and then all pairs of all models. Rates are per second of one core, in which a busy machine shows least; the
last run is the stage's own on all cores, by the clock. METEOR of a pair is two scores, since its roles can be changed:
a score is counted against a score.
"""

import argparse
import os
import random
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow.parquet as pq
from nltk.translate.meteor_score import meteor_score
from rouge_score.rouge_scorer import RougeScorer

from stages.lib.console.shell import exit_on_user_error
from stages.lib.core.files import read_json
from stages.lib.settings.sections import Similarity
from stages.lib.similarity.aggregates import REPORTED_METRICS
from stages.lib.similarity.meteor import meteor, words
from stages.lib.similarity.rouge import rouge, tokens
from stages.lib.similarity.stems import stem
from stages.lib.similarity.wordnet import open_wordnet, synonyms
from stages.similarity import write

Pairs = list[tuple[str, str]]
SEED = 11


def read(file: Path) -> dict[str, dict[str, str]]:
    """The replies by session and model."""
    found: dict[str, dict[str, str]] = {}
    rows = pq.read_table(file, columns=["dgm", "session_id", "response"]).to_pylist()
    for row in sorted(rows, key=lambda row: row["dgm"]):
        found.setdefault(row["session_id"], {}).setdefault(row["dgm"], row["response"] or "")
    return found


def sample(sessions: dict[str, dict[str, str]], count: int) -> Pairs:
    """So many pairs of replies, neither blank, to the same session."""
    draw, found = random.Random(SEED), []
    names = sorted(sessions)
    while len(found) < count:
        one, other = draw.sample(sorted(sessions[draw.choice(names)].values()), 2)
        if tokens(one) and tokens(other):
            found.append((one, other))
    return found


def rate(what: str, count: int, score: Callable[[], object]) -> tuple[float, object]:
    """Scores per second of one core, printed and given, with what was scored."""
    start, clock = time.process_time(), time.perf_counter()
    found = score()
    spent = time.process_time() - start
    print(
        f"{count / spent:12,.0f}/s  {what} ({spent:.1f} s of a core, {time.perf_counter() - clock:.1f} s by the clock)"
    )
    return count / spent, found


def theirs_rouge(pairs: Pairs) -> list[tuple[float, float]]:
    scorer = RougeScorer(["rouge1", "rougeL"], use_stemmer=True)
    scores = [scorer.score(one, other) for one, other in pairs]
    return [(score["rouge1"].fmeasure, score["rougeL"].fmeasure) for score in scores]


def theirs_meteor(pairs: Pairs) -> list[float]:
    return [meteor_score([other.split()], one.split(), wordnet=open_wordnet()) for one, other in pairs]


def ours_rouge(groups: list[list[str]]) -> list[tuple[np.ndarray, np.ndarray]]:
    return [rouge([tokens(text) for text in group]) for group in groups]


def ours_meteor(groups: list[list[str]]) -> list[tuple[np.ndarray, np.ndarray]]:
    return [meteor([words(text) for text in group], synonyms) for group in groups]


def forget() -> None:
    """Nothing is known of any word, as in a new process; nltk's reader too remembers what it has read."""
    stem.cache_clear()
    synonyms.cache_clear()
    open_wordnet()._synset_offset_cache.clear()


def kernels(sessions: dict[str, dict[str, str]], pairs: Pairs, num_rouge: int) -> None:
    """Time the packages and ours on one core, and check that the numbers are the same."""
    start = time.process_time()
    open_wordnet()
    print(f"WordNet was read in {time.process_time() - start:.1f} s of a core\n")
    apart = [list(pair) for pair in pairs]
    forget()
    alone, of_rouge = rate("ours, ROUGE, pairs alone, nothing known", num_rouge, lambda: ours_rouge(apart[:num_rouge]))
    known, _ = rate("ours, ROUGE, pairs alone, words known", num_rouge, lambda: ours_rouge(apart[:num_rouge]))
    forget()
    first, of_meteor = rate("ours, METEOR, pairs alone, nothing known", 2 * len(pairs), lambda: ours_meteor(apart))
    again, _ = rate("ours, METEOR, pairs alone, words known", 2 * len(pairs), lambda: ours_meteor(apart))
    by_rouge, theirs = rate(f"rouge-score, the {num_rouge} pairs", num_rouge, lambda: theirs_rouge(pairs[:num_rouge]))
    assert [(float(one[0]), float(longest[0])) for one, longest in of_rouge] == theirs
    forget()
    by_nltk, scores = rate(f"nltk, the {len(pairs)} pairs", len(pairs), lambda: theirs_meteor(pairs))
    assert [float(one[0]) for one, _ in of_meteor] == scores
    print("              all of these are equal to the packages' to the last bit")
    together = [list(replies.values()) for replies in sessions.values()]
    count = sum(len(list(combinations(group, 2))) for group in together)
    forget()
    matrix, _ = rate(f"ours, ROUGE, all {count:,} pairs, nothing known", count, lambda: ours_rouge(together))
    forget()
    both, _ = rate("ours, METEOR, all pairs in both roles, nothing known", 2 * count, lambda: ours_meteor(together))
    print()
    for package, rates in (("rouge-score", (alone, known, matrix)), ("nltk", (first, again, both))):
        ratios = [f"{each / (by_rouge if package == 'rouge-score' else by_nltk):.0f}" for each in rates]
        print(
            f"{ratios[0]:>8} times {package} on the same pairs, {ratios[1]} with words known, {ratios[2]} on all pairs"
        )


def whole(sessions: dict[str, dict[str, str]]) -> None:
    """Time the stage on all pairs, and print each model's means and the range of the pairs."""
    dgms = sorted({dgm for replies in sessions.values() for dgm in replies})
    rows = {
        dgm: [{"conversation_hash": name, "turns": [{"assistant": of.get(dgm, "")}]} for name, of in sessions.items()]
        for dgm in dgms
    }
    settings = Similarity(num_prompts=len(sessions), turns="first", synonyms=True, references=4, seed=SEED)
    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        write(Path(folder), rows, settings)
        took = time.perf_counter() - start
        summary, pairs = (read_json(Path(folder) / f"{name}.json") for name in ("summary", "pairs"))
    print(f"\n{took:.1f} s by the clock for the whole stage, {summary['pairs']} pairs on {summary['prompts']} prompts")
    print(f"not scored: {summary['unscorable']}")
    print(f"{', '.join(REPORTED_METRICS)}: mean with all others | with 4 references; ± standard error")
    some = summary["against_references"]["dgms"]
    for dgm, found in sorted(summary["dgms"].items(), key=lambda item: -item[1]["rouge1"]["mean"]):
        both = [of[key] for of in (found, some[dgm]) for key in REPORTED_METRICS]
        cells = [f"{score['mean']:.3f} ± {score['stderr']:.3f}" for score in both]
        print(f"{dgm:30}", *cells[:3], "|", *cells[3:])
    for key in REPORTED_METRICS:
        means = {pair: found[key]["mean"] for pair, found in pairs.items()}
        least, most = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
        print(f"{key}: pairs from {means[least]} ({least}) to {means[most]} ({most}); prompts {summary['spread'][key]}")


def main() -> None:
    """Measure the packages and ours, then the stage."""
    parser = argparse.ArgumentParser()
    parser.add_argument("responses", type=Path)
    parser.add_argument("--pairs", type=int, default=1000, help="for nltk and rouge-score")
    parser.add_argument("--rouge-pairs", type=int, default=0, help="for rouge-score, if fewer")
    asked = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    sessions = read(asked.responses)
    kernels(sessions, sample(sessions, asked.pairs), asked.rouge_pairs or asked.pairs)
    whole(sessions)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    with exit_on_user_error("perf.similarity"):
        main()
