"""Time `preference` on many models, compare it with plain pandas in the same run, and print the numbers.

python -m perf.preference judgments.parquet --responses responses.parquet

The file has a row per model and session: dgm, session_id, judge_score, judge_strengths, judge_weaknesses; the file of
responses, for their length: dgm, session_id, response. A session is a question of one turn. If a model has a session
twice, the first row is taken and the others are counted. Times are CPU seconds on one core.
"""

import argparse
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from stages.lib.core.pairs import all_pairs
from stages.lib.judging.judgment_grid import align_judgments
from stages.lib.judging.preference import compare_scores, mean_scores, preference_rates
from stages.lib.judging.words.significant_words import word_label
from stages.lib.judging.words.word_tables import build_word_tables
from stages.lib.records.judgments import JUDGMENT
from stages.lib.records.pairings import PAIRING
from stages.lib.settings.sections import Preference
from stages.preference import compare_pairs, measure_preference

SETTINGS = Preference(seed=13, resamples=2000, min_judgments=20, num_words=12)
WORDS_SHOWN = 60
# The parts of ours, by the beginning of their names, and the part of pandas that does the same.
WINS = "pandas: wins, ties, losses"
DRAWS = "pandas: permutation test"
WORDS = "pandas: words by model"
COMPARISONS = (
    ("wins, ties, losses of all pairs", ("wins",), WINS),
    ("rates of all pairs; ours with intervals too, pandas the test alone", ("rates",), DRAWS),
    ("words of all pairs; ours by model and by winner, with negation and tests", ("words",), WORDS),
)


def read_rows(file: Path, responses: Path | None) -> pd.DataFrame:
    """Read one row per model and session."""
    rows = pd.read_parquet(file)
    if responses:
        replies = pd.read_parquet(responses, columns=["dgm", "session_id", "response"])
        replies = replies.drop_duplicates(["dgm", "session_id"])
        rows = rows.merge(replies, on=["dgm", "session_id"], how="left")
        rows["chars"] = rows["response"].str.len()
    else:
        rows["chars"] = 0
    unique = rows.drop_duplicates(["dgm", "session_id"])
    num_unknown = unique["chars"].isna().sum()
    print(f"{len(rows)} rows, {len(rows) - len(unique)} repeated ones left out; {num_unknown} without the reply")
    unique = unique.assign(question=unique["session_id"].rank(method="dense").astype(int))
    return unique.assign(text=unique["judge_strengths"] + "\n" + unique["judge_weaknesses"])


def to_tables(rows: pd.DataFrame) -> dict[str, pa.Table]:
    """Convert the rows to tables of JUDGMENT, by model."""
    return {
        model: pa.Table.from_pydict(
            {
                "question_id": part["question"],
                "category": [""] * len(part),
                "turn": [1] * len(part),
                "score": part["judge_score"],
                "text": part["text"],
                "chars": part["chars"].astype("Int64"),
                "status": ["ok"] * len(part),
                "reason": [""] * len(part),
            },
            schema=JUDGMENT,
        )
        for model, part in rows.groupby("dgm")
    }


@contextmanager
def stopwatch(title: str, seconds: dict[str, float]) -> Iterator[None]:
    """Note and print the CPU seconds of a block."""
    start = time.process_time()
    yield
    seconds[title] = time.process_time() - start
    print(f"{seconds[title]:8.2f} s  {title}")


def count_wins_in_pandas(rows: pd.DataFrame) -> None:
    """Count wins, ties and losses of all pairs by merging."""
    models = {model: part[["question", "judge_score"]] for model, part in rows.groupby("dgm")}
    for one, other in combinations(models, 2):
        both = models[one].merge(models[other], on="question")
        differences = both["judge_score_x"] - both["judge_score_y"]
        _ = (differences > 0).sum(), (differences == 0).sum(), (differences < 0).sum()


def draw_in_pandas(rows: pd.DataFrame, num_draws: int) -> None:
    """Flip the signs of the outcomes of each pair `num_draws` times."""
    models = {model: part[["question", "judge_score"]] for model, part in rows.groupby("dgm")}
    for one, other in combinations(models, 2):
        both = models[one].merge(models[other], on="question")
        outcomes = np.sign(both["judge_score_x"] - both["judge_score_y"])
        random = np.random.default_rng(SETTINGS.seed)
        nets = [abs((outcomes * random.choice([-1, 1], len(outcomes))).mean()) for _ in range(num_draws)]
        _ = (pd.Series(nets) >= abs(outcomes.mean())).mean()


