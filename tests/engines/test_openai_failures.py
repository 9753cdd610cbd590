"""The engine `openai` and a server that is wrong from the start, fails now and then, or goes away."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from stages.lib.console.errors import UserError
from stages.lib.engines.openai import OpenAIEngine
from stages.lib.generation.cached import batches
from stages.lib.generation.source import to_row
from stages.lib.models.api_keys import key_for
from stages.lib.settings.runtime import Runtime
from tests.support.server import LIMITS, SECRET, SERVER_CONFIG, FakeServer, answer, connect, many, model_at, talk


class TestStart:
    """An engine that cannot work says why before any conversation begins."""

    def test_a_wrong_key_is_refused_without_being_repeated(
        self, server: FakeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.key = "right"
        monkeypatch.setenv("REWILD_API_KEY", SECRET)
        with pytest.raises(UserError) as error:
            talk(server, "Hi?")
        assert "refuses the key (HTTP 401): set REWILD_API_KEY" in str(error.value)
        assert SECRET not in str(error.value) and "\n" not in str(error.value)

    def test_the_right_key_is_accepted(self, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
        server.key = SECRET
        monkeypatch.setenv("REWILD_API_KEY", SECRET)
        assert talk(server, "Hi?").status == "ok"

    def test_the_key_for_openai_goes_to_no_other_address(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("REWILD_API_KEY", raising=False)
        monkeypatch.setenv("OPENAI_API_KEY", SECRET)
        addresses = ("https://api.openai.com/v1", "http://127.0.0.1:8000/v1", "https://api.openai.com.evil.org/v1")
        assert [key_for(address) for address in addresses] == [SECRET, "EMPTY", "EMPTY"]

    def test_an_unknown_model_is_answered_with_the_known_ones(self, server: FakeServer) -> None:
        with pytest.raises(UserError, match="has no model 'other'; it has: wise"):
            OpenAIEngine(model_at(server.address, "other"), SERVER_CONFIG, Runtime(server=LIMITS))

    def test_a_server_that_is_not_started_cannot_be_reached(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # and does not listen
            address = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
            with pytest.raises(UserError, match="cannot be reached: start it, or correct the catalogue's address"):
                OpenAIEngine(model_at(address), SERVER_CONFIG, Runtime(server=LIMITS))

    def test_refused_sampling_is_reported_with_its_status(self, server: FakeServer) -> None:
        server.faults = [422]
        server.requests.append({})  # so that the fault meets the engine's first check
        with pytest.raises(UserError, match=r"refuses a simple request \(HTTP 422\)"):
            talk(server, "Hi?")

    def test_a_page_instead_of_an_answer_is_not_openais_api(self, server: FakeServer) -> None:
        server.faults = ["page"]
        server.requests.append({})
        with pytest.raises(UserError, match=r"does not speak OpenAI's API .*; most addresses end in /v1"):
            talk(server, "Hi?")


@pytest.mark.parametrize("fault", [500, 503, 429, "reset"])
def test_a_request_that_fails_twice_is_sent_a_third_time(server: FakeServer, fault: Any) -> None:
    server.faults = [fault, fault]
    conversation = talk(server, "Hi?")
    assert (conversation.status, conversation.turns[0]["assistant"], len(server.requests)) == ("ok", "You said: Hi?", 4)


def test_retry_after_is_honoured(server: FakeServer) -> None:
    server.faults = [(429, {"Retry-After": "2"})]
    assert talk(server, "Hi?").status == "ok"
    assert server.times[2] - server.times[1] >= 2


def test_a_request_without_an_answer_in_time_is_sent_again(server: FakeServer) -> None:
    server.faults = [3.0]
    assert talk(server, "Hi?", timeout_seconds=0.5).turns[0]["assistant"] == "You said: Hi?"
    assert len(server.requests) == 3 and server.times[2] - server.times[1] < 2


class TestOutage:
    """A server that goes away in the middle."""

    def test_a_server_that_comes_back_costs_no_conversation(self, server: FakeServer) -> None:
        with connect(server, max_concurrent=2) as engine:
            finished = answer(engine, many(4, "Hi?", "So?"), 2)
            names = {next(finished).key}
            server.stop()
            port = server.server_address[1]
            restarted: list[FakeServer] = []
            timer = threading.Timer(2, lambda: restarted.append(FakeServer(port).start()))
            timer.start()
            names |= {conversation.key for conversation in finished if conversation.status == "ok"}
            timer.join()
            restarted[0].stop()
        assert names == {"0", "1", "2", "3"}

    def test_a_server_that_stays_away_ends_the_run_and_finished_conversations_are_kept(
        self, server: FakeServer
    ) -> None:
        runtime = Runtime(max_concurrent=2, flush_conversations=1000, flush_seconds=1000)
        with connect(server, max_concurrent=2, retry_seconds=1) as engine:
            conversations = many(50)

            def rows() -> Iterator[dict[str, Any]]:
                for number, conversation in enumerate(answer(engine, conversations, 2)):
                    if number == 5:
                        server.stop()
                    yield to_row(conversation, "m", SERVER_CONFIG, engine.description)

            batched = batches(rows(), engine, runtime)
            kept = next(batched)
            assert 6 <= len(kept) < 50 and {row["status"] for row in kept} == {"ok"}
            with pytest.raises(
                UserError, match=r"has not answered for 1 s \(no connection, .*then run again to continue"
            ):
                next(batched)

    def test_a_server_that_answers_only_errors_ends_the_run_after_a_few(self, server: FakeServer) -> None:
        with connect(server, max_concurrent=1, retry_seconds=0.5) as engine:
            server.faults = [503] * 1000
            done = []
            with pytest.raises(UserError, match=r"has not answered for 0.5 s \(HTTP 503\)"):
                for conversation in answer(engine, many(50), 1):
                    done.append(conversation.reason)
        assert done == ["the server did not answer it, however often it was asked (HTTP 503)"] * 2

    def test_single_requests_that_fail_for_good_do_not_end_the_run(self, server: FakeServer) -> None:
        server.faults = [503, 503, None] * 3
        with connect(server, max_concurrent=1, retry_seconds=0.5) as engine:
            done = list(answer(engine, many(6), 1))
        assert [conversation.status for conversation in done] == ["failed", "ok"] * 3

    def test_no_request_is_sent_after_an_error_that_every_request_would_meet(self, server: FakeServer) -> None:
        server.seconds_per_reply = 0.2
        with connect(server) as engine:
            server.faults = [404]
            with pytest.raises(UserError, match="has no model"):
                list(answer(engine, many(2, *["Hi?"] * 3)))
        assert len(server.requests) <= 3  # the first check, the one that fails, the one running beside it

    def test_a_revoked_key_ends_the_run_at_once(self, server: FakeServer) -> None:
        with connect(server) as engine:
            server.key = "another"
            with pytest.raises(UserError, match="refuses the key"):
                list(answer(engine, many(1)))
        assert len(server.requests) == 2
