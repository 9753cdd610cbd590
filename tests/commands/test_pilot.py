"""The pilot: what it predicts, what it warns of, and that nothing is paid twice."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pytest import approx

from commands.pilot import forecast
from commands.pilot.command import Job, Settings, count_turns, gate_says, judge, on_disk, pace_of, predict, warnings
from commands.pilot.forecast import Sampled, num_grown, total
from commands.pilot.quality import Quality, distinct
from commands.pilot.screen import Piloted, block, compare, forecast_lines
from commands.pilot.throughput_sample import Pace, Span, busy_part
from stages.generate import PromptFolder
from stages.lib.console.formats import align_columns, format_bytes, format_count, format_duration, format_range
from stages.lib.core.sections import PARAMS
from stages.lib.core.text import escape_unprintable
from stages.lib.engines.request import RequestConfig, dgm_config, identity
from stages.lib.generation.costs import gpu_hours, money
from stages.lib.generation.store import SEGMENT, Store
from stages.lib.models.catalogue import load_model
from stages.lib.records.responses import Turn
from stages.lib.records.shards import write_table
from stages.lib.settings.reading import load
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import Gate, Generate, Validate
from stages.lib.validation.verdicts import VerdictCounts
from tests.support.conversations import CONFIG, MODEL, stored_row
from tests.support.project import ROOT, Project, make_project


def turn(prompt_tokens: int, completion_tokens: int, **changes: Any) -> Turn:
    known = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "finish_reason": "stop"}
    return {"user": "", "assistant": "", **known, **changes}  # type: ignore[typeddict-item]


def one(prompt: int, reply: int) -> Sampled:
    return Sampled(1, [turn(prompt, reply)])


def predicted(sample: list[Sampled], todo: dict[int, int], config: RequestConfig = CONFIG) -> tuple[float, float]:
    kinds = ("prompt_tokens", "completion_tokens")
    prompt, completion = (total(sample, Counter(todo), kind, config).tokens for kind in kinds)
    return prompt, completion


ONES = [one(10, 5), one(10, 5), one(10, 5)]
TWOS = [Sampled(2, [turn(10, 5), turn(40, 5)])] * 3


class TestTokens:
    def test_are_each_strata_mean_times_the_prompts_with_so_many_turns(self) -> None:
        sample = [one(10, 1), one(20, 2), one(60, 3), *TWOS]
        assert predicted(sample, {1: 100, 2: 7}) == (100 * 30 + 7 * 50, 100 * 2 + 7 * 10)
        assert num_grown(sample, Counter({1: 100, 2: 7})) == 0

    def test_come_with_two_standard_errors_of_stratified_sampling(self) -> None:
        found = total([one(10, 1), one(20, 2), one(60, 3), *TWOS], Counter({1: 100, 2: 7}), "completion_tokens", CONFIG)
        assert found.error == approx(2 * (100**2 * 1.0 / 3) ** 0.5)
        assert found.percent == approx(100 * found.error / 270)

    def test_of_a_number_of_turns_that_the_sample_lacks_are_grown_turn_by_turn(self) -> None:
        assert predicted(ONES + TWOS, {3: 2}) == (2 * (10 + 40 + 70), 2 * 15)
        assert num_grown(ONES + TWOS, Counter({1: 9, 3: 2})) == 2

    def test_of_two_conversations_are_no_mean(self) -> None:
        assert num_grown([*ONES, *TWOS[:2]], Counter({2: 5})) == 5
        assert predicted([*ONES, *TWOS[:2], Sampled(2, [turn(10, 5), turn(40, 5)])], {2: 1}) == (50, 10)

    def test_without_any_second_turn_a_turn_adds_a_prompt_and_a_reply(self) -> None:
        assert predicted(ONES, {2: 1}) == (10 + 25, 10)

    def test_end_where_the_window_is_full(self) -> None:
        small = RequestConfig(CONFIG.sampling, max_tokens=20, window=60, seed=1)
        assert predicted(ONES + TWOS, {9: 1}, small) == (10 + 40, 10)
        assert predicted(ONES + TWOS, {3: 1}, RequestConfig(CONFIG.sampling, 20, 60, 1, trim="oldest")) == (
            10 + 40 + 40,
            15,
        )


def test_the_busy_part_ends_when_fewer_than_half_of_the_requests_are_under_way() -> None:
    spans = [Span(0, 10, 10, 100), Span(0, 10, 10, 100), Span(0, 20, 10, 100), Span(0, 40, 10, 100)]
    assert busy_part(spans) == Pace(at_once=4, tokens=4 * 10 + 3 * 100 + 50, seconds=20)


def test_a_later_turn_keeps_its_conversation_under_way() -> None:
    turns = [Span(0, 4, 1, 8), Span(4, 8, 1, 8), Span(0, 5, 1, 9)]
    assert busy_part(turns) == Pace(at_once=2, tokens=3 + 8 + 8 + 9, seconds=8)
    assert busy_part([]).tokens_per_second == 0


def test_money_and_gpu_hours_need_a_price_and_gpus() -> None:
    wall = forecast.seconds(7200.0, [2.0, 0.0, 1.0])
    assert wall == (3600, 7200)
    hours = gpu_hours((3600, 7200), 4, "H100 x4")
    assert hours == (4, 8)
    assert money(hours, 2.5) == (10, 20)
    assert money(hours, 0) is None
    assert gpu_hours((3600, 7200), 1, "x86_64 CPU x2") is None
    assert money(None, 2.5) is None
    assert forecast.seconds(7200.0, [0.0]) is None


def settings(price: float = 0.0, **changes: Any) -> Settings:
    path = ROOT / PARAMS
    runtime = load(Runtime, path).model_copy(update=changes)
    generate = load(Generate, path).model_copy(update={"engine": "echo"})
    return Settings(generate, load(Validate, path), load(Gate, path), runtime, price)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(MODEL, CONFIG, settings(), Store(tmp_path, "m"), Counter())


def asked(name: str, user: str = "Hi?", language: str = "English") -> dict[str, Any]:
    return {"conversation_hash": name, "language": language, "turns": [{"user": user, "reference": ""}]}


def answered(prompt: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The echo's answer to a prompt, with changes to its turn."""
    user = prompt["turns"][0]["user"]
    row = stored_row(identity(prompt, MODEL, CONFIG, "echo"), user)
    row["conversation_hash"] = prompt["conversation_hash"]
    row["turns"] = [row["turns"][0] | changes]
    return row