def count_words_in_pandas(rows: pd.DataFrame) -> None:
    """Count which words only one of two judgments has, for each pair: exploded words, merged."""
    words = rows["text"].str.lower().map(lambda text: list(set(re.findall(r"[^\W\d_]+", text))))
    exploded = rows[["dgm", "question"]].assign(word=words).explode("word")
    scores = {model: part.set_index("question")["judge_score"] for model, part in rows.groupby("dgm")}
    words_by_model = {model: part[["question", "word"]] for model, part in exploded.groupby("dgm")}
    for one, other in combinations(words_by_model, 2):
        differences = (scores[one] - scores[other]).dropna()
        questions = differences[differences != 0].index
        parts = [part[part["question"].isin(questions)] for part in (words_by_model[one], words_by_model[other])]
        merged = parts[0].merge(parts[1], how="outer", on=["question", "word"], indicator=True)
        merged.groupby(["word", "_merge"], observed=False).size()


def time_ours(rows: pd.DataFrame) -> dict[str, float]:
    """Time each part of the stage."""
    seconds: dict[str, float] = {}
    with stopwatch("judgments aligned", seconds):
        grid = align_judgments(to_tables(rows))
    pairs = all_pairs(grid.models)
    with stopwatch("wins, ties, losses of all pairs", seconds):
        outcomes = compare_scores(grid, pairs)
    with stopwatch("mean scores with intervals", seconds):
        mean_scores(grid)
    with stopwatch(f"rates of {len(pairs)} pairs with intervals and tests", seconds):
        preference_rates(outcomes, grid.questions, SETTINGS.resamples, SETTINGS.seed)
    with stopwatch("the same, and at equal length", seconds):
        compare_pairs(pairs, outcomes, grid, SETTINGS)
    with stopwatch(f"words of {len(pairs)} pairs by model and by winner, with tests", seconds):
        build_word_tables(grid, pairs, outcomes, SETTINGS)
    return seconds


def time_pandas(rows: pd.DataFrame) -> dict[str, float]:
    """Time the same in pandas."""
    seconds: dict[str, float] = {}
    with stopwatch(WINS, seconds):
        count_wins_in_pandas(rows)
    with stopwatch(DRAWS, seconds):
        draw_in_pandas(rows, SETTINGS.resamples)
    with stopwatch(WORDS, seconds):
        count_words_in_pandas(rows)
    return seconds


def print_numbers(rows: pd.DataFrame) -> None:
    """Print the means, the rates of all pairs, and the words."""
    tables, words = measure_preference(to_tables(rows), PAIRING.empty_table(), {}, SETTINGS)
    for model, row in sorted(tables["models"].items(), key=lambda item: -item[1]["mean"]):
        print(f"{model:28} {row['mean']:5} {row['ci95']} of {row['scored']}, absent {row['absent']}")
    print("pair: turns, wins, ties, losses, rate, interval, q | extra chars, rate with half of ties, at equal length")
    for key, row in tables["by_score"].items():
        rates = [row[name] for name in ("turns", "wins", "ties", "losses", "rate", "ci95", "q")]
        lengths = [row["equal_length"][name] for name in ("extra_chars", "raw", "rate", "ci95", "reason")]
        print(f"{key:58}", *rates, "|", *lengths)
    for key, row in tables["words"]["pairs"].items():
        print(key, row)
    print("all pairs, one per session:", tables["words"]["of_all"])
    columns = ("only_winner", "only_loser", "both", "pairs_only_winner", "pairs_only_loser", "pairs_both", "p", "q")
    for row in words["words_by_winner_of_all"].to_pylist()[:WORDS_SHOWN]:
        print(f"{word_label(row):24}", *(f"{row[name]:.3g}" for name in columns))


def main() -> None:
    """Time both, then print the numbers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("judgments", type=Path)
    parser.add_argument("--responses", type=Path)
    options = parser.parse_args()
    rows = read_rows(options.judgments, options.responses)
    ours, pandas = time_ours(rows), time_pandas(rows)
    for title, parts, part in COMPARISONS:
        total = sum(seconds for name, seconds in ours.items() if name.startswith(parts))
        print(f"{pandas[part] / total:8.1f} times as long in pandas: {title}")
    print_numbers(rows)


if __name__ == "__main__":
    main()
