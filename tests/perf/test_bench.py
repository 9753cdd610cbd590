"""How the speed of a run is counted while as many requests run as may."""

import pytest

from commands.pilot.forecasting.steady_state import Span
from perf.bench import speed_while_full


def test_the_tail_in_which_fewer_run_does_not_count() -> None:
    spans = [Span(0, 10, 0, 100), Span(0, 20, 0, 200), Span(10, 20, 0, 100), Span(20, 60, 0, 40)]
    assert speed_while_full(spans, at_once=2) == pytest.approx(400 / 20)


def test_a_reply_that_ends_in_the_tail_counts_with_its_share_of_the_time() -> None:
    spans = [Span(0, 10, 0, 100), Span(0, 40, 0, 80)]
    assert speed_while_full(spans, at_once=2) == pytest.approx((100 + 80 / 4) / 10)


def test_there_is_no_speed_when_never_enough_ran() -> None:
    assert speed_while_full([Span(0, 10, 0, 100)], at_once=100) == 0.0