def warned(job: Job, prompts: list[dict[str, Any]], **changes: Any) -> list[str]:
    rows = [answered(prompt, **(changes if number == 0 else {})) for number, prompt in enumerate(prompts)]
    return list(warnings(job, *judge(rows, prompts, job)))


TEN = [asked(str(number)) for number in range(10)]


def test_replies_without_a_fault_give_no_warning(job: Job) -> None:
    prompts = [asked(str(number), "Tell me about bread.") for number in range(10)]
    assert warned(job, prompts) == []


def test_a_leaked_control_token_is_a_warning_and_a_verdict(job: Job) -> None:
    [said] = warned(job, TEN, assistant="Yes.<|im_end|>")
    assert said.startswith("1 of 10 conversations hold control tokens or pieces of a template")
    quality, tally = judge([answered(TEN[0], assistant="Yes.<|im_end|>")], TEN[:1], job)
    assert tally.found["control_token"] == 1 and quality.leaked == 1


def test_the_gate_speaks_with_the_thresholds_of_the_params(job: Job) -> None:
    _, tally = judge([answered(TEN[0], assistant=""), answered(TEN[1])], TEN[:2], job)
    assert gate_says(job, tally).startswith("1 of 2 conversations dropped (50.0%, allowed 15.0%): empty 1")
    assert "data/verdicts" not in gate_says(job, tally)
    loose = replace(job.settings, gate=Gate(max_dropped_share=0.5, max_share={}))
    assert gate_says(replace(job, settings=loose), tally) == ""


def test_cut_replies_failures_and_temperature_are_warnings(job: Job) -> None:
    cut = Quality(conversations=10, replies=10, cut=2)
    tally = VerdictCounts()
    tally.conversations = tally.kept = 10
    [said] = warnings(job, cut, tally)
    assert said.startswith("20% of the replies were cut at the limit: max_tokens 100 is too low")
    tally.found["failed"] = 1
    hot = replace(job, config=replace(CONFIG, sampling=CONFIG.sampling.model_copy(update={"temperature": 1.3})))
    found = list(warnings(hot, Quality(conversations=10, replies=10), tally))
    assert [line.split(":")[0].split(" is ")[0] for line in found] == [
        "1 of 10 conversations failed",
        "temperature 1.3",
    ]


