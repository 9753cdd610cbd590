"""What a pilot predicts: tokens, speed, time, money, and how these look on the screen."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pytest import approx

from commands.pilot.forecasting.forecast import Forecast, SampledPrompt, forecast_tokens, merge_strata, per_1000_kept
from commands.pilot.forecasting.pace import UNKNOWN, Pace
from commands.pilot.forecasting.prediction import bytes_per_row, predict
from commands.pilot.forecasting.steady_state import Span, SteadyState, measure_steady_state
from commands.pilot.job import Job, PromptSize, read_sizes
from commands.pilot.quality import Quality
from commands.pilot.screen import PilotResult, forecast_lines, format_block, format_table, kept_lines
from stages.lib.core.types import Row
from stages.lib.engines.request import RequestConfig
from stages.lib.generation.costs import gpu_hours, money
from stages.lib.generation.store import SEGMENT
from stages.lib.records.prompts import PROMPT
from stages.lib.records.responses import Turn
from stages.lib.records.shards import write_table
from stages.lib.settings.runtime import RayCluster
from tests.support.conversations import CONFIG
from tests.support.pilot import answer, make_job, make_prompt, make_settings, review, turn


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return make_job(tmp_path)


KINDS = ("prompt_tokens", "completion_tokens")


def sampled(*turns: Turn, users: tuple[int, ...] = ()) -> SampledPrompt:
    """A prompt with these turns, whose messages have so many bytes, or 100 each."""
    sizes = users or (100,) * len(turns)
    return SampledPrompt(PromptSize(sizes, (0,) * len(sizes)), turns)


def predicted(sample: list[SampledPrompt], *missing: tuple[int, ...], config: RequestConfig = CONFIG) -> Any:
    """The predicted tokens in and out of prompts whose messages have so many bytes."""
    prompt, completion = forecast_tokens(sample, [PromptSize(users, (0,) * len(users)) for users in missing], config)
    return approx(prompt.tokens), approx(completion.tokens)


ONES = [sampled(turn(50, 10))] * 10  # half a token per byte
TWOS = [sampled(turn(50, 10), turn(110, 10))] * 10


class TestTokens:
    def test_follow_the_bytes_of_each_missing_prompt_and_its_turns(self) -> None:
        assert predicted(ONES, (100,), (300,)) == (50 + 150, 20)
        assert predicted(ONES + TWOS, (100,), (100, 100)) == (50 + 160, 10 + 20)

    def test_are_corrected_by_what_the_sample_took_of_the_same_number_of_turns(self) -> None:
        sample = ONES + [sampled(turn(50, 10), turn(170, 10))] * 10  # 60 more than their bytes and replies explain
        assert predicted(sample, (100,)) == (50, 10)
        assert predicted(sample, (100, 100)) == (220, 20)

    def test_of_rare_numbers_of_turns_are_corrected_by_the_nearest(self) -> None:
        assert merge_strata({1: 10, 2: 9, 3: 1, 5: 2}) == [0, 2]
        assert merge_strata({1: 9, 2: 9}) == [0]
        assert predicted(ONES + TWOS, (100, 100, 100)) == (50 + 110 + 170, 30)

    def test_of_prompts_that_never_fit_the_window_are_nothing(self) -> None:
        overflow = turn(999, 0, finish_reason="context_overflow")
        sample = [*ONES[:8], sampled(overflow, users=(2000,)), sampled(turn(50, 10), overflow, users=(100, 2000))]
        assert predicted(sample, (100,), (2000,)) == (50, 10)
        assert sample[-1].tokens == (50, 10)

    def test_end_where_the_window_is_full_or_the_oldest_turns_are_left_out(self) -> None:
        small = RequestConfig(CONFIG.sampling, max_tokens=20, window=115, seed=1)
        assert predicted(ONES, (100, 100, 100), config=small) == (50 + 110, 10 + 5)
        assert predicted(ONES, (100, 100, 100), config=replace(small, trim="oldest")) == (50 + 95 + 95, 30)

    def test_grow_by_the_references_where_they_are_the_history(self) -> None:
        config = replace(CONFIG, history="reference")
        size = PromptSize((100, 100), (40, 0))
        assert forecast_tokens(ONES, [size], config)[0].tokens == approx(50 + 120)

    def test_come_with_two_standard_errors_of_the_ratio(self) -> None:
        sample = [sampled(turn(50, reply)) for reply in (5, 15) * 5]
        _, completion = forecast_tokens(sample, [PromptSize((100,), (0,))] * 30, CONFIG)
        assert completion.tokens == approx(300)
        assert completion.error == approx(2 * 30 * (10 * 25 / 9 / 10) ** 0.5)
        assert completion.percent == approx(100 * completion.error / 300)

    def test_of_a_single_conversation_are_as_good_as_unknown(self) -> None:
        assert forecast_tokens(ONES[:1], [PromptSize((100,), (0,))], CONFIG)[1].percent == approx(100)


class TestSteadyState:
    def test_ends_when_fewer_than_half_of_the_requests_are_running(self) -> None:
        spans = [Span(0, 10, 10, 100), Span(0, 10, 10, 100), Span(0, 20, 10, 100), Span(0, 40, 10, 100)]
        assert measure_steady_state(spans) == SteadyState(at_once=4, tokens=4 * 10 + 3 * 100 + 50, seconds=20)

    def test_counts_a_conversation_as_running_through_its_later_turns(self) -> None:
        turns = [Span(0, 4, 1, 8), Span(4, 8, 1, 8), Span(0, 5, 1, 9)]
        assert measure_steady_state(turns) == SteadyState(at_once=2, tokens=3 + 8 + 8 + 9, seconds=8)

    def test_of_no_requests_has_no_speed(self) -> None:
        assert measure_steady_state([]).tokens_per_second == 0


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
    write_table(
        tmp_path / "data" / "prompts", pa.Table.from_pylist([make_prompt(name) for name in "abcdefghij"], schema=PROMPT)
    )
    tokens = {"prompt_tokens": 30, "completion_tokens": 10}
    job = replace(job, sizes=read_sizes())
    job.store.append(rows_of("abc", hardware="H100 x1", seconds=10.0, **tokens))
    job.store.append(rows_of("d", hardware="A100 x1", seconds=1000.0, **tokens))
    job.store.append(rows_of("x", hardware="H100 x1", seconds=9999.0, **tokens))  # no longer a prompt
    return job


def test_a_system_message_counts_with_the_first_message_that_it_stands_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "prompts").mkdir(parents=True)
    turns = [{"user": "Hi?", "reference": "Yes."}, {"user": "So?", "reference": "Well."}]
    prompts = [make_prompt("a") | {"turns": turns, "system": "Sé."}, make_prompt("b") | {"turns": turns}]
    write_table(tmp_path / "data" / "prompts", pa.Table.from_pylist(prompts, schema=PROMPT))
    assert read_sizes() == {"a": PromptSize((7, 3), (4, 5)), "b": PromptSize((3, 3), (4, 5))}


def forecast_of(job: Job, pace: Pace = UNKNOWN, hardware: str = "") -> Forecast:
    """The forecast from a sample of replies of 400 tokens."""
    return predict(job, TABLE, [sampled(turn(300, 100), users=(3,))] * 10, pace, hardware)


def test_prompts_are_measured_by_the_bytes_of_their_turns(partly_stored: Job) -> None:
    assert len(partly_stored.sizes) == 10
    assert partly_stored.sizes["a"] == PromptSize((3,), (0,))


PACE = Pace(at_once=3, power=0.0, seconds=0.5, start_seconds=7.0)


def test_time_comes_from_the_pilots_pace_and_tokens_from_its_conversations(partly_stored: Job) -> None:
    forecast = forecast_of(partly_stored, PACE, "H100 x1")
    assert (forecast.missing, forecast.conversations, forecast.other_hardware) == (6, 10, 1)
    assert (forecast.prompt.tokens, forecast.completion.tokens) == (1800, 600)
    assert forecast.overall_rate == approx(3 * 40 / 30)
    assert forecast.wall == approx((300, 300))
    assert forecast.gpu_hours == approx((300 / 3600, 300 / 3600))
    assert forecast.money is None
    assert forecast.store_bytes == approx(10 * bytes_per_row(TABLE))
    lines = [line for _, line in forecast_lines(forecast)]
    assert "at 8 tokens/s, in and out, over all of the run" in lines
    assert "the engine's start took 7.00 s and comes on top" in lines
    assert "money" not in dict(forecast_lines(forecast))


def test_replicas_divide_the_time_and_not_the_gpu_hours(partly_stored: Job) -> None:
    two = replace(partly_stored, settings=make_settings(ray=RayCluster(address="auto", replicas=2)))
    forecast = forecast_of(two, PACE, "H100 x1")
    assert forecast.wall == approx((150, 150))
    assert forecast.gpu_hours == approx((300 / 3600, 300 / 3600))
    assert dict(forecast_lines(forecast))["time"] == "2.50 min on 2 replicas, each on H100 x1"
    fitting = replace(partly_stored, settings=make_settings(ray=RayCluster(address="auto")))
    assert forecast_of(fitting, replace(PACE, replicas=3), "H100 x1").wall == approx((100, 100))
    assert forecast_of(partly_stored, replace(PACE, replicas=3), "H100 x1").wall == approx((300, 300))  # one engine now


def test_a_thousand_kept_conversations_take_more_the_fewer_are_kept() -> None:
    assert per_1000_kept((300.0, 600.0), 6, (0.5, 0.8)) == approx((62_500, 200_000))
    assert per_1000_kept(None, 6, (0.5, 0.8)) is per_1000_kept((1.0, 1.0), 0, (0.5, 0.8)) is None
    assert per_1000_kept((1.0, 1.0), 6, (0.0, 0.3)) is None


def test_without_a_pace_the_time_is_that_of_all_tokens_in_the_store(partly_stored: Job) -> None:
    assert forecast_of(partly_stored, hardware="H100 x1").wall == approx((2400 / 4, 2400 / 4))


def test_a_forecast_that_chance_may_change_much_asks_for_more_conversations(partly_stored: Job) -> None:
    sample = [sampled(turn(300, reply), users=(3,)) for reply in (10, 190) * 5]
    forecast = predict(partly_stored, TABLE, sample, PACE, "H100 x1")
    assert forecast.completion.percent == approx(60)
    assert "± is above 15 %: ask 16.0 times as many with -n" in [line for _, line in forecast_lines(forecast)]
    assert forecast.wall == approx((300 * (1 - 360 / 2400), 300 * (1 + 360 / 2400)))


def test_with_a_price_the_gpu_hours_of_the_most_used_hardware_cost_money(partly_stored: Job) -> None:
    forecast = forecast_of(replace(partly_stored, settings=make_settings(price=3.0)))
    assert forecast.hardware == "H100 x1"
    assert forecast.money == approx((0.5, 0.5))
    assert dict(forecast_lines(forecast))["money"] == "0.50"


def result_of(forecast: Forecast, quality: Quality) -> PilotResult:
    return PilotResult("m", "M\x1b[2J", quality, 1, Counter(), set(), {}, "", forecast, [], [], {})


def test_the_block_escapes_what_does_not_print_and_the_table_adds_what_is_known(partly_stored: Job) -> None:
    quality, _ = review(rows_of("a"), [make_prompt("a")], partly_stored)
    free = forecast_of(partly_stored, PACE, "H100 x1")
    priced = forecast_of(replace(partly_stored, settings=make_settings(price=3.0)))
    result = result_of(priced, quality)
    assert format_block(result)[0] == "m: M\\x1b[2J"
    # 6 conversations take 600 s and .50: 1,000 kept ones take as much as 1,000 if all are kept, or 40 times as much.
    assert "  valid     1.16 days to 46.3 days, money" in "\n".join(format_block(result))
    assert not list(kept_lines(replace(result, kept=0)))
    second = replace(result, dgm="n", kept=0, gate="x", forecast=replace(free, money=(1.5, 2.5)))
    table = format_table([result, second])
    assert [line.split()[:3] for line in table[1:3]] == [["m", "100.0%", "pass"], ["n", "0.0%", "stop"]]
    assert table[3].split()[:2] == ["all", "12"] and "2.00 to 3.00" in table[3]
    assert "-  " in format_table([replace(result, forecast=free), result])[3]  # no sum where one is unknown
