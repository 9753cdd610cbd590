"""The limits of a run on a server: rate, requests and tokens."""

import pytest

from stages.lib.console.errors import UserError
from tests.support.server import FakeServer, answer, connect, many, talk


def test_requests_are_sent_at_the_rate_per_minute(server: FakeServer) -> None:
    with connect(server, requests_per_minute=300) as engine:
        list(answer(engine, many(6)))
    gaps = [after - before for before, after in zip(server.times, server.times[1:], strict=False)]
    assert len(gaps) == 6 and server.times[-1] - server.times[0] > 6 * 0.2 - 0.05


def test_waiting_for_the_rate_does_not_count_as_retry_time(server: FakeServer) -> None:
    server.faults = [500] * 16
    with connect(server, requests_per_minute=240, retry_seconds=1.5) as engine:
        assert {conversation.status for conversation in answer(engine, many(8))} == {"ok"}


class TestBudget:
    """Of one run; the engine's first check counts."""

    def test_counts_requests_and_keeps_the_replies_that_were_paid_for(self, server: FakeServer) -> None:
        done = []
        with connect(server, max_requests=5) as engine:
            message = r"the budget of this run is spent: 5 requests, \d+ tokens .*max_requests 5.*a new run continues"
            with pytest.raises(UserError, match=message):
                for conversation in answer(engine, many(50)):
                    done.append(conversation.status)
        assert (len(server.requests), done) == (5, ["ok"] * 4)  # what was paid for was given

    def test_counts_repeats(self, server: FakeServer) -> None:
        server.faults = [500] * 100
        with pytest.raises(UserError, match="the budget of this run is spent: 3 requests"):
            talk(server, "Hi?", max_requests=3)
        assert len(server.requests) == 3

    def test_is_exceeded_by_at_most_the_tokens_of_running_requests(self, server: FakeServer) -> None:
        server.seconds_per_reply = 0.02
        with connect(server, max_concurrent=2, max_tokens=30) as engine:
            with pytest.raises(UserError, match="the budget of this run is spent"):
                list(answer(engine, many(50), 2))
            assert 30 <= engine.client.budget.tokens < 30 + 2 * 5