def test_replies_in_another_language_than_the_messages_are_a_warning(job: Job) -> None:
    german = "Bitte erkläre mir ausführlich, wie man ein gutes Brot mit Sauerteig zu Hause bäckt."
    english = "You need flour, water, salt and a sourdough starter, and then a hot oven for about an hour."
    prompts = [asked(str(number), german, "German") for number in range(5)]
    rows = [answered(prompt, assistant=english, completion_tokens=99) for prompt in prompts]
    quality, tally = judge(rows, prompts, job)
    assert (quality.asked, quality.answered) == (Counter(German=5), Counter(en=5))
    assert "5 of 5 replies to messages in German are in another language" in list(warnings(job, quality, tally))
    four, tally = judge(rows[:4], prompts[:4], job)
    assert not [line for line in warnings(job, four, tally) if "in another language" in line]


def test_refusals_and_lengths_are_counted_over_replies(job: Job) -> None:
    rows = [answered(TEN[0], assistant="I'm sorry, but I cannot help with that."), answered(TEN[1])]
    quality, _ = judge(rows, TEN[:2], job)
    assert quality.share(quality.refusals) == 0.5
    assert quality.chars == len("I'm sorry, but I cannot help with that.") + len(rows[1]["turns"][0]["assistant"])


def test_a_turn_that_was_never_answered_is_no_reply() -> None:
    quality = Quality()
    quality.add([turn(10, 5), turn(999, 0, finish_reason="context_overflow")], asked("a"), [])
    assert (quality.replies, quality.tokens) == (1, 5)


def test_distinct_n_is_taken_over_the_same_number_of_words_and_within_replies() -> None:
    replies = [["a", "b", "a"], ["b", "a", "c"]]
    assert distinct(replies, 1, 4) == 2 / 4
    assert distinct(replies, 2, 5) == 2 / 3  # ab ba | ba
    assert distinct(replies, 2, 4) == 2 / 2  # ab ba | nothing
    assert distinct([], 1, 5) == 0


def test_numbers_read_well_and_control_characters_are_seen() -> None:
    assert (format_duration(90000), format_duration(5400), format_duration(0.5)) == ("1.04 days", "1.50 h", "0.50 s")
    assert (format_bytes(1.5e12), format_bytes(100), format_count(9999), format_count(1.25e6)) == (
        "1.50 TB",
        "0.10 kB",
        "9999",
        "1.25 M",
    )
    assert (
        format_range((1, 2), format_count),
        format_range((1, 1), format_count),
        format_range(None, format_count),
    ) == ("1 to 2", "1", "-")
    assert escape_unprintable("a\x1b[1m\u202eb\nc", 99) == "a\\x1b[1m\\u202eb\nc"
    assert escape_unprintable("abc", 2) == "ab…"
    assert align_columns([("a", "b"), ("long", "12")]) == ["a      b", "long  12"]


def rows_of(names: str, **cost: Any) -> list[dict[str, Any]]:
    return [answered(asked(name)) | cost for name in names]


def test_time_comes_from_rows_of_the_same_hardware_and_tokens_from_the_pilots_own(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "prompts").mkdir(parents=True)
    write_table(tmp_path / "data" / "prompts", pa.Table.from_pylist([asked(name) for name in "abcdefghij"]))
    tokens = {"prompt_tokens": 30, "completion_tokens": 10}
    job = replace(job, turns=count_turns())
    assert job.turns == Counter({1: 10})
    job.store.append(rows_of("abc", hardware="H100 x1", seconds=10.0, **tokens))
    job.store.append(rows_of("d", hardware="A100 x1", seconds=1000.0, **tokens))
    job.store.append(rows_of("x", hardware="H100 x1", seconds=9999.0, **tokens))  # no prompt of now
    table = pa.Table.from_pylist(rows_of("abc"), schema=SEGMENT)
    found = predict(job, table, [Sampled(1, [turn(300, 100)])] * 3, (Pace(3, 800, 100), "H100 x1"))
    assert (found.todo, found.of, found.other_hardware) == (6, 10, 1)
    assert (found.prompt.tokens, found.completion.tokens) == (1800, 600)
    assert found.whole_rate == approx(3 * 40 / 30)
    assert found.wall == approx((2400 / 8, 2400 / 4))
    assert found.gpu_hours == approx((300 / 3600, 600 / 3600))
    assert found.money is None
    assert found.store_bytes == approx(10 * on_disk(table))
    assert "money" not in dict(forecast_lines(found))
    priced = replace(job, settings=settings(price=3.0))
    dear = predict(priced, table, [Sampled(1, [turn(300, 100)])] * 3, (Pace(0, 0, 0), ""))
    assert dear.hardware == "H100 x1"  # most tokens
    assert dear.money == approx((0.5, 0.5))
    assert dict(forecast_lines(dear))["money"] == "0.50"
    shown = Piloted(
        "m", "M\x1b[2J", judge(rows_of("a"), [asked("a")], job)[0], 1, Counter(), set(), {}, "", dear, [], []
    )
    assert block(shown)[0] == "m: M\\x1b[2J"
    table = compare([shown, replace(shown, dgm="n", kept=0, gate="x", forecast=replace(found, money=(1.5, 2.5)))])
    assert [line.split()[:3] for line in table[1:3]] == [["m", "100.0%", "pass"], ["n", "0.0%", "stop"]]
    assert table[3].split()[:2] == ["all", "12"] and "2.00 to 3.00" in table[3]
    assert "-  " in compare([replace(shown, forecast=found), shown])[3]  # no sum where one is not known


