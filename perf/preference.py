"""How fast `preference` compares many models, beside the plain way in pandas, and what it finds.

python -m perf.preference judgments.parquet --responses responses.parquet

The file has a row per model and session: dgm, session_id, judge_score, judge_strengths, judge_weaknesses; that of the
responses, for their length: dgm, session_id, response. A session is a question of one turn. Of a session that a model
has twice the first is taken and the others are counted.
"""

import argparse
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

import pandas as pd
import pyarrow as pa

from stages.lib.core.bootstrap import Bootstrap
from stages.lib.judging.judgment_grid import align_judgments, all_pairs
from stages.lib.judging.preference import compare_scores, mean_scores, preference_rates
from stages.lib.judging.significant_words import word_label
from stages.lib.records.judgments import JUDGMENT
from stages.lib.records.pairings import PAIRING
from stages.lib.settings.sections import Preference
from stages.preference import compare_pairs, measure_preference, word_tables

SETTINGS = Preference(seed=13, resamples=2000, min_judgments=20, num_words=12)
DRAWS = 5  # of the plain bootstrap, which is measured in part
WINS, DRAWN, WORDS = (
    "pandas: wins, ties, losses",
    f"pandas: bootstrap, {DRAWS} draws measured",
    "pandas: words by model",
)
COMPARED = {  # how our parts begin, and pandas' part
    (("wins",), WINS): "wins, ties, losses of all pairs",
    (("bootstrap", "rates"), DRAWN): "rates of all pairs with intervals",
    (("words",), WORDS): "words of all pairs; ours by model and by winner, with negation and tests",
}


def read(file: Path, responses: Path | None) -> pd.DataFrame:
    """One row per model and session."""
    rows = pd.read_parquet(file)
    if responses:
        replies = pd.read_parquet(responses, columns=["dgm", "session_id", "response"])
        replies = replies.drop_duplicates(["dgm", "session_id"])
        rows = rows.merge(replies, on=["dgm", "session_id"], how="left")
        rows["chars"] = rows["response"].str.len()
    else:
        rows["chars"] = 0
    once = rows.drop_duplicates(["dgm", "session_id"])
    unknown = once["chars"].isna().sum()
    print(f"{len(rows)} rows, {len(rows) - len(once)} left out as there twice; {unknown} without the reply")
    once = once.assign(question=once["session_id"].rank(method="dense").astype(int))
    return once.assign(text=once["judge_strengths"] + "\n" + once["judge_weaknesses"])


def tables(rows: pd.DataFrame) -> dict[str, pa.Table]:
    """The rows as judgments, by model."""
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
def clock(what: str, times: dict[str, float], share: float = 1.0) -> Iterator[None]:
    """Note the seconds of one core that a block takes; of a share of the work, for the whole."""
    start = time.process_time()
    yield
    times[what] = (time.process_time() - start) / share
    print(f"{times[what]:8.2f} s  {what}")


def plain_rates(rows: pd.DataFrame) -> list[tuple[int, int, int]]:
    """Wins, ties and losses of all pairs, by merging."""
    models = {model: part[["question", "judge_score"]] for model, part in rows.groupby("dgm")}
    found = []
    for one, other in combinations(models, 2):
        both = models[one].merge(models[other], on="question")
        differences = both["judge_score_x"] - both["judge_score_y"]
        wins, ties, losses = (differences > 0).sum(), (differences == 0).sum(), (differences < 0).sum()
        found.append((int(wins), int(ties), int(losses)))
    return found


def plain_intervals(rows: pd.DataFrame, draws: int) -> None:
    """So many draws of the bootstrap for each pair."""
    models = {model: part[["question", "judge_score"]] for model, part in rows.groupby("dgm")}
    for one, other in combinations(models, 2):
        both = models[one].merge(models[other], on="question")
        wins = both["judge_score_x"] > both["judge_score_y"]
        pd.Series([wins.sample(frac=1, replace=True, random_state=draw).mean() for draw in range(draws)]).quantile()


