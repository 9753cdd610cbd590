"""What pairing changes: verdicts and widths beside independent errors, and the seconds and memory of `differences`."""

import resource
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from perf.preference import read_rows, to_tables
from perf.simulated_scores import SETTINGS, Design, to_rows
from stages.differences import to_rows as to_judged_rows
from stages.lib.comparison.differences import compare_pairs
from stages.lib.comparison.evaluations import Evaluations, read_evaluations
from stages.lib.comparison.score_rows import ScoreRows, average_rows, weighted_means
from stages.lib.comparison.scores import ModelScores, Score
from stages.lib.core.sections import read_yaml
from stages.lib.core.types import Json
from stages.lib.judging.judgment_grid import COLUMNS, JudgmentGrid, align_judgments
from stages.lib.judging.preference import SCORES
from stages.lib.records.shards import read_table
from stages.lib.statistics.intervals import clustered_means

# Five benchmarks of right and wrong, IFEval's instructions and MTBench's turns: 6,000 rows.
DESIGNS = {
    **{f"benchmark {number}": Design(1000, ()) for number in range(5)},
    "instructions": Design(420, (), sizes=(1, 2, 3)),
    "turns": Design(80, (), sizes=(2,), is_judged=True),
}
JUDGED = SETTINGS.model_copy(update={"margin": SETTINGS.margin_judge / SCORES[1]})  # as a share of the scale


def print_pairing(data: Path | None, judgments: Path | None) -> None:
    """Print how many verdicts change when the rows are paired, on real data."""
    print("| data | models | pairs and measures | verdicts that change | median ratio of widths | s |")
    print("|---|---|---|---|---|---|")
    changes = Counter[str]()
    if data:
        models = read_yaml(data / "params.yaml")["compare"]
        folder = data / "data/evaluations"
        known = [model for model in models if (folder / model / "results.json").exists()]
        evaluations = read_evaluations({model: folder / model for model in known}, {})
        changes += print_changes("the checkout's evaluations", evaluations, known)
        folder = data / "data/judgments"
        judged = [model for model in models if (folder / model).exists()]
        if judged:
            grid = align_judgments({model: read_table(folder / model, COLUMNS) for model in judged})
            changes += print_changes("the checkout's judgments", judged_evaluations(grid), judged, is_judged=True)
    if judgments:
        grid = align_judgments(to_tables(read_rows(judgments, None)))
        changes += print_changes("the file's judgments", judged_evaluations(grid), grid.models, is_judged=True)
    print("".join(f"\n{count} {change}" for change, count in changes.most_common()), "\n")


def judged_evaluations(grid: JudgmentGrid) -> Evaluations:
    """Take a judge's mean scores as a benchmark."""
    means = clustered_means(grid.scores, grid.questions)
    fields = zip(grid.models, means.values, means.stderrs, means.clusters, strict=True)
    scores = {
        model: ModelScores({"judge": Score(float(value), float(stderr), None, float(clusters), SCORES[1])}, {}, {})
        for model, value, stderr, clusters in fields
    }
    return Evaluations(scores, {"judge": replace(to_judged_rows(grid), scale=SCORES[1])})


def print_changes(title: str, evaluations: Evaluations, models: Sequence[str], is_judged: bool = False) -> Counter[str]:
    """Print a line of the table; return the verdicts before and after, of those that change."""
    settings = JUDGED if is_judged else SETTINGS
    start = time.perf_counter()
    paired = list_cells(compare_pairs(evaluations, models, settings))
    seconds = time.perf_counter() - start
    apart = list_cells(compare_pairs(replace(evaluations, rows={}), models, settings))
    both = [(one, other) for one, other in zip(apart, paired, strict=True) if other["test"] != "independent"]
    changed = [(one["verdict"], other["verdict"]) for one, other in both if one["verdict"] != other["verdict"]]
    ratios = [width(other) / width(one) for one, other in both if one["ci95"] and other["ci95"] and width(one)]
    middle = f"{np.median(ratios):.2f}" if ratios else ""
    print(f"| {title} | {len(models)} | {len(both)} | {len(changed)} | {middle} | {seconds:.2f} |")
    return Counter(f"{title}: {one} became {other}" for one, other in changed)


def list_cells(measures: Json) -> list[Json]:
    return [cell for pairs in measures.values() for cell in pairs.values()]


def width(cell: Json) -> float:
    low, high = cell["ci95"]
    return float(high - low)


@dataclass(frozen=True)
class Cost:
    """What comparing all pairs of made-up models took."""

    cells: int
    seconds: float
    before: int  # MiB, before it
    peak: int  # MiB


def print_times(sizes: Iterable[int] = (14, 54)) -> None:
    """Print seconds and peak memory of all pairs of made-up models, each in a process of its own."""
    print("| made-up models | pairs and measures | s | peak before, MiB | peak, MiB |")
    print("|---|---|---|---|---|")
    for num in sizes:
        with get_context("spawn").Pool(1) as pool:
            cost = pool.apply(measure_cost, (num,))
        print(f"| {num} | {cost.cells:,} | {cost.seconds:.1f} | {cost.before} | {cost.peak} |")


def measure_cost(num: int) -> Cost:
    """Compare all pairs of `num` models in seven benchmarks and their average."""
    evaluations, models = make_evaluations(num)
    before, start = peak_memory(), time.perf_counter()
    cells = list_cells(compare_pairs(evaluations, models, SETTINGS))
    return Cost(len(cells), time.perf_counter() - start, before, peak_memory())


def peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def make_evaluations(num: int) -> tuple[Evaluations, list[str]]:
    """Make models with rows in every benchmark, and an average."""
    random = np.random.default_rng(3)
    rows = {}
    for name, design in DESIGNS.items():
        middles = np.linspace(5.5, 7, num) if design.is_judged else np.linspace(0.5, 0.65, num)
        made = replace(design, shares=tuple(middles))
        rows[name] = replace(to_rows(made, made.draw(random, 1)), scale=10.0 if design.is_judged else 1.0)
    average = average_rows([(each, each.scale) for each in rows.values()])
    assert average, "all models have rows"
    models = list(average.models)
    averages = to_scores(average)
    benchmarks = {name: to_scores(each) for name, each in rows.items()}
    scores = {
        model: ModelScores({name: benchmarks[name][model] for name in rows}, {}, {"average": averages[model]})
        for model in models
    }
    return Evaluations(scores, rows | {"average": average}), models


def to_scores(rows: ScoreRows) -> dict[str, Score]:
    values = weighted_means(rows.scores, rows.weights, rows.strata)
    return {
        model: Score(float(value), 0.01, scale=rows.scale) for model, value in zip(rows.models, values, strict=True)
    }
