"""The simulations of perf.significance: each draws data whose truth is known, and counts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, product
from math import ceil

import numpy as np
from scipy.special import expit

from perf.simulated_scores import SETTINGS, Design, repeat, to_rows
from stages.lib.comparison.differences import add_verdict, compare_rows, correct
from stages.lib.comparison.scores import average_shares, bounded_score
from stages.lib.core.types import Floats
from stages.lib.judging.length_control import length_controlled_rate
from stages.lib.judging.preference import SCORES
from stages.lib.statistics.bootstrap import Bootstrap
from stages.lib.statistics.intervals import SHARE, clustered_means, score_interval
from stages.lib.statistics.significance import ALPHA, adjust_p_values, rows_to_decide
from stages.lib.statistics.verdicts import Verdict

COVERAGE = 0.95
TWO = (1.0, -1.0)  # the factors of one model less another
TURNS, INSTRUCTIONS = (2,), (1, 2, 3)  # the sizes of clusters


@dataclass(frozen=True)
class Finding:
    """How often something held in repetitions; `nominal` None: there is no right value."""

    what: str
    size: str
    nominal: float | None
    hits: int
    total: int
    is_coverage: bool = True
    mean: float | None = None  # instead of a share of repetitions
    ends: list[float] | None = None  # of the mean

    @property
    def found(self) -> float:
        """The share, or the mean."""
        return self.hits / self.total if self.mean is None else self.mean


def simulate_all(num: int, seed: int, only: str) -> Iterator[Finding]:
    """Make every simulation, each with its own generator, so that one alone gives the same."""
    for number, (name, simulate) in enumerate(SIMULATIONS.items()):
        if name.startswith(only):
            yield from simulate(np.random.default_rng([seed, number]), num)


def coverage(what: str, size: object, ends: Floats, truth: float) -> Finding:
    held = (ends[:, 0] <= truth + 1e-12) & (truth - 1e-12 <= ends[:, 1])
    return Finding(what, str(size), COVERAGE, int(held.sum()), len(ends))


def errors(what: str, size: object, p: Floats) -> Finding:
    return Finding(f"error rate: {what}", str(size), ALPHA, int((p <= ALPHA).sum()), len(p), is_coverage=False)


def power(what: str, size: object, p: Floats) -> Finding:
    return Finding(f"power: {what}", str(size), None, int((p <= ALPHA).sum()), len(p))


def simulate_scores(random: np.random.Generator, num: int) -> Iterator[Finding]:
    """Simulate the intervals of single scores."""
    for share, rows in product((0.5, 0.9, 0.99, 1.0), (20, 50, 200, 1000)):
        yield cover_score(random, num, f"share of {share}", Design(rows, (share,)))
    for share, rows in product((0.5, 0.9, 0.99), (20, 50, 200)):
        yield cover_score(random, num, f"share of {share}, two turns a question", Design(rows, (share,), sizes=TURNS))
        what = f"share of {share}, one to three instructions a prompt"
        yield cover_score(random, num, what, Design(rows, (share,), sizes=INSTRUCTIONS))
    for middle, rows in product((5.5, 9.0), (20, 80)):
        design = Design(rows, (middle,), sizes=TURNS, is_judged=True)
        yield cover_score(random, num, f"score of 1 to 10, mean {design.truths[0]:.1f}, two turns a question", design)


def cover_score(random: np.random.Generator, num: int, what: str, design: Design) -> Finding:
    means = clustered_means(design.draw(random, num)[:, :, 0, 0], design.clusters)
    bounds = SCORES if design.is_judged else SHARE
    ends = score_interval(means.values, means.stderrs, means.clusters, bounds)
    return coverage(what, design.rows, ends, float(design.truths[0]))


def simulate_averages(random: np.random.Generator, num: int) -> Iterator[Finding]:
    """Simulate the interval of a model's average over benchmarks."""
    for sizes in ((50, 200, 1000), (20, 1000), (30, 30, 30)):
        designs = [Design(rows, (share,)) for rows, share in zip(sizes, (0.3, 0.6, 0.95), strict=False)]
        means = [clustered_means(design.draw(random, num)[:, :, 0, 0], design.clusters) for design in designs]
        ends = [
            average_shares([
                bounded_score(float(mean.values[place]), float(mean.stderrs[place]), float(mean.clusters[place]), SHARE)
                for mean in means
            ]).ends
            for place in range(num)
        ]
        truth = float(np.mean([design.truths[0] for design in designs]))
        yield coverage(f"average of {len(sizes)} benchmarks", " + ".join(map(str, sizes)), np.array(ends), truth)


