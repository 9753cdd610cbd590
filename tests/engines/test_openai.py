"""The engine `openai`: what it sends, what it makes of replies, and how a chat fits the window of a small server."""

import re
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pyarrow as pa
import pytest

from stages.lib.console.errors import UserError
from stages.lib.engines.factory import make_engine
from stages.lib.engines.openai_replies import is_too_long
from stages.lib.engines.request import choose_engine
from stages.lib.generation.cached import batches
from stages.lib.generation.conversations import Conversation
from stages.lib.generation.costs import COST, summarize
from stages.lib.generation.source import to_row
from stages.lib.generation.store import Store, read_segment
from stages.lib.models.catalogue import save_model
from stages.lib.models.sampling import Sampling
from stages.lib.settings.runtime import Runtime
from tests.support.project import make_project
from tests.support.server import LIMITS, SECRET, SERVER_CONFIG, FakeServer, answer, connect, many, model_at, talk


def test_a_model_on_a_server_uses_the_engine_openai_whatever_the_params_say(server: FakeServer) -> None:
    model = model_at(server.address)
    with closing(make_engine("vllm", model, SERVER_CONFIG, Runtime(server=LIMITS))) as engine:
        assert engine.description == f"openai {openai.__version__}"
    assert choose_engine(model, "vllm") == engine.description.split()[0]
    assert choose_engine(model.model_copy(update={"kind": "local"}), "vllm") == "vllm"


def test_a_later_turn_sees_the_models_own_reply_and_each_turn_has_its_tokens(server: FakeServer) -> None:
    conversation = talk(server, "One two?", "Three?")
    assert [turn["assistant"] for turn in conversation.turns] == ["You said: One two?", "You said: Three?"]
    assert [message["content"] for message in server.requests[2]["messages"]] == [
        "One two?", "You said: One two?", "Three?"
    ]  # fmt: skip
    assert [(turn["prompt_tokens"], turn["completion_tokens"]) for turn in conversation.turns] == [(2, 5), (7, 4)]
    assert (conversation.cached_tokens, conversation.turns[0]["finish_reason"]) == (4, "stop")


def test_a_request_holds_the_config_and_nothing_that_a_server_may_not_know(server: FakeServer) -> None:
    config = replace(SERVER_CONFIG, system_prompt="Be kind.", stop=("###",))
    conversation = Conversation("h", ["Hi?"])
    seed = conversation.next_request(config).seed
    talk(server, "Hi?", config=config)
    assert server.requests[1] == {
        "model": "wise", "temperature": 0.5, "top_p": 1.0, "max_tokens": 10, "seed": seed, "stop": ["###"],
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi?"}],
    }  # fmt: skip


def test_sampling_that_not_every_server_knows_is_sent_only_when_it_is_set(server: FakeServer) -> None:
    class More(Sampling):
        top_k: int = 0
        min_p: float = 0.0

    talk(server, "Hi?", config=replace(SERVER_CONFIG, sampling=More(temperature=0.5, top_k=40)))
    assert (server.requests[1]["top_k"], server.requests[1]["temperature"]) == (40, 0.5)
    assert "min_p" not in server.requests[1] and "extra_body" not in server.requests[1]


def test_the_requests_of_a_conversation_name_it_in_the_header_that_a_router_reads(server: FakeServer) -> None:
    with connect(server, session_header="X-Session-ID") as engine:
        assert len(list(answer(engine, many(3, "Hi?", "So?")))) == 3
    first, *others = (headers.get("x-session-id", "") for headers in server.headers)
    assert first == ""  # the check
    assert sorted(Counter(others).values()) == [2, 2, 2] and all(map(re.compile("[0-9a-f]{32}").fullmatch, others))


def test_no_session_is_named_unless_it_is_asked_for(server: FakeServer) -> None:
    talk(server, "Hi?")
    assert not any("x-session-id" in headers for headers in server.headers)


def test_exactly_max_concurrent_requests_run_at_once(server: FakeServer) -> None:
    server.seconds_per_reply = 0.1
    with connect(server, max_concurrent=3) as engine:
        assert len(list(answer(engine, many(9, "Hi?", "So?"), 3))) == 9
    assert server.most_running == 3


