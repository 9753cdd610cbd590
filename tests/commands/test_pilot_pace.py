"""How fast a long run will be, by the pace of a pilot."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytest import approx

from commands.pilot.forecasting.pace import UNKNOWN, Pace, largest_pace, measure_pace, play, predict_seconds
from commands.pilot.forecasting.steady_state import Span, Stopwatch
from commands.pilot.job import Job
from stages.lib.engines.base import Reply, Request
from stages.lib.engines.echo import EchoEngine
from tests.support.conversations import CONFIG, MODEL
from tests.support.pilot import make_job, make_settings

SECONDS = 0.01  # for a token of a conversation that runs alone
PILOT = [20 + 37 * number % 400 for number in range(100)]
LONG_RUN = [20 + 53 * number % 400 for number in range(2_000)]


def spans_of(works: Sequence[int], power: float) -> list[Span]:
    """The requests of conversations of one turn and these tokens, all begun at once on an engine of that power."""
    ends, clock, moment = {}, 0.0, 0.0
    for running, work in zip(range(len(works), 0, -1), sorted(works), strict=True):
        moment += (work - clock) * SECONDS * running ** (1 - power)
        ends[work] = moment
        clock = work
    return [Span(0.0, ends[work], 9, work, str(number)) for number, work in enumerate(works)]


def test_conversations_under_way_share_the_engine_and_the_next_begins_when_one_ends() -> None:
    assert play([10, 20], 2, power=0.0) == 30  # as one after the other
    assert play([10, 20], 2, power=1.0) == 20  # each as fast as alone
    assert play([10, 20, 5], 2, power=1.0) == 20
    assert play([10, 20, 5], 1, power=0.5) == 35
    assert play([], 2, power=0.5) == 0


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("at_once", [50, 100, 256])
def test_a_long_run_takes_what_the_pilots_pace_says(power: float, at_once: int) -> None:
    pace = measure_pace(spans_of(PILOT, power), 7.0)
    assert (pace.at_once, pace.start_seconds) == (100, 7.0)
    assert (pace.power, pace.seconds) == approx((power, SECONDS))
    share = sum(LONG_RUN) / len(LONG_RUN) / (sum(PILOT) / len(PILOT))
    predicted = share * predict_seconds(pace, PILOT, len(LONG_RUN), at_once)
    assert predicted == approx(SECONDS * play(LONG_RUN, at_once, power), rel=0.03)


def test_replicas_share_a_pilot_and_their_pace_is_that_of_one() -> None:
    halves = [spans_of(PILOT[half::2], 0.5) for half in (0, 1)]
    spans = [span._replace(key=f"{half}-{span.key}") for half, part in enumerate(halves) for span in part]
    pace = measure_pace(spans, 7.0, replicas=2)
    assert (pace.at_once, pace.replicas) == (50, 2)
    assert (pace.power, pace.seconds) == approx((0.5, SECONDS), rel=0.05)


def test_a_run_of_a_million_is_as_fast_as_one_of_twenty_thousand() -> None:
    pace = Pace(1, 0.0, 1.0, 0.0)
    assert predict_seconds(pace, [10, 30], 1_000_000, 8) == 20_000_000


def test_of_no_requests_nothing_is_known() -> None:
    assert measure_pace([], 7.0) == UNKNOWN


def test_what_never_fitted_is_no_work_of_the_engine() -> None:
    engine = Stopwatch(EchoEngine(CONFIG), 7.0)
    engine.submit("long", Request([{"role": "user", "content": "x" * 9000}], 1))
    engine.submit("short", Request([{"role": "user", "content": "Hi?"}], 1))
    replies = dict(engine.step())
    assert replies["long"].finish_reason == "context_overflow"
    assert [span.key for span in engine.spans] == ["short"]


def stopwatch(hardware: str, num_spans: int) -> Any:
    """A stopwatch that has seen requests of five tokens in ten seconds, all at once."""
    spans = [Span(0, 10, 5, 5, str(number)) for number in range(num_spans)]
    return SimpleNamespace(spans=spans, hardware=hardware, start_seconds=7.0, most_replicas=1)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return make_job(tmp_path)


def test_the_pace_of_the_largest_pilot_is_remembered_on_the_same_hardware(job: Job) -> None:
    assert largest_pace(job, None) == (UNKNOWN, "")
    first, hardware = largest_pace(job, stopwatch("H100 x1", 20))
    assert (first.at_once, hardware) == (20, "H100 x1")
    assert largest_pace(job, stopwatch("H100 x1", 2)) == (first, "H100 x1")
    assert largest_pace(job, None) == (first, "H100 x1")
    assert largest_pace(job, stopwatch("A100 x1", 2))[0].at_once == 2
    other = replace(job, model=MODEL.model_copy(update={"commit": "d"}))
    assert largest_pace(other, None) == (UNKNOWN, "")
    assert largest_pace(replace(job, config=replace(CONFIG, max_tokens=99)), None) == (UNKNOWN, "")
    fewer = replace(job, settings=make_settings(max_concurrent=9))
    assert largest_pace(fewer, stopwatch("A100 x1", 1))[0].at_once == 1


def test_a_reply_without_tokens_ends_no_span() -> None:
    class Silent(EchoEngine):
        def step(self) -> list[tuple[str, Reply]]:
            return [("a", Reply("", "failed", 0, 0, reason="no"))]

    engine = Stopwatch(Silent(CONFIG), 0.0)
    engine.submit("a", Request([{"role": "user", "content": "Hi?"}], 1))
    assert engine.step()[0][1].finish_reason == "failed" and engine.spans == []