def simulate_pairs(random: np.random.Generator, num: int) -> Iterator[Finding]:
    """Simulate the intervals of paired differences."""
    for agreement, shares, rows in product((0.2, 0.98), ((0.6, 0.6), (0.7, 0.6), (0.99, 0.97)), (20, 50, 200, 1000)):
        alike = "much" if agreement > 0.9 else "little"
        what = f"difference of shares of {shares[0]} and {shares[1]}, {alike} agreement"
        yield cover_contrast(random, num, what, [Design(rows, shares, agreement)])
    for rows in (20, 50, 200):
        yield cover_contrast(random, num, "difference, two turns a question", [Design(rows, (0.7, 0.6), sizes=TURNS)])
        what = "difference, one to three instructions a prompt"
        yield cover_contrast(random, num, what, [Design(rows, (0.7, 0.6), sizes=INSTRUCTIONS)])
    for rows in (20, 80):
        for middles in ((6.0, 5.5), (9.5, 9.0)):
            design = Design(rows, middles, sizes=TURNS, is_judged=True)
            means = " and ".join(f"{truth:.1f}" for truth in design.truths)
            yield cover_contrast(random, num, f"difference of scores of {means}, two turns a question", [design])
    yield from simulate_contrasts(random, num)


def simulate_contrasts(random: np.random.Generator, num: int) -> Iterator[Finding]:
    """Simulate the intervals of differences of averages, of a blend less its parts, and of slopes."""
    for sizes in ((50, 200, 1000), (20, 1000), (30, 30, 30)):
        designs = [Design(rows, (0.7, 0.6)) for rows in sizes]
        yield cover_contrast(random, num, "difference of averages", designs, size=" + ".join(map(str, sizes)))
    judged = Design(80, (6.0, 5.5), sizes=TURNS, is_judged=True)
    mixed = [judged, Design(541, (0.7, 0.6), sizes=INSTRUCTIONS)]
    yield cover_contrast(random, num, "difference of averages, one of them scores", mixed, size="80 + 541")
    for rows in (20, 50, 200):
        blend = [Design(rows, (0.7, 0.75, 0.6))]
        yield cover_contrast(random, num, "blend less the mean of its parts", blend, (1.0, -0.5, -0.5))
        scaling = [Design(rows, (0.5, 0.55, 0.6))]
        yield cover_contrast(random, num, "slope per doubling, three sizes", scaling, (-0.5, 0.0, 0.5))


def cover_contrast(
    random: np.random.Generator,
    num: int,
    what: str,
    designs: list[Design],
    factors: tuple[float, ...] = TWO,
    size: str = "",
) -> Finding:
    made = repeat(random, designs, factors, num)
    return coverage(what, size or designs[0].rows, made.ends, true_contrast(designs, factors))


def true_contrast(designs: list[Design], factors: tuple[float, ...]) -> float:
    scales = [10.0 if design.is_judged and len(designs) > 1 else 1.0 for design in designs]
    truths = [design.truths @ np.array(factors) / scale for design, scale in zip(designs, scales, strict=True)]
    return float(np.mean(truths))


def simulate_seeds(random: np.random.Generator, num: int) -> Iterator[Finding]:
    """Simulate runs that were trained with several seeds: intervals, and Student's test."""
    for noise, seeds, rows in product((0.0, 0.1), (1, 2, 3, 5), (200, 1000)):
        kind = f"{seeds} seed{'s' * (seeds > 1)}, {'with' if noise else 'without'} noise of seeds"
        one, other = Design(rows, (0.7, 0.6), seeds=seeds, seed_noise=noise), Design(rows, (0.6, 0.6))
        made = repeat(random, [one], TWO, num)
        null = repeat(random, [Design(rows, other.shares, seeds=seeds, seed_noise=noise)], TWO, num)
        found = [
            coverage(f"difference of runs of {kind}", rows, made.ends, true_contrast([one], TWO)),
            errors(f"runs of {kind}", rows, null.p),
        ]
        known = seeds == 1 and noise > 0  # one seed says nothing of others, and the page says so
        yield from (without_nominal(finding) if known else finding for finding in found)
        yield power(f"runs of {kind}, 10 points apart", rows, made.p)


