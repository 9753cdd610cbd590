"""What a pilot predicts: tokens, speed, time, money, and how these look on the screen."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pytest import approx

from commands.pilot.forecast import Forecast, SampledPrompt, count_extrapolated, forecast_tokens, wall_time
from commands.pilot.job import Job, count_prompts
from commands.pilot.prediction import bytes_per_row, predict
from commands.pilot.quality import Quality
from commands.pilot.review import review
from commands.pilot.screen import PilotResult, forecast_lines, format_block, format_table
from commands.pilot.steady_state import UNKNOWN, Span, SteadyState, largest_steady_state, measure_steady_state
from stages.lib.core.types import Row
from stages.lib.engines.request import RequestConfig
from stages.lib.generation.costs import gpu_hours, money
from stages.lib.generation.store import SEGMENT
from stages.lib.records.shards import write_table
from tests.support.conversations import CONFIG, MODEL
from tests.support.pilot import answer, make_job, make_prompt, make_settings, turn


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return make_job(tmp_path)


def single(prompt_tokens: int, completion_tokens: int) -> SampledPrompt:
    """A prompt of one turn."""
    return SampledPrompt(1, [turn(prompt_tokens, completion_tokens)])


def predicted(
    sample: list[SampledPrompt], missing: dict[int, int], config: RequestConfig = CONFIG
) -> tuple[float, float]:
    """The predicted tokens of prompts and of replies."""
    kinds = ("prompt_tokens", "completion_tokens")
    prompt, completion = (forecast_tokens(sample, Counter(missing), kind, config).tokens for kind in kinds)
    return prompt, completion


ONES = [single(10, 5), single(10, 5), single(10, 5)]
TWO = SampledPrompt(2, [turn(10, 5), turn(40, 5)])
TWOS = [TWO] * 3


class TestTokens:
    def test_are_each_stratums_mean_times_its_prompts(self) -> None:
        sample = [single(10, 1), single(20, 2), single(60, 3), *TWOS]
        assert predicted(sample, {1: 100, 2: 7}) == (100 * 30 + 7 * 50, 100 * 2 + 7 * 10)
        assert count_extrapolated(sample, Counter({1: 100, 2: 7})) == 0

    def test_come_with_two_standard_errors_of_stratified_sampling(self) -> None:
        sample = [single(10, 1), single(20, 2), single(60, 3), *TWOS]
        forecast = forecast_tokens(sample, Counter({1: 100, 2: 7}), "completion_tokens", CONFIG)
        assert forecast.error == approx(2 * (100**2 * 1.0 / 3) ** 0.5)
        assert forecast.percent == approx(100 * forecast.error / 270)

    def test_of_a_number_of_turns_that_the_sample_lacks_are_extrapolated_turn_by_turn(self) -> None:
        assert predicted(ONES + TWOS, {3: 2}) == (2 * (10 + 40 + 70), 2 * 15)
        assert count_extrapolated(ONES + TWOS, Counter({1: 9, 3: 2})) == 2

    def test_of_two_conversations_are_too_few_for_a_mean(self) -> None:
        assert count_extrapolated([*ONES, *TWOS[:2]], Counter({2: 5})) == 5
        assert predicted([*ONES, *TWOS[:2], TWO], {2: 1}) == (50, 10)

    def test_without_any_second_turn_grow_by_a_prompt_and_a_reply_per_turn(self) -> None:
        assert predicted(ONES, {2: 1}) == (10 + 25, 10)

    def test_end_where_the_window_is_full(self) -> None:
        small = RequestConfig(CONFIG.sampling, max_tokens=20, window=60, seed=1)
        assert predicted(ONES + TWOS, {9: 1}, small) == (10 + 40, 10)
        assert predicted(ONES + TWOS, {3: 1}, replace(small, trim="oldest")) == (10 + 40 + 40, 15)


class TestSteadyState:
    def test_ends_when_fewer_than_half_of_the_requests_are_running(self) -> None:
        spans = [Span(0, 10, 10, 100), Span(0, 10, 10, 100), Span(0, 20, 10, 100), Span(0, 40, 10, 100)]
        assert measure_steady_state(spans) == SteadyState(at_once=4, tokens=4 * 10 + 3 * 100 + 50, seconds=20)

    def test_counts_a_conversation_as_running_through_its_later_turns(self) -> None:
        turns = [Span(0, 4, 1, 8), Span(4, 8, 1, 8), Span(0, 5, 1, 9)]
        assert measure_steady_state(turns) == SteadyState(at_once=2, tokens=3 + 8 + 8 + 9, seconds=8)

    def test_of_no_requests_has_no_speed(self) -> None:
        assert measure_steady_state([]).tokens_per_second == 0

    def test_of_the_largest_pilot_is_remembered_on_the_same_hardware(self, job: Job) -> None:
        assert largest_steady_state(job, None) == (UNKNOWN, "")
        assert largest_steady_state(job, stopwatch("H100 x1", 20)) == (SteadyState(20, 200, 10), "H100 x1")
        assert largest_steady_state(job, stopwatch("H100 x1", 2))[0].at_once == 20
        assert largest_steady_state(job, None) == (SteadyState(20, 200, 10), "H100 x1")
        assert largest_steady_state(job, stopwatch("A100 x1", 2)) == (SteadyState(2, 20, 10), "A100 x1")
        other = replace(job, model=MODEL.model_copy(update={"commit": "d"}))
        assert largest_steady_state(other, None) == (UNKNOWN, "")
        assert largest_steady_state(replace(job, config=replace(CONFIG, max_tokens=99)), None) == (UNKNOWN, "")
        fewer = replace(job, settings=make_settings(max_concurrent=9))
        assert largest_steady_state(fewer, stopwatch("A100 x1", 1))[0].at_once == 1


def stopwatch(hardware: str, num_spans: int) -> Any:
    """A stopwatch that has seen requests of ten tokens in ten seconds, all at once."""

    class Stopped:
        spans = [Span(0, 10, 5, 5)] * num_spans

    Stopped.hardware = hardware  # type: ignore[attr-defined]
    return Stopped()


def test_wall_time_is_a_range_over_the_known_rates() -> None:
    assert wall_time(7200.0, [2.0, 0.0, 1.0]) == (3600, 7200)
    assert wall_time(7200.0, [0.0]) is None


def test_money_and_gpu_hours_need_a_price_and_gpus() -> None:
    hours = gpu_hours((3600, 7200), 4, "H100 x4")
    assert hours == (4, 8)
    assert money(hours, 2.5) == (10, 20)
    assert money(hours, 0) is None
    assert gpu_hours((3600, 7200), 1, "x86_64 CPU x2") is None
    assert money(None, 2.5) is None


TABLE = pa.Table.from_pylist([answer(make_prompt(name)) for name in "abc"], schema=SEGMENT)


def rows_of(names: str, **cost: Any) -> list[Row]:
    return [answer(make_prompt(name)) | cost for name in names]


@pytest.fixture
def partly_stored(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Ten prompts; the store holds three from one GPU and one from another."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "prompts").mkdir(parents=True)
    write_table(tmp_path / "data" / "prompts", pa.Table.from_pylist([make_prompt(name) for name in "abcdefghij"]))
    tokens = {"prompt_tokens": 30, "completion_tokens": 10}
    job = replace(job, num_prompts=count_prompts())
    job.store.append(rows_of("abc", hardware="H100 x1", seconds=10.0, **tokens))
    job.store.append(rows_of("d", hardware="A100 x1", seconds=1000.0, **tokens))
    job.store.append(rows_of("x", hardware="H100 x1", seconds=9999.0, **tokens))  # no longer a prompt
    return job


def forecast_of(job: Job, steady_state: SteadyState = UNKNOWN, hardware: str = "") -> Forecast:
    """The forecast from a sample of replies of 400 tokens."""
    return predict(job, TABLE, [SampledPrompt(1, [turn(300, 100)])] * 3, steady_state, hardware)


def test_prompts_are_counted_by_their_number_of_turns(partly_stored: Job) -> None:
    assert partly_stored.num_prompts == Counter({1: 10})


def test_time_comes_from_rows_of_the_same_hardware_and_tokens_from_the_pilots_own(partly_stored: Job) -> None:
    forecast = forecast_of(partly_stored, SteadyState(3, 800, 100), "H100 x1")
    assert (forecast.missing, forecast.conversations, forecast.other_hardware) == (6, 10, 1)
    assert (forecast.prompt.tokens, forecast.completion.tokens) == (1800, 600)
    assert forecast.overall_rate == approx(3 * 40 / 30)
    assert forecast.wall == approx((2400 / 8, 2400 / 4))
    assert forecast.gpu_hours == approx((300 / 3600, 600 / 3600))
    assert forecast.money is None
    assert forecast.store_bytes == approx(10 * bytes_per_row(TABLE))
    assert "money" not in dict(forecast_lines(forecast))


def test_with_a_price_the_gpu_hours_of_the_most_used_hardware_cost_money(partly_stored: Job) -> None:
    forecast = forecast_of(replace(partly_stored, settings=make_settings(price=3.0)))
    assert forecast.hardware == "H100 x1"
    assert forecast.money == approx((0.5, 0.5))
    assert dict(forecast_lines(forecast))["money"] == "0.50"


def result_of(forecast: Forecast, quality: Quality) -> PilotResult:
    return PilotResult("m", "M\x1b[2J", quality, 1, Counter(), set(), {}, "", forecast, [], [])


def test_the_block_escapes_what_does_not_print_and_the_table_adds_what_is_known(partly_stored: Job) -> None:
    quality, _ = review(rows_of("a"), [make_prompt("a")], partly_stored)
    free = forecast_of(partly_stored, SteadyState(3, 800, 100), "H100 x1")
    priced = forecast_of(replace(partly_stored, settings=make_settings(price=3.0)))
    result = result_of(priced, quality)
    assert format_block(result)[0] == "m: M\\x1b[2J"
    second = replace(result, dgm="n", kept=0, gate="x", forecast=replace(free, money=(1.5, 2.5)))
    table = format_table([result, second])
    assert [line.split()[:3] for line in table[1:3]] == [["m", "100.0%", "pass"], ["n", "0.0%", "stop"]]
    assert table[3].split()[:2] == ["all", "12"] and "2.00 to 3.00" in table[3]
    assert "-  " in format_table([replace(result, forecast=free), result])[3]  # no sum where one is unknown
