"""Prompts with a system message: how they are asked, stored, written and imported."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from stages.generate import PromptFolder, write_responses
from stages.lib.core.files import read_json
from stages.lib.core.types import Row
from stages.lib.engines.base import Reply, Request, no_system_role_reply
from stages.lib.engines.budget import estimate
from stages.lib.engines.echo import EchoEngine
from stages.lib.engines.request import RequestConfig
from stages.lib.generation.conversations import Conversation, longest_first
from stages.lib.generation.imports import ImportedConversations
from stages.lib.generation.store import SEGMENT, Store, read_segment
from stages.lib.records.hashing import chat_sha
from stages.lib.records.prompts import PROMPT
from stages.lib.records.responses import RESPONSE
from stages.lib.records.shards import read_rows, write_rows
from tests.support.conversations import CONFIG, MODEL, Recorder, run_on
from tests.support.generation import generate, make_prompt

BRIEF = "Be brief."
RESPONSES = Path("data/responses/m")


def with_system(name: str, *users: str, system: str = BRIEF) -> Row:
    return make_prompt(name, *users) | {"system": system}


class WithoutSystemRole(EchoEngine):
    """An echo whose model takes no system message, and that says which chats it was asked."""

    def __init__(self, config: RequestConfig = CONFIG) -> None:
        super().__init__(config)
        self.asked: list[str] = []

    def submit(self, key: str, request: Request) -> None:
        if request.messages[0]["role"] == "system":
            self._ended.append((key, no_system_role_reply()))
            return
        self.asked.append(key)
        super().submit(key, request)


@pytest.mark.parametrize(
    ("catalogue", "own", "said"),
    [("", BRIEF, BRIEF), ("Be kind.", BRIEF, "Be kind.\n\nBe brief."), ("Be kind.", "", "Be kind."), ("", "", None)],
)
def test_a_prompts_system_message_stands_after_the_catalogues(catalogue: str, own: str, said: str | None) -> None:
    engine = Recorder(replace(CONFIG, system_prompt=catalogue))
    conversation = Conversation.from_prompt(with_system("h", "Hi?", "And?", system=own), "", "own")
    [finished] = run_on(engine, conversation)
    heads = [chat[0] for chat in engine.chats]
    assert heads == [{"role": "system", "content": said} if said else {"role": "user", "content": "Hi?"}] * 2
    assert [turn["prompt_sha"] for turn in finished.turns] == [chat_sha(chat) for chat in engine.chats]


def test_the_oldest_turns_are_left_out_and_the_system_message_stays() -> None:
    engine = Recorder(replace(CONFIG, trim="oldest", max_tokens=30, window=120))
    users = ("What is a harbour?", "And a quay?", "And a pier?", "And a mole?")
    [finished] = run_on(engine, Conversation.from_prompt(with_system("h", *users), "", "own"))
    assert finished.turns[-1]["trimmed_turns"] > 0
    assert engine.chats[-1][0] == {"role": "system", "content": BRIEF}
    assert len(engine.chats[-1]) == 2 * (len(users) - finished.turns[-1]["trimmed_turns"])


def test_a_system_message_that_fills_the_window_is_a_context_overflow() -> None:
    [finished] = run_on(
        EchoEngine(CONFIG), Conversation.from_prompt(with_system("h", "Hi?", system="x" * 400), "", "own")
    )
    assert (finished.status, finished.turns[0]["assistant"]) == ("context_overflow", "")


def test_what_a_server_will_be_sent_includes_the_system_messages() -> None:
    plain, brief = ([make_prompt("h", "Hi?", "And?")], [with_system("h", "Hi?", "And?", system="x" * 40)])
    assert estimate(brief, CONFIG).prompt_tokens == estimate(plain, CONFIG).prompt_tokens + 2 * 40 // 4


def test_a_long_system_message_makes_a_conversation_long() -> None:
    prompts = [make_prompt("a", "Hi, how are you?"), with_system("b", "Hi?", system="x" * 40)]
    conversations = [Conversation.from_prompt(prompt, "", "own") for prompt in prompts]
    assert [each.key for each in longest_first(conversations, 9)] == ["b", "a"]


def test_a_model_without_a_system_role_is_not_asked_and_the_conversations_are_counted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = WithoutSystemRole()
    one, two = generate([with_system("a", "Hi?", "And?"), make_prompt("b", "Hi?")], engine)
    assert engine.asked == ["b"]
    assert (one["status"], [(turn["assistant"], turn["finish_reason"]) for turn in one["turns"]]) == (
        "no_system_role", [("", "no_system_role")],
    )  # fmt: skip
    assert two["status"] == "ok"
    summary = read_json(folder / RESPONSES / ".summary.json")
    assert summary["status"] == {"no_system_role": 1, "ok": 1}
    assert read_json(folder / "data/ledger/m/.summary.json")["answered"] == 1
    said = "m: 1 of 2 conversations have a system message, for which its chat template has no role"
    assert said in capsys.readouterr().err


def test_what_could_not_be_asked_is_not_asked_again(folder: Path) -> None:
    prompts, engine = [with_system("a", "Hi?")], WithoutSystemRole()
    assert generate(prompts, engine) == generate(prompts, engine)
    assert len(Store(Path("store"), "m").segments()) == 1


def test_responses_have_a_column_for_system_messages_only_where_a_prompt_has_one(folder: Path) -> None:
    generate([make_prompt("a", "Hi?"), with_system("b", "Hi?", system="")], EchoEngine(CONFIG))
    [shard] = RESPONSES.glob("*.parquet")
    assert pq.read_schema(shard).equals(RESPONSE)
    rows = generate([make_prompt("a", "Hi?"), with_system("b", "Hi?")], EchoEngine(CONFIG))
    assert [row["system"] for row in rows] == ["", BRIEF]
    stored = [read_segment(segment) for segment in Store(Path("store"), "m").segments()]
    assert all(table is not None and table.schema.equals(SEGMENT) for table in stored)


def test_a_folder_of_prompts_written_before_they_had_system_messages_has_none(folder: Path) -> None:
    Path("data/prompts").mkdir(parents=True)
    old = PROMPT.remove(PROMPT.get_field_index("system"))
    write_rows(Path("data/prompts"), 0, [make_prompt("a", "Hi?")], old)
    assert list(PromptFolder().systems()) == [""]


def test_imported_replies_to_a_prompt_with_a_system_message_can_be_used(folder: Path) -> None:
    prompts = [with_system("a", "Hi?"), make_prompt("b", "Hi?")]
    model = MODEL.model_copy(update={"kind": "import", "location": "reference"})
    write_responses(ImportedConversations(model, CONFIG, None), prompts)
    rows = list(read_rows(RESPONSES))
    assert [(row["status"], row["system"], row["turns"][0]["assistant"]) for row in rows] == [
        ("ok", BRIEF, "Ref."), ("ok", "", "Ref."),
    ]  # fmt: skip


def test_a_reply_that_was_not_asked_for_took_no_tokens() -> None:
    assert no_system_role_reply() == Reply("", "no_system_role", 0, 0)
