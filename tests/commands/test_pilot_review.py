"""What a pilot says of its replies: verdicts, counts and warnings."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commands.pilot.job import Job
from commands.pilot.quality import Quality, distinct
from commands.pilot.review import find_warnings, gate_message
from stages.lib.core.types import Row
from stages.lib.settings.sections import Gate
from stages.lib.validation.verdicts import VerdictCounts
from tests.support.conversations import CONFIG
from tests.support.pilot import answer, make_job, make_prompt, review, turn

TEN = [make_prompt(str(number)) for number in range(10)]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return make_job(tmp_path)


def warnings_for(job: Job, prompts: list[Row], **changes: Any) -> list[str]:
    """The warnings for the echo's answers, with changes to the first."""
    rows = [answer(prompt, **(changes if number == 0 else {})) for number, prompt in enumerate(prompts)]
    return list(find_warnings(job, *review(rows, prompts, job)))


def test_faultless_replies_give_no_warning(job: Job) -> None:
    prompts = [make_prompt(str(number), "Tell me about bread.") for number in range(10)]
    assert warnings_for(job, prompts) == []


def test_a_leaked_control_token_is_a_warning_and_a_reason(job: Job) -> None:
    [warning] = warnings_for(job, TEN, assistant="Yes.<|im_end|>")
    assert warning.startswith("1 of 10 conversations hold control tokens or pieces of a template")
    quality, counts = review([answer(TEN[0], assistant="Yes.<|im_end|>")], TEN[:1], job)
    assert counts.found["control_token"] == 1 and quality.leaked == 1


def test_the_gates_message_follows_the_thresholds_of_the_params(job: Job) -> None:
    _, counts = review([answer(TEN[0], assistant=""), answer(TEN[1])], TEN[:2], job)
    assert gate_message(job, counts).startswith("1 of 2 conversations dropped (50.0%, allowed 15.0%): empty 1")
    assert "data/verdicts" not in gate_message(job, counts)
    loose = replace(job.settings, gate=Gate(max_dropped_share=0.5, max_share={}))
    assert gate_message(replace(job, settings=loose), counts) == ""


def test_cut_replies_failures_and_temperature_are_warnings(job: Job) -> None:
    cut = Quality(conversations=10, replies=10, cut=2)
    counts = VerdictCounts()
    counts.conversations = counts.kept = 10
    [warning] = find_warnings(job, cut, counts)
    assert warning.startswith("20% of the replies were cut at the limit: max_tokens 100 is too low")
    counts.found["failed"] = 1
    hot = replace(job, config=replace(CONFIG, sampling=CONFIG.sampling.model_copy(update={"temperature": 1.3})))
    warnings = list(find_warnings(hot, Quality(conversations=10, replies=10), counts))
    assert [line.split(":")[0].split(" is ")[0] for line in warnings] == [
        "1 of 10 conversations failed",
        "temperature 1.3",
    ]


def test_replies_in_another_language_than_the_messages_are_a_warning(job: Job) -> None:
    german = "Bitte erkläre mir ausführlich, wie man ein gutes Brot mit Sauerteig zu Hause bäckt."
    english = "You need flour, water, salt and a sourdough starter, and then a hot oven for about an hour."
    prompts = [make_prompt(str(number), german, "German") for number in range(5)]
    rows = [answer(prompt, assistant=english, completion_tokens=99) for prompt in prompts]
    quality, counts = review(rows, prompts, job)
    assert (quality.prompt_languages, quality.reply_languages) == (Counter(German=5), Counter(en=5))
    assert "5 of 5 replies to messages in German are in another language" in list(find_warnings(job, quality, counts))
    four, counts = review(rows[:4], prompts[:4], job)
    assert not [line for line in find_warnings(job, four, counts) if "in another language" in line]


def test_refusals_and_lengths_are_counted_over_replies(job: Job) -> None:
    rows = [answer(TEN[0], assistant="I'm sorry, but I cannot help with that."), answer(TEN[1])]
    quality, _ = review(rows, TEN[:2], job)
    assert quality.share(quality.refusals) == 0.5
    assert quality.chars == len("I'm sorry, but I cannot help with that.") + len(rows[1]["turns"][0]["assistant"])


def test_a_turn_that_was_never_answered_is_no_reply() -> None:
    quality = Quality()
    quality.add([turn(10, 5), turn(999, 0, finish_reason="context_overflow")], make_prompt("a"), [])
    assert (quality.replies, quality.tokens) == (1, 5)


def test_distinct_n_takes_the_same_number_of_words_of_each_model_and_stays_within_replies() -> None:
    replies = [["a", "b", "a"], ["b", "a", "c"]]
    assert distinct(replies, 1, 4) == 2 / 4
    assert distinct(replies, 2, 5) == 2 / 3  # ab ba | ba
    assert distinct(replies, 2, 4) == 2 / 2  # ab ba | nothing
    assert distinct([], 1, 5) == 0
