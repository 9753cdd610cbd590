"""Replay judging until it is decided on real scores, and compare its intervals with confseq's, in one run.

python -m perf.sequential_judging judgments.parquet [--orders 200] [--confseq CHECKOUT/src]

The file has a row per model and session, as perf.preference reads it: dgm, session_id, judge_score. A session that all
models have is a question; the outcome of a pair on it is the sign of the two scores, a tie is a half. All outcomes are
known, so each random order of the questions shows what stopping early would have asked and said, beside what all
questions say. `--confseq` is the src folder of a checkout of github.com/gostevehoward/confseq, whose own dependencies
(matplotlib, multiprocess) must be importable.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from stages.lib.console.errors import UserError
from stages.lib.console.shell import exit_on_user_error
from stages.lib.core.pairs import Pair, all_pairs
from stages.lib.core.types import Floats
from stages.lib.judging.race import Rounds
from stages.lib.judging.sequential import EVEN, first_decisions, verdict_after
from stages.lib.settings.pairwise import Stop
from stages.lib.statistics.betting import anytime_interval, most_gained
from stages.lib.statistics.verdicts import Verdict

FEW = 80  # questions, as MT-Bench has
COMPARED = 200  # questions, at each of which confseq's bounds are computed
BREAKS = 1000  # of confseq's grid of means


@dataclass(frozen=True)
class Outcomes:
    """What the judge says of every pair on every question."""

    pairs: list[Pair]
    shares: Floats  # [pair, question]


class Setting(NamedTuple):
    """A rule that is replayed."""

    num: int  # questions
    is_drawn_back: bool  # whether the interval is about questions in general, not about these alone
    stop: Stop


class Replayed(NamedTuple):
    """What stopping early asked and said, on one order of the questions."""

    saved: float
    decided: int
    wrong: int  # verdicts that all questions contradict
    known: int  # models of which it is known if they are among the best
    is_found: bool  # the best are known, and are those by all questions
    is_right: bool  # no model is known to be what it is not by all questions


def read_outcomes(file: Path) -> Outcomes:
    """Read the outcomes of all pairs on the sessions that every model has."""
    rows = pd.read_parquet(file, columns=["dgm", "session_id", "judge_score"])
    rows = rows.assign(dgm=rows["dgm"].astype(str)).drop_duplicates(["dgm", "session_id"])
    scores = rows.pivot_table(index="session_id", columns="dgm", values="judge_score").dropna()
    pairs = all_pairs(scores.columns)
    signs = [np.sign(scores[one] - scores[other]) for one, other in pairs]
    return Outcomes(pairs, (np.array(signs, dtype=float) + 1) / 2)


def replay(shares: Floats, outcomes: Outcomes, setting: Setting) -> Replayed:
    """Ask about the questions of [pair, question] in their order until the rule says that it is enough."""
    rounds = Rounds(outcomes.pairs, shares.shape[1], setting.stop)
    first = first_decisions(shares, rounds.rule, None if setting.is_drawn_back else shares.shape[1])
    by_pair = {
        pair: {verdict: int(each[row]) for verdict, each in first.items()} for row, pair in enumerate(outcomes.pairs)
    }
    while places := rounds.next_round():
        rounds.record({pair: verdict_after(place.stop, by_pair[pair]) for pair, place in places.items()})
    finals = dict(zip(outcomes.pairs, shares.mean(axis=1), strict=True))
    verdicts = rounds.verdicts.values()
    return Replayed(
        1 - sum(rounds.asked.values()) / shares.size,
        sum(verdict != Verdict.NOT_DECIDED for verdict in verdicts),
        sum(is_wrong(verdict, finals[pair], setting.stop.margin) for pair, verdict in rounds.verdicts.items()),
        *check_best(rounds, finals, setting.stop.top),
    )


def is_wrong(verdict: Verdict, final: float, margin: float) -> bool:
    """Tell whether all questions contradict a verdict."""
    return {
        Verdict.BETTER: final <= EVEN,
        Verdict.WORSE: final >= EVEN,
        Verdict.EQUIVALENT: abs(final - EVEN) > margin,
        Verdict.NOT_DECIDED: False,
    }[verdict]


def check_best(rounds: Rounds, finals: dict[Pair, float], top: int) -> tuple[int, bool, bool]:
    """Return of how many models it is known if they are among the best, and whether that is all, and right.

    By all questions the best are those with the highest mean share against all others.
    """
    best = rounds.best
    if best is None:
        return 0, False, False
    sums: dict[str, float] = {}
    for (one, other), share in finals.items():
        sums[one] = sums.get(one, 0) + share
        sums[other] = sums.get(other, 0) + 1 - share
    true = set(sorted(sums, key=lambda model: -sums[model])[:top])
    is_right = true.issuperset(best.inside) and true.isdisjoint(best.outside)
    return len(best.inside) + len(best.outside), is_right and not best.unknown, is_right


def print_replays(outcomes: Outcomes, orders: int) -> None:
    """Print a line for each rule."""
    print(f"{len(outcomes.pairs)} pairs, {outcomes.shares.shape[1]:,} questions, {orders} orders\n")
    print(
        "| questions | interval about | alpha | margin | asked for | calls saved | pairs decided | orders with a",
        end="",
    )
    print(" wrong verdict | best found, as by all calls | no model wrong | models known |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for setting in list_settings(outcomes.shares.shape[1]):
        found = [replay(draw(outcomes.shares, order, setting.num), outcomes, setting) for order in range(orders)]
        print(describe(setting, found), flush=True)


def draw(shares: Floats, order: int, num: int) -> Floats:
    """Return the first questions of a random order."""
    return shares[:, np.random.default_rng(order).permutation(shares.shape[1])[:num]]


def list_settings(num: int) -> Iterator[Setting]:
    """Yield the rules: on all questions and on few, for all pairs and for the best, by both kinds of interval."""
    for size in (num, FEW):
        for is_drawn_back in (True, False):
            for top in (0, 3, 5, 8):
                yield Setting(size, is_drawn_back, Stop(alpha=0.05, margin=0.05, top=top))
    for alpha, margin in ((0.2, 0.05), (0.05, 0.1)):
        for top in (0, 5):
            yield Setting(num, True, Stop(alpha=alpha, margin=margin, top=top))


def describe(setting: Setting, found: list[Replayed]) -> str:
    """Return a line of the table."""
    columns = {name: np.array([getattr(one, name) for one in found]) for name in Replayed._fields}
    means = {name: values.mean() for name, values in columns.items()}
    stop, about = setting.stop, "questions in general" if setting.is_drawn_back else "these questions"
    best = ["", "", ""]
    if stop.top:
        best = [
            f"{columns['is_found'].mean():.3f}",
            f"{columns['is_right'].mean():.3f}",
            f"{columns['known'].mean():.1f}",
        ]
    cells = [
        *(f"{setting.num:,}", about, stop.alpha, stop.margin, f"best {stop.top}" if stop.top else "all pairs"),
        *(f"{means['saved']:.1%}", f"{means['decided']:.1f}", f"{(columns['wrong'] > 0).mean():.3f}"),
        *best,
    ]
    return f"| {' | '.join(map(str, cells))} |"


def print_coverage(outcomes: Outcomes, orders: int) -> None:
    """Print how often an interval holds its mean at all times, from the first question to the last."""
    shares, (num_pairs, num) = outcomes.shares, outcomes.shares.shape
    finals = shares.mean(axis=1)
    print(
        "\n| interval about | questions drawn | alpha of each pair | pairs that hold the mean at all times |",
        end="",
    )
    print(" orders in which all do |\n|---|---|---|---|---|")
    for total, is_drawn_back in ((None, False), (num, False), (None, True)):
        for alpha in (0.05, 0.05 / num_pairs):
            holds = np.array([
                holds_always(shares[:, draw_places(order, num, is_drawn_back)], finals, alpha, total)
                for order in range(orders)
            ])
            about = "questions in general" if total is None else "these questions"
            drawn = "with replacement" if is_drawn_back else "each once"
            print(
                f"| {about} | {drawn} | {alpha:.2g} | {holds.mean():.4f} | {holds.all(axis=1).mean():.3f} |", flush=True
            )


def draw_places(order: int, num: int, is_drawn_back: bool) -> np.ndarray:
    """Return a random order of all questions, or as many of them drawn with replacement."""
    random = np.random.default_rng(order)
    return random.integers(0, num, num) if is_drawn_back else random.permutation(num)


def holds_always(shares: Floats, means: Floats, alpha: float, total: int | None) -> np.ndarray:
    """Tell of which pairs the interval holds the mean at all times."""
    lower, upper = most_gained(shares, means, alpha, total)
    return np.asarray(np.maximum(lower, upper) < np.log(2 / alpha))


def print_confseq(outcomes: Outcomes, source: Path | None) -> None:
    """Print how far the bounds are from confseq's at every one of the first questions of some pairs."""
    if source is None:
        print("\nconfseq: not compared. git clone https://github.com/gostevehoward/confseq, and --confseq confseq/src")
        return
    sys.path.insert(0, str(source))
    vars(np).setdefault("float_", np.float64)  # a name of NumPy 1 in confseq's annotations
    try:
        from confseq.betting import betting_cs
    except ImportError as error:
        raise UserError(f"{source}: confseq cannot be imported from there ({error})") from None
    print(
        f"\n| interval about | questions | largest difference of a bound from confseq's (grid of {BREAKS:,}) |", end=""
    )
    print(" s, ours | s, confseq |\n|---|---|---|---|---|")
    for total, about in ((None, "questions in general"), (2 * COMPARED, "these questions")):
        gaps, seconds = [], np.zeros(2)
        for row in range(0, len(outcomes.pairs), len(outcomes.pairs) // 5):
            drawn = draw(outcomes.shares, row, COMPARED)[row]
            began = time.perf_counter()
            ours = np.array([anytime_interval(drawn[:num], 0.05, total=total) for num in range(1, COMPARED + 1)])
            middle = time.perf_counter()
            ends = betting_cs(drawn, alpha=0.05, N=total, breaks=BREAKS, running_intersection=True)
            seconds += middle - began, time.perf_counter() - middle
            gaps.append(np.abs(ours - np.stack(ends, axis=1)).max())
        print(
            f"| {about} | {len(gaps)} pairs, 1 to {COMPARED} | {max(gaps):.5f} | {seconds[0]:.1f} | {seconds[1]:.1f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("judgments", type=Path)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--confseq", type=Path, help="the src folder of a checkout of confseq")
    arguments = parser.parse_args()
    outcomes = read_outcomes(arguments.judgments)
    print_confseq(outcomes, arguments.confseq)
    print_replays(outcomes, arguments.orders)
    print_coverage(outcomes, arguments.orders)


if __name__ == "__main__":
    with exit_on_user_error("perf.sequential_judging"):
        main()