def watch(hardware: str, num_spans: int) -> Any:
    class Watch:
        spans = [Span(0, 10, 5, 5)] * num_spans

    Watch.hardware = hardware  # type: ignore[attr-defined]
    return Watch()


def test_the_busy_part_of_a_larger_pilot_is_remembered_on_the_same_hardware(job: Job) -> None:
    assert pace_of(job, None) == (Pace(0, 0, 0), "")
    assert pace_of(job, watch("H100 x1", 20)) == (Pace(20, 200, 10), "H100 x1")
    assert pace_of(job, watch("H100 x1", 2))[0].at_once == 20
    assert pace_of(job, None) == (Pace(20, 200, 10), "H100 x1")
    assert pace_of(job, watch("A100 x1", 2)) == (Pace(2, 20, 10), "A100 x1")
    other = replace(job, model=MODEL.model_copy(update={"commit": "d"}))
    assert pace_of(other, None) == (Pace(0, 0, 0), "")
    assert pace_of(replace(job, config=replace(CONFIG, max_tokens=99)), None) == (Pace(0, 0, 0), "")
    assert pace_of(replace(job, settings=settings(max_concurrent=9)), watch("A100 x1", 1))[0].at_once == 1


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A checkout that was never run, with an imported DGM and one that cannot be resolved."""
    project = make_project(tmp_path_factory.mktemp("pilot") / "project")
    (project.root / "dgms" / "gpt.yaml").write_text("name: GPT\nimport: reference\n")
    params = project.params()
    params["dgms"] = ["rich", "broken", "gpt", "plain"]
    project.write_params(params)
    (project.root / "dgms" / "broken.yaml").write_text("name: B\npath: nowhere\ncontext_window: 99\nrevision: x\n")
    return project


def test_a_fresh_clone_is_piloted_and_nothing_is_asked_or_paid_twice(fresh: Project) -> None:
    first = fresh.run("python", "-m", "commands.pilot", "--conversations", "5", code=1)
    assert "rich: 0 conversations are in the store, 5 to generate" in first
    assert "to do     7 of 12 conversations; the others are in the store" in first
    assert "gpt: GPT\n  imported: its replies exist already" in first
    assert "broken: no pilot:" in first and first.rstrip().endswith("no pilot of broken; the lines above say why")
    assert not (fresh.root / "data" / "responses").exists() and not (fresh.root / "data" / "pilot").exists()
    again = fresh.run("python", "-m", "commands.pilot", "rich", "--conversations", "5")
    assert "rich: 5 conversations are in the store, 0 to generate" in again
    assert "plain" not in again
    assert "at least 50% of 5 requests were under way" in again  # as the first time: a note in the store says it
    made = fresh.run("dvc", "repro", "generate@rich")
    assert "rich: 5 conversations are in the store, 7 to generate" in made
    whole = fresh.run("python", "-m", "commands.pilot", "rich")
    assert "to do     nothing: the store holds all 12 conversations" in whole


def test_the_pilot_answers_as_generate_does(fresh: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh.run("python", "-m", "commands.pilot", "plain", "-n", "5")
    monkeypatch.chdir(fresh.root)
    generate = load(Generate)
    model = load_model("plain")
    config = dgm_config(model, generate)
    names = [identity(prompt, model, config, "echo") for prompt in PromptFolder()]
    found = Store(fresh.root / ".dvc" / "store", "plain").find(names, config.max_tokens, config.window)
    assert set(found) == set(names[:5])


def test_an_unknown_dgm_is_one_plain_line(fresh: Project) -> None:
    said = fresh.run("python", "-m", "commands.pilot", "nosuch", code=1)
    assert said == "pilot: 'nosuch' is not in dgms of params.yaml, which has: rich, broken, gpt, plain\n"
