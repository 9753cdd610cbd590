"""Verdicts in words: better, worse, equivalent, or not decided."""

import pytest

from stages.lib.statistics.verdicts import decide


@pytest.mark.parametrize(
    ("value", "ci95", "q", "verdict"),
    [
        (0.1, [0.02, 0.18], 0.01, "better"),
        (-0.1, [-0.18, -0.02], 0.01, "worse"),
        (0.1, [0.02, 0.18], 0.2, "not decided"),  # one of many pairs: q says chance
        (0.1, [-0.01, 0.21], 0.04, "not decided"),  # the test says so, its interval does not
        (0.02, [-0.01, 0.05], 1.0, "equivalent"),
        (0.03, [0.01, 0.05], 0.001, "equivalent"),  # real, but within the margin
        (0.03, [0.01, 0.06], 0.001, "better"),
        (0.0, [-0.06, 0.06], 1.0, "not decided"),
    ],
)
def test_a_verdict_needs_the_interval_and_the_test_unless_the_margin_holds_all(value, ci95, q, verdict):
    assert decide(value, ci95, q, 0.05) == verdict
