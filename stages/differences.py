"""Every two compared models: is the difference real? In benchmarks, by a judge's scores and by its choices.

In:  data/evaluations/<model>/ (of all seeds of a run) and data/judgments/<model>/ of every compared model,
     data/preference/ (choices)
Out: data/differences/: tables.json (every difference, its interval, test and verdict), summary.json (the verdicts that
     git keeps: on the averages, and by the judge)
"""

from collections import Counter
from math import isfinite
from pathlib import Path

import numpy as np

from stages.lib.comparison.differences import (
    add_verdict,
    compare_pairs,
    compare_rows,
    correct,
    describe_scores,
    describe_seeds,
)
from stages.lib.comparison.evaluations import Evaluations, read_compared
from stages.lib.comparison.score_rows import ScoreRows
from stages.lib.core.artifacts import require_compared
from stages.lib.core.files import SUMMARY, new_folder, read_json, write_json
from stages.lib.core.numbers import round_significant
from stages.lib.core.pairs import all_pairs
from stages.lib.core.types import Json
from stages.lib.judging.judgment_grid import COLUMNS, JudgmentGrid, align_judgments, read_judged
from stages.lib.judging.preference import CHOICES, SCORES
from stages.lib.settings.reading import load, load_value, run
from stages.lib.settings.sections import Differences, Mix

PREFERENCE = Path("data/preference/tables.json")
OUT = Path("data/differences")


def to_rows(grid: JudgmentGrid) -> ScoreRows:
    """Convert a judge's scores: the turns of a question are a cluster."""
    num = len(grid.turns)
    clusters = np.unique(grid.questions, return_inverse=True)[1].astype(np.int64)
    return ScoreRows(
        tuple(grid.models), grid.scores, np.full(num, 1 / max(num, 1)), clusters, np.zeros(num, np.int64), SCORES
    )


def compare_judged(grid: JudgmentGrid, settings: Differences) -> dict[str, Json]:
    """Compare every two models by the judge's scores of their answers, whose pairs are one family."""
    pairs = all_pairs([model for model in grid.models if np.isfinite(grid.scores[:, grid.column(model)]).any()])
    if not pairs:
        return {}
    cells = compare_rows(to_rows(grid), pairs, {}, settings)
    cells = {pair: cell for pair, cell in cells.items() if cell["n"]}  # else no turn is common
    correct(list(cells.values()))
    return {pair: add_verdict(cell, settings.margin_judge) for pair, cell in cells.items()}


def is_known(end: float | None) -> bool:
    """Tell whether an end of an interval is known: tables.json has null for it, fresh numbers have NaN."""
    return end is not None and isfinite(end)


def compare_choices(preference: Json, settings: Differences) -> dict[str, Json]:
    """Judge the pairs whose answers the judge saw side by side, by the share won less the share lost."""
    cells = {
        pair: {
            "value": rates["net"],
            "ci95": rates["net_ci95"] if all(map(is_known, rates["net_ci95"])) else None,
            "p": rates["p"],
            "q": rates["q"],
            "test": "permutation",
            "n": rates["questions"],
            "deviation": rates["net_deviation"],
            "scale": CHOICES[1],
            "seed_share": None,
            "seed_stderr": 0.0,
            "extra": 0.0,
        }
        for pair, rates in preference["side_by_side"]["pairs"].items()
        if rates["turns"]
    }
    return {pair: add_verdict(cell, settings.margin_choices) for pair, cell in cells.items()}


def build_tables(evaluations: Evaluations, grid: JudgmentGrid, preference: Json, settings: Differences) -> Json:
    """Compare every two of the judge's models in benchmarks, scores and choices."""
    measures = compare_pairs(evaluations, grid.models, settings)
    judged, choices = compare_judged(grid, settings), compare_choices(preference, settings)
    benchmarks = [name for name in measures if name in evaluations.benchmarks]
    averages = [name for name in measures if name not in benchmarks]
    return {
        "models": grid.models,
        "scores": describe_scores(evaluations, grid.models),
        "averages": averages,
        "benchmarks": benchmarks,
        "measures": measures,
        "judge": judged,
        "choices": choices,
        "families": {
            "averages": count_tests([measures[name] for name in averages]),
            "benchmarks": count_tests([measures[name] for name in benchmarks]),
            "judge": count_tests([judged]),
            "choices": count_tests([choices]),
        },
        "margins": {
            "share": settings.margin,
            "judge": settings.margin_judge,
            "choices": settings.margin_choices,
        },
        "seeds": describe_seeds(evaluations),
    }


def count_tests(pairs: list[dict[str, Json]]) -> int:
    """Count the tests of one family."""
    return sum(cell["p"] is not None for cells in pairs for cell in cells.values())


def summarize(tables: Json) -> Json:
    """Select what git keeps: how many verdicts there are of which kind, and those on averages and by the judge."""
    judged = {name: tables[name] for name in ("judge", "choices") if tables[name]}
    named = {name: tables["measures"][name] for name in tables["averages"]} | judged
    every = [cell["verdict"] for cells in (tables["measures"] | judged).values() for cell in cells.values()]
    return {
        "verdicts": dict(sorted(Counter(every).items())),
        "pairs": {name: {pair: cell["verdict"] for pair, cell in cells.items()} for name, cells in named.items()},
    }


READS = ("differences", "compare", "mix.runs")


def main() -> None:
    """Compare all that was evaluated and judged."""
    models = load_value("compare")
    evaluations = read_compared(models, load(Mix).runs)
    grid = align_judgments({model: read_judged(require_compared(model, "judgments"), COLUMNS) for model in models})
    tables = build_tables(evaluations, grid, read_json(PREFERENCE), load(Differences))
    with new_folder(OUT) as folder:
        write_json(folder / "tables.json", round_significant(tables))
        write_json(folder / SUMMARY, summarize(tables))


if __name__ == "__main__":
    run(main)
