"""Whose replies the judge prefers, whether a DGM flips what its fine-tune loses, and in which words (paper, sec. 3.3).

In:  data/judgments/<model>/ of every compared model, data/pairwise/, metrics/recipes.json
Out: data/preference/: tables.json (all numbers, for the page), summary.json (those that git keeps), and every tested
     word in three tables of words
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.core.artifacts import require_compared
from stages.lib.core.bootstrap import Bootstrap
from stages.lib.core.files import ROWS_SUMMARY, SUMMARY, new_folder, read_json, write_json
from stages.lib.core.numbers import round_significant
from stages.lib.core.types import Floats, Json
from stages.lib.judging.length_control import rate_at_equal_length
from stages.lib.judging.pairwise import all_orders, order_effects, read_verdicts
from stages.lib.judging.preference import (
    COLUMNS,
    JudgmentGrid,
    Pair,
    align_judgments,
    by_score,
    extra_chars,
    fine_tunes,
    flips,
    mean_scores,
    pairs_of,
    preference_rates,
)
from stages.lib.judging.significant_words import split_by_side, word_label
from stages.lib.judging.word_tests import (
    Counts,
    Presence,
    by_model,
    by_winner,
    exact_tests,
    nothing,
    presence,
    sampled_winners,
)
from stages.lib.records.shards import read_table, write_table
from stages.lib.settings.reading import load, load_value, run
from stages.lib.settings.sections import Preference

PAIRWISE = Path("data/pairwise")
WINNERS = {"only_one": "only_winner", "only_other": "only_loser"}


def name(pair: Pair) -> str:
    """How a pair is called in the summary."""
    return " ".join(pair)


def compare_pairs(pairs: list[Pair], outcomes: Floats, judged: JudgmentGrid, bootstrap: Bootstrap) -> dict[str, Json]:
    """The rates of every pair, as they are and at equal length."""
    extra = extra_chars(judged, pairs)
    return {
        name(pair): {
            **rates,
            "equal_length": rate_at_equal_length(outcomes[:, column], extra[:, column], judged.questions),
        }
        for column, (pair, rates) in enumerate(zip(pairs, preference_rates(outcomes, bootstrap), strict=True))
    }


def pairwise(pairings: pa.Table, judged: JudgmentGrid, bootstrap: Bootstrap) -> Json:
    """The rates of every pair that was judged side by side, and what the order of the replies does."""
    verdicts = read_verdicts(pairings, judged)
    rates = compare_pairs(verdicts.pairs, verdicts.outcomes, judged, bootstrap)
    effects = order_effects(verdicts)
    return {
        "pairs": {key: {**rates[key], "orders": effect} for key, effect in zip(rates, effects, strict=True)},
        "orders": all_orders(verdicts),
        "rows_not_compared": verdicts.not_compared,
    }


def all_flips(judged: JudgmentGrid, runs: dict[str, Json]) -> Json:
    """Flips of every compared DGM with every compared fine-tune on it alone, against every other compared model."""
    found: dict[str, Json] = {}
    absent = []
    for dgm, tuned in fine_tunes(runs):
        if dgm in judged.models and tuned in judged.models:
            rivals = [model for model in judged.models if model not in {dgm, tuned}]
            found[name((dgm, tuned))] = {rival: flips(judged, dgm, tuned, rival) for rival in rivals}
        else:
            absent.append(name((dgm, tuned)))
    return {"pairs": found, "not_compared": absent}


def word_tables(
    judged: JudgmentGrid, pairs: list[Pair], outcomes: Floats, preference: Preference
) -> tuple[dict[str, pa.Table], Json]:
    """Every tested word, by model and by winner of each pair and by winner of all, and a summary."""
    present = presence(judged.texts)
    total, said = nothing(present), {}
    empty = exact_tests(present, total, 1)  # its columns are there when no pair is
    models, winners = [_of(("", ""), empty, {})], [_of(("", ""), empty, WINNERS)]
    for column, pair in enumerate(pairs):
        counts = by_winner(judged, present, pair, outcomes[:, column])
        total += counts
        model = exact_tests(present, by_model(judged, present, pair, outcomes[:, column]), preference.min_judgments)
        winner = exact_tests(present, counts, preference.min_judgments)
        models.append(_of(pair, model, {}))
        winners.append(_of(pair, winner, WINNERS))
        said[name(pair)] = {
            "turns": counts.turns,
            "by_model": named(model, pair, preference.num_words),
            "by_winner": named(winner, ("winner", "loser"), preference.num_words),
        }
    sampled = sampled_winners(judged, present, pairs, outcomes, preference.seed)
    overall = exact_tests(present, sampled, preference.min_judgments)
    tables = {
        "words_by_model": pa.concat_tables(models),
        "words_by_winner": pa.concat_tables(winners),
        "words_by_winner_of_all": _with_totals(overall, present, total),
    }
    found = {"turns": sampled.turns, **named(overall, ("winner", "loser"), preference.num_words)}
    return tables, {"pairs": said, "of_all": found}


def named(words: pa.Table, sides: Pair, num_words: int) -> Json:
    """How many words were tested, how many differ, and the surest of these on each side."""
    one, other = split_by_side(words.to_pylist(), "only_one", "only_other")
    return {
        "tested": words.num_rows,
        "different": len(one) + len(other),
        "negated": sum(row["negated"] for row in [*one, *other]),
        "words": {
            side: [word_label(row) for row in rows[:num_words]] for side, rows in zip(sides, (one, other), strict=True)
        },
    }


def _of(pair: Pair, words: pa.Table, names: dict[str, str]) -> pa.Table:
    """The words of one pair, with its models."""
    models = {
        key: pa.array([model] * words.num_rows, pa.string()) for key, model in zip(("one", "other"), pair, strict=True)
    }
    return pa.table({**models, **_columns(words, names)})


def _columns(words: pa.Table, names: dict[str, str]) -> dict[str, pa.ChunkedArray]:
    return {names.get(column, column): words[column] for column in words.column_names}


def _with_totals(words: pa.Table, present: Presence, total: Counts) -> pa.Table:
    """The words that were tested on one pair of judgments per question, with their counts over all pairs."""
    places = {term: place for place, term in enumerate(present.terms)}
    rows = np.array([places[word_label(row)] for row in words.to_pylist()], dtype=np.int64)
    parts = {"only_winner": total.only_one, "only_loser": total.only_other, "both": total.both}
    return pa.table({**_columns(words, WINNERS), **{f"pairs_{key}": part[rows] for key, part in parts.items()}})


def measure_preference(
    judgments: dict[str, pa.Table], pairings: pa.Table, runs: dict[str, Json], preference: Preference
) -> tuple[Json, dict[str, pa.Table]]:
    """All numbers, and the tables of words."""
    judged = align_judgments(judgments)
    bootstrap = Bootstrap(judged.questions, preference.resamples, preference.seed)
    pairs = pairs_of(judged.models)
    outcomes = by_score(judged, pairs)
    tables, words = word_tables(judged, pairs, outcomes, preference)
    return round_significant({
        "models": mean_scores(judged, bootstrap),
        "by_score": compare_pairs(pairs, outcomes, judged, bootstrap),
        "side_by_side": pairwise(pairings, judged, bootstrap),
        "flips": all_flips(judged, runs),
        "words": words,
    }), tables


def summarize(found: Json) -> Json:
    """The numbers that git keeps: of every judged pair how often each is preferred, and what holds of all."""
    seen, words = found["side_by_side"], found["words"]["of_all"]
    rates = {key: {name: pair[name] for name in ("rate", "rate_other")} for key, pair in seen["pairs"].items()}
    flipped = {key: sum(flip["flips"] for flip in rivals.values()) for key, rivals in found["flips"]["pairs"].items()}
    return {
        "flips": flipped,
        "orders": {name: seen["orders"][name] for name in ("agreement", "failed", "unanswered")},
        "side_by_side": rates,
        "words": {name: words[name] for name in ("tested", "different")},
    }


def trusted(table: pa.Table, folder: Path) -> pa.Table:
    """A judge's verdicts; where too many failed, none of them counts."""
    if read_json(folder / ROWS_SUMMARY)["status"] != "failed":
        return table
    place, status = table.schema.get_field_index("status"), table["status"]
    return table.set_column(place, "status", pc.if_else(pc.equal(status, "ok"), "failed", status))


READS = ("preference", "compare")


def main() -> None:
    """Compare the judgments of all compared models."""
    preference = load(Preference)
    judgments = {}
    for model in load_value("compare"):
        folder = require_compared(model, "judgments")
        judgments[model] = trusted(read_table(folder, COLUMNS), folder)
    runs = read_json(Path("metrics/recipes.json"))["runs"]
    write(Path("data"), *measure_preference(judgments, trusted(read_table(PAIRWISE), PAIRWISE), runs, preference))


def write(data: Path, found: Json, words: dict[str, pa.Table]) -> None:
    """Write data/preference."""
    with new_folder(data / "preference") as folder:
        write_json(folder / "tables.json", found)
        write_json(folder / SUMMARY, summarize(found))
        for key, table in words.items():
            (folder / key).mkdir()
            write_table(folder / key, table)


if __name__ == "__main__":
    run(main)