class TestWindow:
    """A token is a word; the window is 40, a reply has at most 10."""

    @pytest.mark.parametrize("refuses", [True, False])  # as OpenAI and older vLLM do; vLLM of today gives what is left
    def test_a_reply_takes_at_most_what_is_left(self, server: FakeServer, refuses: bool) -> None:
        server.refuses_more_than_the_window = refuses
        [turn] = talk(server, "word " * 35).turns
        assert (turn["finish_reason"], turn["prompt_tokens"], turn["completion_tokens"]) == ("length", 35, 5)

    @pytest.mark.parametrize("refuses", [True, False])
    def test_a_prompt_that_leaves_no_room_overflows(self, server: FakeServer, refuses: bool) -> None:
        server.refuses_more_than_the_window = refuses
        conversation = talk(server, "word " * 40, "never asked")
        assert (conversation.status, len(conversation.turns)) == ("context_overflow", 1)
        assert (conversation.turns[0]["prompt_tokens"], conversation.turns[0]["completion_tokens"]) == (40, 0)

    @pytest.mark.parametrize(
        ("words", "finish", "tokens"), [(36, "length", (36, 4)), (41, "context_overflow", (41, 0))]
    )
    def test_the_catalogues_window_holds_on_a_server_with_a_larger_window(
        self, server: FakeServer, words: int, finish: str, tokens: tuple[int, int]
    ) -> None:
        server.window = 400
        [turn] = talk(server, "word " * words).turns
        assert (turn["finish_reason"], turn["prompt_tokens"], turn["completion_tokens"]) == (finish, *tokens)

    @pytest.mark.parametrize("window", [40, 400])
    def test_the_oldest_turns_are_left_out_until_a_whole_reply_has_room(self, server: FakeServer, window: int) -> None:
        server.window = window
        users = ["one " * 6, "two " * 6, "three " * 6]  # turns of 14 words with their replies: 14 + 14 + 6 + 10 > 40
        conversation = talk(server, *users, config=replace(SERVER_CONFIG, trim="oldest"))
        assert [turn["trimmed_turns"] for turn in conversation.turns] == [0, 0, 1]
        assert server.requests[-1]["messages"][0]["content"] == users[1]
        assert conversation.turns[2]["prompt_tokens"] == 20

    def test_a_server_with_a_smaller_window_is_refused(self, server: FakeServer) -> None:
        server.window = 30
        with pytest.raises(UserError, match="has a window of 30 tokens, the catalogue says context_window: 40"):
            talk(server, "Hi?")

    @pytest.mark.parametrize(
        "words",
        [
            "This model's maximum context length is 2048 tokens. However, your prompt contains at least 2049",
            "the request exceeds the available context size. try increasing the context size",
            "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens and 20 `max_new_tokens`",
            "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
        ],
    )
    def test_a_refusal_about_the_window_is_recognized_in_the_words_of_many_servers(
        self, server: FakeServer, words: str
    ) -> None:
        assert is_too_long(to_error(words)) and not is_too_long(to_error("unknown field: seed"))


def to_error(message: str) -> openai.APIStatusError:
    """A refusal with this message."""

    class Response:
        request, status_code, headers = None, 400, dict[str, str]()

    response: Any = Response()
    return openai.APIStatusError(message, response=response, body=None)


@pytest.mark.parametrize(("owner", "asked"), [("vllm", [False, False]), ("openai", [None, None])])
def test_a_server_that_would_leave_out_special_tokens_is_asked_to_keep_them(
    server: FakeServer, owner: str, asked: list[bool | None]
) -> None:
    server.owner = owner
    talk(server, "Hi?")
    assert [body.get("skip_special_tokens") for body in server.requests] == asked


