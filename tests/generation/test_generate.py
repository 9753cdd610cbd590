"""Chains, identity and the store."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest

from stages.generate import write_responses
from stages.lib.engines.base import Reply
from stages.lib.engines.echo import EchoEngine
from stages.lib.engines.request import RequestConfig, dgm_config, identity
from stages.lib.engines.vllm import VllmEngine, quantization_at_load
from stages.lib.generation.conversations import Conversation, run_conversations
from stages.lib.generation.store import Store, matches_limits
from stages.lib.models.catalogue import ModelSampling
from stages.lib.models.sampling import Sampling
from stages.lib.records.chats import build_chat
from stages.lib.records.hashing import chat_sha
from stages.lib.settings.sections import Generate
from tests.support.conversations import CONFIG, MODEL, GivenRows, Recorder, stored_row, talk
from tests.support.project import ROOT

PROMPT = {"conversation_hash": "h", "turns": [{"user": "Hi?", "reference": "Yes."}]}


def test_a_later_turn_sees_the_models_own_earlier_replies() -> None:
    engine = Recorder(CONFIG)
    conversation = next(run_conversations(engine, [Conversation("h", ["One?", "Two?"], ["Ref."])], CONFIG, 8))
    assert [message["content"] for message in engine.chats[1]] == ["One?", conversation.turns[0]["assistant"], "Two?"]


def test_reference_history_sees_the_original_replies_and_a_system_prompt_comes_first() -> None:
    config = replace(CONFIG, history="reference", system_prompt="Be kind.")
    engine = Recorder(config)
    next(run_conversations(engine, [Conversation("h", ["One?", "Two?"], ["Ref.", ""])], config, 8))
    assert [m["content"] for m in engine.chats[1]] == ["Be kind.", "One?", "Ref.", "Two?"]


def test_a_turn_that_does_not_fit_ends_its_conversation_and_no_other() -> None:
    conversations = [Conversation("long", ["x" * 500, "never asked"]), Conversation("short", ["Hi?"])]
    done = {
        conversation.key: conversation
        for conversation in run_conversations(EchoEngine(CONFIG), conversations, CONFIG, 8)
    }
    assert (done["long"].status, len(done["long"].turns)) == ("context_overflow", 1)
    assert done["long"].turns[0]["finish_reason"] == "context_overflow"
    assert done["short"].status == "ok"


def test_a_reply_at_the_limit_is_length_and_the_seed_depends_on_the_turn() -> None:
    conversation = talk("Hi?", "Hi?", config=RequestConfig(CONFIG.sampling, 10, 400, 1))
    assert conversation.turns[0]["finish_reason"] == "length" and conversation.turns[0]["completion_tokens"] == 10
    assert conversation.turns[0]["assistant"] != conversation.turns[1]["assistant"]


def test_equal_prompts_are_separate_conversations() -> None:
    done = list(
        run_conversations(EchoEngine(CONFIG), [Conversation("a", ["Hi?"]), Conversation("b", ["Hi?"])], CONFIG, 8)
    )
    assert done[0].turns[0]["assistant"] != done[1].turns[0]["assistant"]


def test_admission_is_bounded() -> None:
    engine = Recorder(CONFIG)
    assert (
        len(list(run_conversations(engine, [Conversation(str(n), ["Hi?", "So?"]) for n in range(9)], CONFIG, 3))) == 9
    )
    assert engine.most == 3


def test_the_identity_covers_what_decides_the_text_and_nothing_else() -> None:
    name = identity(PROMPT, MODEL, CONFIG, "vllm")
    turns = [{"user": "Hi!", "reference": "Yes."}]
    others = [
        identity({**PROMPT, "turns": turns}, MODEL, CONFIG, "vllm"),
        identity({**PROMPT, "conversation_hash": "g"}, MODEL, CONFIG, "vllm"),
        identity(PROMPT, MODEL.model_copy(update={"commit": "d"}), CONFIG, "vllm"),
        identity(PROMPT, MODEL.model_copy(update={"quantization": "fp8"}), CONFIG, "vllm"),
        identity(PROMPT, MODEL, RequestConfig(Sampling(temperature=0.8), 100, 400, 1), "vllm"),
        identity(PROMPT, MODEL, RequestConfig(CONFIG.sampling, 100, 400, 2), "vllm"),
        identity(PROMPT, MODEL, RequestConfig(CONFIG.sampling, 100, 400, 1, "reference"), "vllm"),
    ]
    assert len({name, *others}) == 8
    reference = [{"user": "Hi?", "reference": "No."}]
    assert identity({**PROMPT, "turns": reference}, MODEL, CONFIG, "vllm") == name
    assert identity(PROMPT, MODEL, RequestConfig(CONFIG.sampling, 50, 300, 1), "vllm") == name


def test_a_models_own_sampling_goes_over_the_profiles() -> None:
    generate = Generate(
        engine="echo", history="own", trim="never", max_tokens=5, max_failed_share=0, seed=1,
        sampling=Sampling(temperature=0.7, top_p=0.9),
    )  # fmt: skip
    config = dgm_config(MODEL.model_copy(update={"sampling": ModelSampling(temperature=0.2)}), generate)
    assert config.sampling == Sampling(temperature=0.2, top_p=0.9)


def turn(finish: str = "stop", completion: int = 50, prompt: int = 100) -> dict[str, Any]:
    return {"finish_reason": finish, "completion_tokens": completion, "prompt_tokens": prompt}


@pytest.mark.parametrize(
    ("stored", "max_tokens", "window", "holds"),
    [
        (turn(), 50, 400, True),
        (turn(), 80, 400, True),  # it ended by itself: a higher limit changes nothing
        (turn(), 40, 400, False),  # it is longer than the new limit
        (turn(completion=30), 40, 400, True),
        (turn(), 50, 149, False),  # it no longer fits the window
        (turn("length"), 50, 400, True),
        (turn("length"), 50, 800, True),  # the limit cut it, not the window
        (turn("length"), 80, 400, False),  # a higher limit would let it go on
        (turn("length"), 40, 400, False),
        (turn("length"), 80, 150, True),  # the window cuts it where the limit did
        (turn("context_overflow", 0, 500), 50, 450, True),
        (turn("context_overflow", 0, 500), 50, 600, False),
    ],
)
def test_new_limits_regenerate_only_what_they_could_alter(
    stored: dict[str, Any], max_tokens: int, window: int, holds: bool
) -> None:
    short = turn(completion=1)
    turns = pa.array([[short], [short, stored], [short]])
    assert matches_limits(turns, max_tokens, window).tolist() == [True, holds, True]


def test_the_store_finds_rows_by_identity_and_sets_a_torn_segment_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path, "m")
    stored = stored_row("name", "Hi?")
    store.append([stored])
    (tmp_path / "m" / "torn.parquet").write_bytes(b"PAR1 torn")
    (tmp_path / "m" / ".draft").write_bytes(b"half")
    found = store.find({"name", "other"}, 100, 400)
    assert store.read([found["name"]]).to_pylist() == [stored]
    assert store.find({"other"}, 100, 400) == {}
    assert "torn.parquet is skipped" in capsys.readouterr().err


def test_a_changed_bit_anywhere_in_a_segment_sets_it_aside(tmp_path: Path) -> None:
    store = Store(tmp_path, "m")
    store.append([stored_row("name", "Hi?")])
    [segment] = store.segments()
    content = segment.read_bytes()
    for position in range(0, len(content), 101):
        segment.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        assert store.find({"name"}, 100, 400) == {}
    segment.write_bytes(content)
    assert set(store.find({"name"}, 100, 400)) == {"name"}


def test_rows_are_read_in_the_order_asked_and_of_equals_the_oldest_is_taken(tmp_path: Path) -> None:
    store = Store(tmp_path, "m")
    rows = {name: stored_row(name, f"{name}?") for name in "abc"}
    store.append([rows["a"], rows["b"]])
    store.append([rows["c"], rows["b"] | {"engine": "newer"}])
    found = store.find(set("abc"), 100, 400)
    assert store.read([found[name] for name in "cab"]).to_pylist() == [rows["c"], rows["a"], rows["b"]]


def test_a_second_run_of_a_dgm_says_that_it_waits_and_goes_on_when_the_first_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from stages.lib.generation.store import Store\n"
        "with Store(Path(sys.argv[1]), 'm').exclusive(): print('mine', flush=True); time.sleep(60)"
    )

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", script, str(tmp_path)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)

    with start() as first:
        assert first.stdout and first.stdout.readline() == "mine\n"
        with start() as second:
            assert second.stderr and "m: another run is writing to" in second.stderr.readline()
            first.kill()
            assert second.stdout and second.stdout.readline() == "mine\n"
            second.kill()


@pytest.mark.parametrize(
    ("asked", "config", "given"),
    [
        ("fp8", {}, "fp8"),
        ("fp8", {"quantization_config": {"quant_method": "compressed-tensors"}}, None),
        ("fp8", {"text_config": {"quantization_config": {"quant_method": "fp8"}}}, None),
        ("none", {}, None),
    ],
)
def test_a_native_checkpoint_is_quantized_at_load_and_a_quantized_one_is_left_to_itself(
    tmp_path: Path, asked: str, config: dict[str, Any], given: str | None
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", **config}))
    model = MODEL.model_copy(update={"location": str(tmp_path), "quantization": asked})
    assert quantization_at_load(model) == given


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("<think>Hm.</think>\n\nYes.", "Yes."),
        ("Hm.</think> Yes.", "Yes."),  # the template has opened the tag
        ("<think>Hm, for ever", ""),
        ("Yes.", "Yes."),
    ],
)
def test_thinking_is_taken_away_and_the_whole_text_kept_beside(said: str, kept: str) -> None:
    conversation = Conversation("h", ["One?", "Two?"])
    conversation.add_reply(Reply(said, "stop", 5, 5), replace(CONFIG, thinking="strip"))
    assert (conversation.turns[0]["assistant"], conversation.turns[0]["raw"]) == (kept, said if said != kept else "")
    assert conversation.messages(CONFIG)[1]["content"] == kept  # a later turn does not see it


def test_the_oldest_turns_make_room_when_they_may_and_the_newest_question_is_never_cut() -> None:
    config = replace(CONFIG, trim="oldest", max_tokens=60, window=200, system_prompt="Be.")
    conversation = talk("a" * 40, "b" * 40, "c" * 40, config=config)
    assert [turn["trimmed_turns"] for turn in conversation.turns] == [0, 1, 2]
    asked = build_chat(["c" * 40], [], "Be.")
    assert conversation.turns[2]["prompt_sha"] == chat_sha(asked) and conversation.status == "ok"
    assert talk("x" * 500, config=config).status == "context_overflow"


def test_the_ledger_says_in_plain_values_how_a_model_was_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = replace(CONFIG, system_prompt="Be kind.", stop=("END",))
    write_responses(GivenRows([stored_row("a", "Hi?")], config=config), [])
    assert json.loads((tmp_path / "data/ledger/m/.summary.json").read_text())["asked"] == {
        "sampling": {"temperature": 0.7, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0},
        "max_tokens": 100, "window": 400, "seed": 1, "history": "own", "trim": "never",
        "system_prompt": "Be kind.", "stop": ["END"], "thinking": "keep",
    }  # fmt: skip


def test_a_reply_that_vllm_broke_off_is_failed_and_will_be_asked_again() -> None:
    output = SimpleNamespace(prompt_token_ids=[1, 2], outputs=[SimpleNamespace(finish_reason="abort", token_ids=[3])])
    found = VllmEngine._reply(cast(VllmEngine, None), output, 0)
    assert (found.finish_reason, found.text, found.reason) == ("failed", "", "vLLM ended it with 'abort'")
