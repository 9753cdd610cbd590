"""Every two compared models, benchmark by benchmark: is the difference real?"""

from collections.abc import Sequence
from math import ceil, isfinite

import numpy as np
from scipy.stats import norm, t

from stages.lib.comparison.contrasts import Contrasts, Seeds, contrast
from stages.lib.comparison.evaluations import Evaluations
from stages.lib.comparison.score_rows import ScoreRows
from stages.lib.comparison.scores import TOLERANCE, combine
from stages.lib.core.pairs import Pair, all_pairs, pair_key
from stages.lib.core.types import Floats, Json
from stages.lib.settings.sections import Differences
from stages.lib.statistics.significance import adjust_p_values, mcnemar_test, rows_to_decide, sign_flip_test
from stages.lib.statistics.verdicts import Verdict, decide


def compare_pairs(evaluations: Evaluations, models: Sequence[str], settings: Differences) -> Json:
    """Compare every two models in every average and benchmark.

    The result is {measure: {"one other": cell}}; pairs without a score on both sides are left out. The p values of all
    benchmarks are one family for Benjamini and Hochberg, those of all averages another.
    """
    benchmarks = set(evaluations.benchmarks)
    cells = {name: compare_measure(evaluations, name, models, settings) for name in evaluations.measures}
    for family in (benchmarks, set(cells) - benchmarks):
        correct([cell for name in cells if name in family for cell in cells[name].values()])
    return {
        name: {pair: add_verdict(cell, settings.margin * cell["scale"]) for pair, cell in pairs.items()}
        for name, pairs in cells.items()
    }


def correct(cells: Sequence[Json]) -> None:
    """Add q to cells that have p, which are one family."""
    tested = [cell for cell in cells if cell["p"] is not None]
    for cell, q in zip(tested, adjust_p_values(np.array([cell["p"] for cell in tested])), strict=True):
        cell["q"] = float(q)


def add_verdict(cell: Json, margin: float) -> Json:
    """Add the verdict of a difference, and of one that is not decided how many rows would decide it.

    These are enough in 80 % of cases if the difference is as large as it was measured; the correction for many tests,
    which may ask for more, is left out. Where rows belong together they are clusters. None where no number of rows
    would decide, as the training seeds differ too much.
    """
    if cell["ci95"] is None:
        return cell | {"q": None, "verdict": Verdict.NOT_DECIDED, "rows_to_decide": None}
    verdict = decide(cell["value"], cell["ci95"], cell["q"], margin)
    missing = count_missing(cell, margin) if verdict == Verdict.NOT_DECIDED else None
    return cell | {"verdict": verdict, "rows_to_decide": missing}


def count_missing(cell: Json, margin: float) -> int | None:
    """Return how many rows would decide; None where no number would, as the seeds differ too much."""
    noise = {"extra": cell["extra"], "seed_stderr": cell["seed_stderr"]}
    rows = rows_to_decide(cell["value"], cell["deviation"], margin, **noise)
    return ceil(rows) if isfinite(rows) else None


def compare_measure(
    evaluations: Evaluations, name: str, models: Sequence[str], settings: Differences
) -> dict[str, Json]:
    """Compare every two models in one average or benchmark, by pair; without q."""
    pairs = [pair for pair in all_pairs(models) if all(evaluations.has(model, name) for model in pair)]
    paired = [pair for pair in pairs if evaluations.are_paired(name, pair)]
    cells = compare_rows(evaluations.rows[name], paired, evaluations.seeds, settings) if paired else {}
    cells |= {pair_key(pair): compare_scores(evaluations, name, pair) for pair in pairs if pair not in set(paired)}
    return {pair_key(pair): cells[pair_key(pair)] for pair in pairs}


def compare_scores(evaluations: Evaluations, name: str, pair: Pair) -> Json:
    """Compare two models whose rows do not make their scores: as independent, by the normal distribution."""
    one, other = (evaluations.score(model, name) for model in pair)
    assert one and other, "both have a score"
    difference = combine([(1, one), (-1, other)])
    z = abs(difference.value) / difference.stderr if difference.stderr else None
    clusters = min(one.clusters, other.clusters)
    return {
        "value": difference.value,
        "ci95": difference.ci95 if difference.stderr else None,
        "p": float(2 * norm.sf(z)) if z is not None else None,
        "test": "independent",
        "n": int(clusters),
        "deviation": (difference.stderr or 0.0) * clusters**0.5,
        "scale": one.scale,
        "seed_share": None,
        "seed_stderr": 0.0,
        "extra": 0.0,
    }


