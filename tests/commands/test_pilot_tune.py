"""`make pilot TUNE=yes`: which settings are tried, and which are recommended."""

from collections.abc import Callable

from commands.pilot.tune import Changes, Trial, format_trial, recommend, search
from stages.lib.settings.runtime import Runtime

RUNTIME = Runtime(max_concurrent=256)


def measured(speed: Callable[[Changes], float]) -> list[Trial]:
    return list(search(RUNTIME, lambda changes: Trial(changes, speed(changes), speed(changes) / 2)))


def test_one_key_after_the_other_is_tried_beside_the_fastest_so_far() -> None:
    trials = measured(lambda changes: 1000.0 + (changes.get("max_concurrent") == 512) * 200)
    assert [trial.changes for trial in trials] == [
        {},
        {"max_concurrent": 128},
        {"max_concurrent": 512},
        {"max_concurrent": 512, "max_num_batched_tokens": 4_096},
        {"max_concurrent": 512, "max_num_batched_tokens": 32_768},
        {"max_concurrent": 512, "speculation": "ngram"},
        {},
    ]
    assert recommend(trials) == [
        "  for params.yaml, 1.20 times as fast while busy:",
        "  runtime:",
        "    max_concurrent: 512",
    ]


def test_a_gain_within_the_noise_is_not_recommended() -> None:
    unchanged, again = Trial({}, 1000.0), Trial({}, 900.0)
    faster = Trial({"max_concurrent": 512}, 1100.0)
    keep = "  none is faster than params.yaml for sure (its own two runs differ by {}): keep it"
    assert recommend([unchanged, faster, again]) == [keep.format("11%")]
    assert recommend([unchanged, Trial({"max_concurrent": 512}, 1020.0), unchanged]) == [keep.format("0%")]
    assert recommend([unchanged, faster, unchanged])[2] == "    max_concurrent: 512"


def test_no_setting_batches_fewer_tokens_than_it_runs_conversations() -> None:
    trials = list(search(Runtime(max_concurrent=8_192), lambda changes: Trial(changes, 1.0)))
    assert [trial.changes for trial in trials if "max_num_batched_tokens" in trial.changes] == [
        {"max_num_batched_tokens": 32_768}
    ]


def test_a_setting_that_does_not_run_has_its_reason_in_the_row_and_stops_nothing() -> None:
    def speed(changes: Changes) -> Trial:
        return Trial(changes, error="out of memory") if "max_concurrent" in changes else Trial(changes, 10.0, 5.0)

    trials = list(search(RUNTIME, speed))
    assert format_trial(trials[1]).split(maxsplit=2)[2] == "no run: out of memory"
    assert format_trial(trials[0]).split() == ["as", "in", "params.yaml", "10", "5"]
    assert trials[-2].changes == {"speculation": "ngram"}
