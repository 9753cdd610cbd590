"""The process of Evalchemy: every request goes to the server's own model, and is counted."""

import openai
import pytest
from openai.resources.chat.completions import Completions

from stages.lib.evaluation.evalchemy.child import redirect_judge
from stages.lib.evaluation.protocol import ANSWERED, REQUESTED, read_events
from tests.support import judge as stub
from tests.support.evalchemy import serving


def test_every_request_asks_for_the_servers_own_model_and_writes_events(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(Completions, "create", Completions.create)
    stub.Judge.models.clear()
    redirect_judge(tmp_path / "events.jsonl", "small")
    with serving() as address:
        client = openai.OpenAI(base_url=address, api_key="x", max_retries=0)
        reply = client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "[[rating]]"}])
    assert str(reply.choices[0].message.content).startswith("It has some length. Rating: [[")
    assert stub.Judge.models == ["small"]
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "?"}])
    events = read_events(tmp_path / "events.jsonl")
    assert [event["event"] for event in events] == [REQUESTED, ANSWERED, REQUESTED]
    assert events[1]["completion_tokens"] == 8


def test_a_request_that_the_judge_refuses_gives_no_verdict_and_is_not_repeated(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(Completions, "create", Completions.create)
    redirect_judge(tmp_path / "events.jsonl", "small")
    with serving(refuses=1.0) as address:
        client = openai.OpenAI(base_url=address, api_key="x")
        reply = client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "[[rating]]"}])
        assert stub.Judge.num_requests == 1
    assert reply.choices[0].message.content == ""
    logprobs = reply.model_dump()["choices"][0]["logprobs"]
    assert logprobs["content"][0]["top_logprobs"] == []  # alpaca_eval's parser finds no letter there
