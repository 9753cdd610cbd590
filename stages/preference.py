"""Whose replies the judge prefers, how often a DGM flips a lost ranking, and with which words (paper, sec. 3.3).

In:  data/judgments/<model>/ of every compared model, data/pairwise/, metrics/recipes.json
Out: data/preference/: tables.json (all numbers, for the page), summary.json (those that git keeps), and every tested
     word in three tables of words
"""

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa

from stages.lib.core.artifacts import require_compared
from stages.lib.core.files import SUMMARY, new_folder, read_json, write_json
from stages.lib.core.numbers import round_significant
from stages.lib.core.pairs import Pair, all_pairs, pair_key
from stages.lib.core.types import Floats, Json
from stages.lib.judging.judgment_grid import COLUMNS, JudgmentGrid, align_judgments, read_judged
from stages.lib.judging.length_control import length_controlled_rate
from stages.lib.judging.pairwise import order_effects, overall_order_effects, read_choices
from stages.lib.judging.preference import (
    compare_scores,
    count_flips,
    extra_chars,
    find_fine_tunes,
    mean_scores,
    preference_rates,
)
from stages.lib.judging.stopped import apply_stops, read_stops
from stages.lib.judging.words.word_tables import Tables, build_word_tables
from stages.lib.records.shards import write_table
from stages.lib.settings.reading import load, load_value, run
from stages.lib.settings.sections import Preference

PAIRWISE = Path("data/pairwise")


def compare_pairs(pairs: list[Pair], outcomes: Floats, grid: JudgmentGrid, preference: Preference) -> dict[str, Json]:
    """Compare every pair by its outcomes, [turn, pair]: the rates as they are and at equal length."""
    extra = extra_chars(grid, pairs)
    rates = preference_rates(outcomes, grid.questions, preference.resamples, preference.seed)
    return {
        pair_key(pair): {
            **rates[column],
            "equal_length": length_controlled_rate(outcomes[:, column], extra[:, column], grid.questions),
        }
        for column, pair in enumerate(pairs)
    }


def compare_choices(pairings: pa.Table, grid: JudgmentGrid, preference: Preference, stops: Json | None = None) -> Json:
    """Compare every pair whose replies the judge saw together, and describe the effect of their order.

    `stops` are what was decided of pairs that were asked about until then: their intervals and tests take that into
    account.
    """
    choices = read_choices(pairings, grid)
    rates = compare_pairs(choices.pairs, choices.outcomes, grid, preference)
    if stops:
        rates = apply_stops(rates, stops)
    effects = order_effects(choices)
    return {
        "pairs": {key: {**rates[key], "orders": effect} for key, effect in zip(rates, effects, strict=True)},
        "orders": overall_order_effects(choices),
        "rows_not_compared": choices.num_not_compared,
        **({"stop": {name: value for name, value in stops.items() if name != "pairs"}} if stops else {}),
    }


def count_all_flips(grid: JudgmentGrid, runs: dict[str, Json]) -> Json:
    """Count the flips of each compared DGM whose fine-tune is compared too, against every other compared model."""
    flips: dict[str, Json] = {}
    not_compared = []
    for dgm, tuned in find_fine_tunes(runs):
        if dgm in grid.models and tuned in grid.models:
            rivals = [model for model in grid.models if model not in {dgm, tuned}]
            flips[pair_key((dgm, tuned))] = {rival: count_flips(grid, dgm, tuned, rival) for rival in rivals}
        else:
            not_compared.append(pair_key((dgm, tuned)))
    return {"pairs": flips, "not_compared": not_compared}


def measure_preference(
    judgments: dict[str, pa.Table],
    pairings: pa.Table,
    runs: dict[str, Json],
    preference: Preference,
    stops: Json | None = None,
) -> tuple[Json, Tables]:
    """Compute all numbers and the tables of words.

    `judgments` are tables of JUDGMENT by model, `pairings` one of PAIRING, `runs` those of metrics/recipes.json,
    `stops` what `read_stops` returns.
    """
    grid = align_judgments(judgments)
    pairs = all_pairs(grid.models)
    outcomes = compare_scores(grid, pairs)
    words, summary = build_word_tables(grid, pairs, outcomes, preference)
    choices = compare_choices(pairings, grid, preference, stops)
    tables = {
        "models": mean_scores(grid),  # object: the mean score of each model
        "by_score": compare_pairs(pairs, outcomes, grid, preference),  # object: rates of each pair, by their scores
        "side_by_side": choices,  # object: rates of each pair, by the choices
        "flips": count_all_flips(grid, runs),  # object: rankings that a fine-tune lost against its DGM's rivals
        "words": summary,  # object: the words that differ, of each pair and of all
    }
    return round_significant(tables), words


def summarize(tables: Json) -> Json:
    """Select the numbers that git keeps: each judged pair's rates, and the totals over all pairs."""
    choices, words = tables["side_by_side"], tables["words"]["of_all"]
    rates = {key: {name: pair[name] for name in ("rate", "rate_other")} for key, pair in choices["pairs"].items()}
    flips = tables["flips"]["pairs"]
    return {
        "flips": {key: sum_flips(rivals.values()) for key, rivals in flips.items()},
        "orders": {name: choices["orders"][name] for name in ("agreement", "failed", "unanswered")},
        "side_by_side": rates,
        "words": {name: words[name] for name in ("tested", "different")},
    }


def sum_flips(rivals: Collection[Json]) -> int | None:
    """Sum the flips against all rivals; None where no turn was judged."""
    return sum(counts["flips"] for counts in rivals) if any(counts["turns"] for counts in rivals) else None


READS = ("preference", "compare")


def main() -> None:
    """Compare the judgments of all compared models."""
    preference = load(Preference)
    judgments = {model: read_judged(require_compared(model, "judgments"), COLUMNS) for model in load_value("compare")}
    runs = read_json(Path("metrics/recipes.json"))["runs"]
    pairings, stops = read_judged(PAIRWISE), read_stops(PAIRWISE)
    write_preference(Path("data"), *measure_preference(judgments, pairings, runs, preference, stops))


def write_preference(data: Path, tables: Json, words: Tables) -> None:
    """Write the folder `preference` of `data`."""
    with new_folder(data / "preference") as folder:
        write_json(folder / "tables.json", tables)
        write_json(folder / SUMMARY, summarize(tables))
        for name, table in words.items():
            (folder / name).mkdir()
            write_table(folder / name, table)


if __name__ == "__main__":
    run(main)