def plain_words(rows: pd.DataFrame) -> int:
    """Which words only one of two judgments has, for each pair: exploded words, merged."""
    words = rows["text"].str.lower().map(lambda text: list(set(re.findall(r"[^\W\d_]+", text))))
    exploded = rows[["dgm", "question"]].assign(word=words).explode("word")
    scores = {model: part.set_index("question")["judge_score"] for model, part in rows.groupby("dgm")}
    of = {model: part[["question", "word"]] for model, part in exploded.groupby("dgm")}
    total = 0
    for one, other in combinations(of, 2):
        differ = (scores[one] - scores[other]).dropna().loc[lambda found: found != 0].index
        parts = [of[model][of[model]["question"].isin(differ)] for model in (one, other)]
        merged = parts[0].merge(parts[1], how="outer", on=["question", "word"], indicator=True)
        total += len(merged.groupby(["word", "_merge"], observed=False).size())
    return total


def ours(rows: pd.DataFrame, times: dict[str, float]) -> None:
    """Time each part of the stage."""
    with clock("judgments side by side", times):
        judged = align_judgments(tables(rows))
    pairs = all_pairs(judged.models)
    with clock("wins, ties, losses of all pairs", times):
        outcomes = compare_scores(judged, pairs)
    with clock(f"bootstrap weights, {SETTINGS.resamples} draws", times):
        bootstrap = Bootstrap(judged.questions, SETTINGS.resamples, SETTINGS.seed)
    with clock("mean scores with intervals", times):
        mean_scores(judged, bootstrap)
    with clock(f"rates of {len(pairs)} pairs with intervals and tests", times):
        preference_rates(outcomes, bootstrap)
    with clock("the same, and at equal length", times):
        compare_pairs(pairs, outcomes, judged, bootstrap)
    with clock(f"words of {len(pairs)} pairs by model and by winner, with tests", times):
        word_tables(judged, pairs, outcomes, SETTINGS)


def peer(rows: pd.DataFrame, times: dict[str, float]) -> None:
    """Time the plain way."""
    with clock(WINS, times):
        plain_rates(rows)
    with clock(DRAWN, times, DRAWS / SETTINGS.resamples):
        plain_intervals(rows, DRAWS)
    with clock(WORDS, times):
        plain_words(rows)


def report(rows: pd.DataFrame) -> None:
    """Print what is found."""
    found, words = measure_preference(tables(rows), PAIRING.empty_table(), {}, SETTINGS)
    for model, row in sorted(found["models"].items(), key=lambda item: -item[1]["mean"]):
        print(f"{model:28} {row['mean']:5} {row['ci95']} of {row['scored']}, absent {row['absent']}")
    print(
        "pair: turns, wins, ties, losses, rate, interval, q | extra characters, rate with half of ties, at equal length"
    )
    for key, row in found["by_score"].items():
        length = row["equal_length"]
        print(
            f"{key:58}", *(row[part] for part in ("turns", "wins", "ties", "losses", "rate", "ci95", "q")),
            "|", *(length[part] for part in ("extra_chars", "raw", "rate", "ci95", "reason")),
        )  # fmt: skip
    for key, row in found["words"]["pairs"].items():
        print(key, row)
    print("all pairs, one per session:", found["words"]["of_all"])
    for row in words["words_by_winner_of_all"].to_pylist()[:60]:
        shown = "only_winner", "only_loser", "both", "pairs_only_winner", "pairs_only_loser", "pairs_both", "p", "q"
        print(f"{word_label(row):24}", *(f"{row[part]:.3g}" for part in shown))


def main() -> None:
    """Measure, then print the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("judgments", type=Path)
    parser.add_argument("--responses", type=Path)
    asked = parser.parse_args()
    rows = read(asked.judgments, asked.responses)
    own: dict[str, float] = {}
    plain: dict[str, float] = {}
    ours(rows, own)
    peer(rows, plain)
    for (mine, theirs), what in COMPARED.items():
        took = sum(seconds for key, seconds in own.items() if key.startswith(mine))
        print(f"{plain[theirs] / took:8.1f} times as long in pandas: {what}")
    report(rows)


if __name__ == "__main__":
    main()