def test_thinking_that_a_server_takes_out_is_put_back_for_the_config_to_decide(server: FakeServer) -> None:
    server.message_fields = {"reasoning_content": "Hm."}
    assert talk(server, "Hi?").turns[0]["assistant"] == "<think>Hm.</think>You said: Hi?"
    [turn] = talk(server, "Hi?", config=replace(SERVER_CONFIG, thinking="strip")).turns
    assert (turn["assistant"], turn["raw"]) == ("You said: Hi?", "<think>Hm.</think>You said: Hi?")
    server.message_fields = {"reasoning_content": "It ends with </think>."}
    [turn] = talk(server, "Hi?", config=replace(SERVER_CONFIG, thinking="strip")).turns
    assert turn["assistant"] == "You said: Hi?"
    server.message_fields = {"reasoning": "Hm.", "content": None}  # cut off in its thinking
    assert talk(server, "Hi?").turns[0]["assistant"] == "<think>Hm."


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (400, "the server refuses it (HTTP 400)"),
        (403, "the server refuses it (HTTP 403)"),  # a vendor's moderation
        ("page", "it cannot be asked, or what comes back cannot be read (ValueError)"),
    ],
)
def test_a_refused_request_fails_alone_with_a_reason_that_does_not_repeat_its_text(
    server: FakeServer, fault: Any, reason: str
) -> None:
    server.faults = [fault]
    with connect(server, max_concurrent=1) as engine:
        conversations = [Conversation("a", ["private words", "never asked"]), Conversation("b", ["Hi?"])]
        done = list(answer(engine, conversations, 1))
    assert [(conversation.status, conversation.reason, len(conversation.turns)) for conversation in done] == [
        ("failed", reason, 1),
        ("ok", "", 1),
    ]


def test_a_filtered_reply_is_failed(server: FakeServer) -> None:
    server.finish_reason = "content_filter"
    assert talk(server, "Hi?").reason == "the server ended it with 'content_filter'"


def test_the_ledger_has_the_tokens_but_no_hardware(server: FakeServer) -> None:
    with connect(server) as engine:
        [conversation] = answer(engine, many(1))
        rows = [to_row(conversation, "m", SERVER_CONFIG, engine.description)]
        [row] = next(batches(rows, engine, Runtime()))
    summary = summarize(pa.Table.from_pylist([row], schema=pa.schema(COST)))
    assert (summary["prompt_tokens"], summary["completion_tokens"], summary["hardware"]) == (1, 4, [])
    assert row["seconds"] > 0


def test_the_stage_continues_from_the_store_after_its_budget_and_all_conversations_are_valid(
    server: FakeServer, tmp_path: Path
) -> None:
    server.window = 2000
    project = make_project(tmp_path / "project", num_prompts=30)
    params = project.params()
    params["runtime"] |= {"max_concurrent": 2, "server": {"max_requests": 31}}
    project.write_params(params)
    project.run("python", "-m", "stages.prompts")
    model = model_at(server.address).model_copy(update={"id": "rich", "context_window": 2000})
    save_model(project.root / "models" / "rich", model)
    command = ("python", "-m", "stages.generate", "rich")
    output = project.run(*command, code=1, REWILD_API_KEY=SECRET)
    assert "generate: the budget of this run is spent: 31 requests" in output and "Traceback" not in output
    kept = sum(
        table.num_rows for table in map(read_segment, Store(project.root / ".dvc/store", "rich").segments()) if table
    )
    assert 10 < kept < 30
    project.edit("params.yaml", "max_requests: 31", "max_requests: 0")
    assert f"rich: {kept} conversations are in the store, {30 - kept} to generate" in project.run(*command)
    project.run("python", "-m", "stages.validate", "rich")
    verdicts = project.json("data/verdicts/rich/.summary.json")
    assert (verdicts["conversations"], verdicts["kept"], verdicts["found"]) == (30, 30, {})
    assert {*project.json("data/ledger/rich/.summary.json")["engines"]} == {f"openai {openai.__version__}"}
    assert [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()] == []


@pytest.mark.parametrize("has_role", [True, False])
def test_a_server_is_asked_once_whether_it_takes_a_system_message(server: FakeServer, has_role: bool) -> None:
    server.has_system_role = has_role
    conversations = [Conversation(str(number), ["Hi?"], system="Be brief.") for number in range(4)]
    with connect(server) as engine:
        ended = list(answer(engine, [*conversations, Conversation("plain", ["Hi?"])]))
    statuses = {each.key: each.status for each in ended}
    assert statuses == dict.fromkeys("0123", "ok" if has_role else "no_system_role") | {"plain": "ok"}
    with_system = [body for body in server.requests if body["messages"][0]["role"] == "system"]
    assert len(with_system) == (5 if has_role else 1)


def test_a_server_that_fails_when_it_is_asked_about_system_messages_is_asked_again(server: FakeServer) -> None:
    server.faults = [500, 500]
    with connect(server) as engine:
        [ended] = answer(engine, [Conversation("a", ["Hi?"], system="Be brief.")])
    assert (ended.status, ended.turns[0]["assistant"]) == ("ok", "You said: Hi?")
