"""Simulate how often intervals hold the truth and tests err, compare them with statsmodels and scipy, and print it.

python -m perf.significance [--data CHECKOUT] [--judgments judgments.parquet] [--repetitions 1000]

Each line of the table says how often a 95 % interval held the true value, or how often a test at 5 % (or a verdict)
said so, in that many made-up repetitions; in brackets is the exact interval of the share itself. "worse" is what lies
below .95, or above an error rate of .05, with all of that interval; a power has no mark. `--data` is a folder with
data/evaluations and data/judgments of a pipeline that ran, `--judgments` a file as perf.preference reads it: how many
verdicts change when the rows are paired.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from perf.paired_verdicts import print_pairing, print_times
from perf.reference_statistics import compare_references
from perf.simulated_scores import BATCH
from perf.simulations import Finding, simulate_all
from stages.lib.console.shell import exit_on_user_error
from stages.lib.statistics.intervals import share_interval

REPETITIONS = 1000
SEED = 17


@dataclass(frozen=True)
class Marked:
    """A finding with the interval of its share, and whether it is worse than nominal beyond it."""

    finding: Finding
    ends: list[float]

    @property
    def is_worse(self) -> bool:
        """Whether all of the interval is on the wrong side of what is nominal."""
        nominal = self.finding.nominal
        if nominal is None:
            return False
        return self.ends[1] < nominal if self.finding.is_coverage else self.ends[0] > nominal


def mark(finding: Finding) -> Marked:
    ends = finding.ends or share_interval(finding.hits, finding.total)
    assert ends, "there are repetitions"
    return Marked(finding, ends)


def format_rows(found: list[Marked]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield "| what | n | nominal | found | |"
    yield "|---|---|---|---|---|"
    for marked in found:
        it, (low, high) = marked.finding, marked.ends
        nominal = "" if it.nominal is None else f"{it.nominal:.2f}"
        worse = "worse" if marked.is_worse else ""
        yield f"| {it.what} | {it.size} | {nominal} | {it.found:.3f} ({low:.3f} to {high:.3f}) | {worse} |"


def main() -> None:
    """Simulate, compare, and count verdicts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    parser.add_argument("--judgments", type=Path)
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--only", default="", help="simulate what begins with this, e.g. seeds")
    options = parser.parse_args()
    if options.repetitions < BATCH:
        parser.error(f"--repetitions {options.repetitions}: at least {BATCH}")
    found = [mark(finding) for finding in simulate_all(options.repetitions, SEED, options.only)]
    print("\n".join(format_rows(found)))
    print(f"{sum(marked.is_worse for marked in found)} of {len(found)} are worse than nominal\n")
    if options.only:
        return
    compare_references(SEED)
    print_pairing(options.data, options.judgments)
    print_times()


if __name__ == "__main__":
    with exit_on_user_error("perf.significance"):
        main()