def compare_rows(rows: ScoreRows, pairs: Sequence[Pair], seeds: Seeds, settings: Differences) -> dict[str, Json]:
    """Compare pairs of models row by row."""
    units = list(dict.fromkeys(model for pair in pairs for model in pair))
    factors: Floats = np.zeros((len(units), len(pairs)))
    for column, (one, other) in enumerate(pairs):
        factors[[units.index(one), units.index(other)], column] = 1, -1
    made = contrast(rows, units, factors, seeds)
    p, kinds = compute_p_values(rows, pairs, made, seeds, settings)
    shares = np.nan_to_num(made.seed_shares)
    extra = 2 * (rows.bounds[1] - rows.bounds[0]) ** 2 if rows.is_one_binary else 0.0
    deviations = row_deviations(made.stderrs * np.sqrt(1 - shares), made.clusters, extra)
    is_known = np.isfinite(made.ends.sum(axis=1))  # not if it, or one of its parts, has one row
    return {
        pair_key(pair): {
            "value": float(made.values[column]),
            "ci95": [float(end) for end in made.ends[column]] if is_known[column] else None,
            "p": float(p[column]) if is_known[column] else None,
            "test": kinds[column],
            "n": int(made.clusters[column]),
            "deviation": float(deviations[column]) if is_known[column] else None,
            "extra": extra,
            "scale": rows.scale,
            "seed_share": None if np.isnan(made.seed_shares[column]) else float(made.seed_shares[column]),
            "seed_stderr": float(made.stderrs[column] * np.sqrt(shares[column])) if is_known[column] else None,
        }
        for column, pair in enumerate(pairs)
    }


def row_deviations(stderrs: Floats, clusters: Floats, extra: float) -> Floats:
    """Return the standard deviations of the differences of rows, or of clusters, from their standard errors.

    `extra` are the squares of two further rows that the errors count (Bonett and Price), or 0.
    """
    added = 2 if extra else 0
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = stderrs**2 * (clusters + added) ** 2 - extra
        deviations: Floats = np.sqrt(np.where(squares > TOLERANCE, squares, 0.0) / clusters)
    return deviations


def compute_p_values(
    rows: ScoreRows, pairs: Sequence[Pair], made: Contrasts, seeds: Seeds, settings: Differences
) -> tuple[Floats, list[str]]:
    """Return the p of each pair and the name of its test.

    McNemar's exact test where rows are right or wrong and stand alone, else a permutation test that flips the sign of
    whole clusters; Student's where a run has several seeds, whose noise no flip of a row shows.
    """
    has_seeds = np.array([any(len(seeds.get(model, ())) > 1 for model in pair) for pair in pairs])
    is_simple = rows.stand_alone and rows.is_one_binary
    p: Floats = np.ones(len(pairs))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = np.where(made.values == 0, 0.0, np.abs(made.values) / made.stderrs)
        p[has_seeds] = 2 * t.sf(ratios, made.df)[has_seeds]
    alone = ~has_seeds
    if is_simple:
        p[alone] = mcnemar_test((made.sums > 0).sum(axis=0), (made.sums < 0).sum(axis=0))[alone]
    elif alone.any():
        p[alone] = sign_flip_test(made.sums[:, alone], settings.resamples, settings.seed)
    return p, ["seeds" if seeds else "mcnemar" if is_simple else "permutation" for seeds in has_seeds]


def describe_scores(evaluations: Evaluations, models: Sequence[str]) -> Json:
    """Describe the score of every model in every measure that it has: value, interval and number of training seeds."""
    return {
        model: {
            name: {"value": score.value, "ci95": score.ci95, "seeds": len(evaluations.models_of(model))}
            for name in evaluations.measures
            if (score := evaluations.score(model, name))
        }
        for model in models
    }


def describe_seeds(evaluations: Evaluations) -> Json:
    """Describe how the models of each run with several seeds differ, measure by measure.

    `seed_sd` is the standard deviation between the seeds, `row_stderr` the standard error of one model by its rows.
    """
    return {
        run: {
            "models": list(models),
            "measures": {
                name: describe_spread(evaluations, name, models)
                for name in evaluations.measures
                if evaluations.has(run, name)
            },
        }
        for run, models in evaluations.seeds.items()
    }


def describe_spread(evaluations: Evaluations, name: str, models: Sequence[str]) -> Json:
    """Describe the scores of one run's models in a measure, and the noise that would be there with one seed alone."""
    known = [evaluations.scores[model].all[name] for model in models]
    values = np.array([score.value for score in known])
    values = np.where(np.ptp(values) <= TOLERANCE, values[0], values)
    errors = [score.stderr for score in known if score.stderr is not None]
    return {
        "scores": [float(value) for value in values],
        "mean": float(values.mean()),
        "seed_sd": float(values.std(ddof=1)),
        "largest_difference": float(values.max() - values.min()),
        "row_stderr": float(np.mean(errors)) if len(errors) == len(known) else None,
    }