def without_nominal(finding: Finding) -> Finding:
    return Finding(finding.what, finding.size, None, finding.hits, finding.total, finding.is_coverage)


def simulate_bootstrap(random: np.random.Generator, num: int) -> Iterator[Finding]:
    """Simulate the bootstrap of skewed counts (a gamma's Poisson, alike in the two answers of a question)."""
    for shape, questions in product((0.3, 2.0), (20, 80, 320)):
        rates = random.gamma(shape, 4.0 / shape, (questions, num))
        counts = random.poisson(np.repeat(rates, 2, axis=0)).astype(float)
        ends = Bootstrap(np.repeat(np.arange(questions), 2), 2000, 3).mean_interval(counts)
        yield coverage(f"bootstrap of counts, {'very' if shape < 1 else 'little'} skewed", questions, ends, 4.0)


def simulate_length_control(random: np.random.Generator, num: int) -> Iterator[Finding]:
    """Simulate the rate at equal length: replies that are longer by d characters win by a logistic curve of d."""
    for questions in (40, 80, 320):
        ends = np.array([draw_rate(random, questions) for _ in range(num)])
        yield coverage("length-controlled rate of .62", questions, ends, float(expit(0.5)))


def draw_rate(random: np.random.Generator, questions: int) -> list[float]:
    """Return the interval of one repetition; the truth is that of the fitted curve, whose scale is the sample's."""
    extra = random.normal(200, 500, questions)
    wins = random.random(questions) < expit(0.5 + 0.8 * np.tanh(extra / extra.std()))
    ends: list[float] = length_controlled_rate(np.where(wins, 1.0, -1.0), extra, np.arange(questions))["ci95"]
    return ends


def simulate_tests(random: np.random.Generator, num: int) -> Iterator[Finding]:
    """Simulate the tests without seeds, under the null and with a difference."""
    kinds: list[tuple[str, Callable[[int, tuple[float, float]], list[Design]]]] = [
        ("McNemar's, little agreement", lambda rows, shares: [Design(rows, shares, 0.2)]),
        ("McNemar's, much agreement", lambda rows, shares: [Design(rows, shares, 0.95)]),
        ("signs of questions flipped, two turns", lambda rows, shares: [Design(rows, shares, sizes=TURNS)]),
        ("signs of rows flipped, average", lambda rows, shares: [Design(rows, shares), Design(4 * rows, shares)]),
    ]
    for (kind, build), rows in product(kinds, (20, 100, 400)):
        yield errors(kind, rows, repeat(random, build(rows, (0.6, 0.6)), TWO, num).p)
        yield power(f"{kind}, 10 points apart", rows, repeat(random, build(rows, (0.7, 0.6)), TWO, num).p)
    for rows in (20, 80):
        alike, apart = ([Design(rows, (middle, 5.5), sizes=TURNS, is_judged=True)] for middle in (5.5, 6.0))
        yield errors("signs of questions flipped, scores of 1 to 10", rows, repeat(random, alike, TWO, num).p)
        apart_p = repeat(random, apart, TWO, num).p
        yield power("signs of questions flipped, scores of 1 to 10, half a point apart", rows, apart_p)


