"""Our intervals and tests beside those of statsmodels and scipy, on the same made-up data: the largest difference."""

from collections.abc import Iterator
from itertools import product

import numpy as np
from scipy.stats import binomtest, permutation_test, t, ttest_1samp
from statsmodels.api import OLS
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import normal_sample_size_one_tail
from statsmodels.stats.proportion import proportion_confint

from perf.simulated_scores import Design, to_rows
from stages.lib.comparison.contrasts import contrast
from stages.lib.core.types import Floats
from stages.lib.statistics.intervals import clustered_means, exact_interval
from stages.lib.statistics.significance import (
    ALPHA,
    POWER,
    adjust_p_values,
    mcnemar_test,
    rows_to_decide,
    sign_flip_test,
)

COUNTS = [(count, total) for total in (1, 7, 20, 541) for count in (0, 1, total // 2, total)]
DIFFERENCE = np.array([[1.0], [-1.0]])


def compare_references(seed: int) -> None:
    """Print the largest absolute difference of each of our functions from its reference."""
    print("| ours | reference | cases | largest difference |")
    print("|---|---|---|---|")
    for ours, reference, differences in list_differences(np.random.default_rng(seed)):
        print(f"| {ours} | {reference} | {len(differences)} | {max(differences):.1e} |")
    print()


def list_differences(random: np.random.Generator) -> Iterator[tuple[str, str, list[float]]]:
    yield "exact_interval", "scipy binomtest", [_differ_from_binomtest(*counts) for counts in COUNTS]
    yield "exact_interval", "statsmodels proportion_confint, beta", [_differ_from_beta(*counts) for counts in COUNTS]
    yield (
        "mcnemar_test",
        "statsmodels mcnemar, exact",
        [_differ_from_mcnemar(*counts) for counts in product(range(12), range(12)) if sum(counts)],
    )
    columns = [random.integers(-3, 4, (rows, 5)).astype(float) for rows in (2, 5, 8, 10)]
    yield "sign_flip_test, all ways", "scipy permutation_test", [_differ_from_scipy(each, 2000) for each in columns]
    columns = [random.normal(0.15, 1, (rows, 5)) for rows in (40, 200)]
    title = "sign_flip_test, 100,000 random ways each (p has an error of .0016 at most)"
    yield title, "scipy permutation_test", [_differ_from_scipy(each, 100_000) for each in columns]
    families = [random.random(size) ** 3 for size in (1, 2, 45, 1431)]
    yield "adjust_p_values", "statsmodels multipletests, fdr_bh", [_differ_from_fdr(p) for p in families]
    designs = [Design(rows, (0.7, 0.6), sizes=(1, 2, 3)) for rows in (5, 20, 200)]
    yield "clustered_means", "statsmodels OLS, cov_type cluster", [_differ_from_ols(random, each) for each in designs]
    cases = list(product((0.01, 0.05, 0.2), (0.3, 1.0)))
    yield (
        "rows_to_decide, no margin",
        "statsmodels normal_sample_size_one_tail, relative",
        [_differ_from_size(*it) for it in cases],
    )
    simple = [Design(rows, (0.7, 0.6), agreement) for rows, agreement in product((5, 20, 200), (0.2, 0.98))]
    yield (
        "contrast, right or wrong",
        "Bonett and Price's formula, with Student's t",
        [_differ_from_bonett(random, each) for each in simple],
    )
    judged = [Design(rows, (6.0, 5.5), is_judged=True) for rows in (5, 20, 200)]
    yield "contrast, scores", "scipy ttest_1samp", [_differ_from_ttest(random, each) for each in judged]


def _largest(ours: Floats, theirs: object) -> float:
    return float(np.abs(np.asarray(ours) - np.asarray(theirs)).max())


def _differ_from_binomtest(count: int, total: int) -> float:
    theirs = binomtest(count, total).proportion_ci(0.95, method="exact")
    return _largest(exact_interval(np.array(count), np.array(total)), [theirs.low, theirs.high])


def _differ_from_beta(count: int, total: int) -> float:
    theirs = proportion_confint(count, total, ALPHA, method="beta")
    return _largest(exact_interval(np.array(count), np.array(total)), np.nan_to_num(theirs))


def _differ_from_mcnemar(one: int, other: int) -> float:
    theirs = mcnemar([[3, one], [other, 4]], exact=True).pvalue
    return _largest(mcnemar_test(np.array([one]), np.array([other])), [theirs])


def _differ_from_scipy(columns: Floats, resamples: int) -> float:
    tested = permutation_test(
        (columns,),
        lambda rows, axis: rows.sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=1000,
        axis=0,
        rng=np.random.default_rng(1),
    )
    return _largest(sign_flip_test(columns, resamples, 2), np.minimum(1, tested.pvalue))


def _differ_from_fdr(p: Floats) -> float:
    return _largest(adjust_p_values(p), multipletests(p, method="fdr_bh")[1])


def _differ_from_ols(random: np.random.Generator, design: Design) -> float:
    scores, clusters = design.draw(random, 1)[:, 0, :1, 0], design.clusters
    options = {"groups": clusters, "use_correction": False}
    fit = OLS(scores[:, 0], np.ones(len(scores))).fit(cov_type="cluster", cov_kwds=options)
    ours = clustered_means(scores, clusters)
    num = float(ours.clusters[0])
    return _largest(ours.stderrs, fit.bse * np.sqrt(num / (num - 1)))


def _differ_from_size(difference: float, deviation: float) -> float:
    theirs = normal_sample_size_one_tail(difference, POWER, ALPHA / 2, std_null=deviation)
    return float(abs(rows_to_decide(difference, deviation, 1e-6) / theirs - 1))


def _differ_from_bonett(random: np.random.Generator, design: Design) -> float:
    scores = design.draw(random, 1)
    one, other = scores[:, 0, :, 0].T
    num = len(one)
    first, second = (((one > other).sum() + 1) / (num + 2), ((one < other).sum() + 1) / (num + 2))
    half = t.ppf(0.975, num - 1) * np.sqrt((first + second - (first - second) ** 2) / (num + 2))
    made = contrast(to_rows(design, scores), ["0.0", "0.1"], DIFFERENCE, {"0.0": ["0.0.0"], "0.1": ["0.1.0"]})
    return _largest(made.ends, [[first - second - half, first - second + half]])


def _differ_from_ttest(random: np.random.Generator, design: Design) -> float:
    scores = design.draw(random, 1)
    theirs = ttest_1samp(scores[:, 0, 0, 0] - scores[:, 0, 1, 0], 0).confidence_interval()
    made = contrast(to_rows(design, scores), ["0.0", "0.1"], DIFFERENCE, {"0.0": ["0.0.0"], "0.1": ["0.1.0"]})
    return _largest(made.ends, [list(theirs)])
