"""Replicas that do not start: when another node is tried, and when the run ends with the cause."""

import pytest

from stages.lib.engines.replicas.failures import SETTLE_SECONDS, Failures, cause_of
from stages.lib.engines.replicas.replica import Failed

BROKEN = Failed("no memory is free", is_final=False)
REFUSED = Failed("the chat template is wrong", is_final=True)


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> Failures:
    """Of a pool that has run for long."""
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    made = Failures()
    made.see_nodes({"a", "b"})
    monkeypatch.setattr("time.monotonic", lambda: 2 * SETTLE_SECONDS)
    return made


def test_a_failed_replica_is_tried_on_another_node_if_there_is_one(failures: Failures) -> None:
    failures.count("a", "did not start", BROKEN)
    assert failures.avoided(["a", "b"]) == {"a"} and failures.avoided(["a"]) == set()
    failures.count("b", "did not start", BROKEN)
    assert failures.avoided(["a", "b"]) == set() and failures.hopeless(["a", "b"]) == ""


def test_after_three_tries_the_cause_is_told(failures: Failures) -> None:
    for node in "aba":
        assert not failures.are_enough
        failures.count(node, "did not start", BROKEN)
    assert failures.are_enough
    assert failures.hopeless(["a", "b"]) == "no replica starts, after 3 tries on 2 of 2 nodes: no memory is free"


def test_what_every_node_refuses_is_not_tried_three_times(failures: Failures) -> None:
    failures.count("a", "did not start", REFUSED)
    assert failures.hopeless(["a", "b"]) == ""
    assert failures.hopeless(["a"]) == "no replica starts, after 1 try on 1 of 1 nodes: the chat template is wrong"


def test_a_reply_and_a_node_that_joins_begin_the_count_again(failures: Failures) -> None:
    for change in (failures.forget, lambda: failures.see_nodes({"a", "b", "c"})):
        for node in "aba":
            failures.count(node, "did not start", BROKEN)
        change()
        assert not failures.are_enough


def test_what_is_lost_with_a_node_is_no_failure_but_what_is_lost_for_ever_is(failures: Failures) -> None:
    failures.see_nodes({"a"})
    failures.count("", "is gone", None)
    assert failures.in_a_row == 0


def test_actors_that_vanish_one_after_the_other_are_failures(failures: Failures) -> None:
    for _ in range(3):
        failures.count("a", "is gone (ActorDiedError)", None)
    assert "the actor is gone (ActorDiedError)" in failures.hopeless(["a"])


def test_a_node_without_the_checkout_is_told_what_it_needs() -> None:
    class Died(Exception):
        actor_init_failed = True

    cause = cause_of(Died("The actor died.\nModuleNotFoundError: No module named 'stages'"))
    assert cause and cause.reason.startswith(
        "ModuleNotFoundError: No module named 'stages'; each node needs this checkout"
    )
    assert cause_of(OSError("gone")) is None