def simulate_families(random: np.random.Generator, num: int) -> Iterator[Finding]:
    """Simulate the false discoveries of Benjamini and Hochberg among all pairs of 10 models on the same 300 rows."""
    for shares in ((0.6,) * 10, (0.6,) * 5 + (0.7,) * 5):
        design = Design(300, shares)
        pairs = list(combinations(range(10), 2))
        are_equal = np.array([shares[one] == shares[other] for one, other in pairs])
        false_shares, found = [], 0
        for _ in range(num):
            rows = to_rows(design, design.draw(random, 1))
            named = [(rows.models[one], rows.models[other]) for one, other in pairs]
            p = np.array([cell["p"] for cell in compare_rows(rows, named, {}, SETTINGS).values()])
            called = adjust_p_values(p) <= ALPHA
            false_shares.append((called & are_equal).sum() / max(1, called.sum()))
            found += int((called & ~are_equal).sum())
        yield average_finding(f"false discoveries, {are_equal.sum()} of 45 pairs equal", 300, np.array(false_shares))
        if not are_equal.all():
            what = "power: Benjamini and Hochberg, 25 pairs 10 points apart"
            yield Finding(what, "300", None, found, num * int((~are_equal).sum()))


def average_finding(what: str, size: object, values: Floats) -> Finding:
    mean, half = float(values.mean()), float(1.96 * values.std(ddof=1) / np.sqrt(len(values)))
    return Finding(what, str(size), ALPHA, 0, len(values), False, mean, [mean - half, mean + half])


def simulate_verdicts(random: np.random.Generator, num: int) -> Iterator[Finding]:
    """Simulate the verdicts on a pair that is a family of its own, and the rows that are to decide."""
    for agreement, rows in product((0.2, 0.9), (50, 200, 1000, 4000)):
        words = f"agreement {agreement}"
        said = draw_verdicts(random, num, Design(rows, (0.6, 0.6), agreement))
        wrong = sum(verdict in (Verdict.BETTER, Verdict.WORSE) for verdict in said)
        yield Finding(f"better or worse, of equals, {words}", str(rows), ALPHA, wrong, num, False)
        for apart in (0.05, 0.06):
            said = draw_verdicts(random, num, Design(rows, (0.6 + apart, 0.6), agreement))
            what = f"equivalent, of two {100 * apart:.0f} points apart with a margin of 5, {words}"
            yield Finding(what, str(rows), ALPHA, said.count(Verdict.EQUIVALENT), num, False)
    for agreement, apart in product((0.2, 0.9), (0.0, 0.01, 0.02, 0.03, 0.04, 0.08)):
        yield decide_with_rows(random, num, agreement, apart)


def draw_verdicts(random: np.random.Generator, num: int, design: Design) -> list[Verdict]:
    """Return the verdict of each repetition, through the cells of the stage."""
    return [verdict for _ in range(0, num, 100) for verdict in _judge_batch(random, design, min(num, 100))]


def _judge_batch(random: np.random.Generator, design: Design, num: int) -> list[Verdict]:
    rows = to_rows(design, design.draw(random, num))
    pairs = list(zip(rows.models[::2], rows.models[1::2], strict=True))
    cells = list(compare_rows(rows, pairs, {}, SETTINGS).values())
    for cell in cells:
        correct([cell])
    return [add_verdict(cell, SETTINGS.margin)["verdict"] for cell in cells]


def decide_with_rows(random: np.random.Generator, num: int, agreement: float, apart: float) -> Finding:
    """Count how often the rows decide that `rows_to_decide` asks for when it is told the truth."""
    many = Design(200_000, (0.6 + apart, 0.6), agreement)
    scores = many.draw(random, 1)[:, 0, :, 0]
    rows = ceil(rows_to_decide(apart, float((scores[:, 0] - scores[:, 1]).std()), SETTINGS.margin))
    said = draw_verdicts(random, num, Design(rows, many.shares, agreement))
    decided = said.count(Verdict.EQUIVALENT) + (said.count(Verdict.BETTER) if apart else 0)
    return Finding(
        f"decided rightly by rows_to_decide (.80), {100 * apart:.0f} points apart, agreement {agreement}",
        str(rows),
        None,
        decided,
        num,
    )


SIMULATIONS: dict[str, Callable[[np.random.Generator, int], Iterator[Finding]]] = {
    "scores": simulate_scores,
    "averages": simulate_averages,
    "pairs": simulate_pairs,
    "seeds": simulate_seeds,
    "bootstrap": simulate_bootstrap,
    "length": simulate_length_control,
    "tests": simulate_tests,
    "families": simulate_families,
    "verdicts": simulate_verdicts,
}
