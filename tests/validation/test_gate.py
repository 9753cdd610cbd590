"""The gate: what it refuses, and what it writes for git."""

from typing import Any

from stages.gate import count_verdicts, find_stop_reason
from stages.lib.settings.sections import Gate
from stages.lib.validation.verdicts import VerdictCounts
from tests.support.validation import SETTINGS

COUNTED: dict[str, Any] = {
    "conversations": 10, "kept": 7, "missing": 0, "shards": 1, "unreadable_shards": 0, "not_checked": {},
    "dropped_by": {"loop": 1, "finish_length": 2},
    "found": {"loop": 1, "finish_length": 2, "refusal": 4},
    "examples": {"finish_length": ["abc" * 10], "refusal": ["def"]},
}  # fmt: skip


def test_the_gate_lists_the_reasons_by_frequency_with_examples() -> None:
    message = find_stop_reason("q72", COUNTED, Gate(max_dropped_share=0.2, max_share={}))
    assert "3 of 10 conversations dropped (30.0%, allowed 20.0%): finish_length 2, loop 1;" in message
    assert "finish_length as in abcabcabcabc." in message
    assert find_stop_reason("q72", COUNTED, Gate(max_dropped_share=0.3, max_share={})) == ""


def test_a_reason_can_have_its_own_limit() -> None:
    message = find_stop_reason("q72", COUNTED, Gate(max_dropped_share=1.0, max_share={"refusal": 0.2}))
    assert "refusal in 4 of 10 conversations (40.0%, allowed 20.0%), as in def." in message
    both = find_stop_reason("q72", COUNTED, Gate(max_dropped_share=1.0, max_share={"refusal": 0.2, "loop": 0.05}))
    assert "as in def; loop in 1 of 10 conversations" in both


def test_the_gate_always_stops_at_missing_or_unreadable_responses() -> None:
    all_may_go = Gate(max_dropped_share=1.0, max_share={})
    assert "2 prompts have no response" in find_stop_reason("q72", COUNTED | {"missing": 2}, all_may_go)
    assert "1 of 1 shards of responses cannot be read" in find_stop_reason(
        "q72", COUNTED | {"unreadable_shards": 1}, all_may_go
    )
    assert find_stop_reason("q72", COUNTED | {"conversations": 0, "kept": 0}, all_may_go)


def test_the_metrics_are_counts_and_shares() -> None:
    counts = count_verdicts(COUNTED, {"stop": 15, "length": 4, "context_overflow": 9})
    names = ("conversations", "kept", "missing", "dropped_by", "found", "not_checked")
    assert set(counts) == {*names, "replies", "cut", "dropped_share", "found_share"}
    assert (counts["dropped_share"], counts["replies"], counts["cut"]) == (0.3, 19, 4)
    assert counts["found_share"] == {"loop": 0.1, "finish_length": 0.2, "refusal": 0.4}


def test_the_gate_names_max_tokens_where_replies_were_cut() -> None:
    advice = (
        ". Look at data/verdicts/q72, raise generate.max_tokens, allow `length` in validate.finish_reasons, or raise"
    )
    assert advice in find_stop_reason("q72", COUNTED, Gate(max_dropped_share=0.2, max_share={}))
    assert advice in find_stop_reason("q72", COUNTED, Gate(max_dropped_share=1.0, max_share={"finish_length": 0.1}))
    assert "max_tokens" not in find_stop_reason("q72", COUNTED, Gate(max_dropped_share=1.0, max_share={"refusal": 0.1}))
    loops = COUNTED | {"dropped_by": {"loop": 3}, "examples": {}}
    assert "max_tokens" not in find_stop_reason("q72", loops, Gate(max_dropped_share=0.2, max_share={}))


def test_a_reason_that_is_only_reported_does_not_count_among_those_that_dropped_a_conversation() -> None:
    counts = VerdictCounts()
    for reasons in (["loop", "refusal"], ["refusal"]):
        row = {"conversation_hash": "h", "keep": "loop" not in reasons, "reasons": reasons, "not_checked": []}
        counts.add(row, SETTINGS)
    assert (counts.dropped_by, counts.found, counts.kept) == ({"loop": 1}, {"loop": 1, "refusal": 2}, 1)
