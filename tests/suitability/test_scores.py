"""Chats scored by a real base model, the demo's: as training would see them, each once."""

import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from stages.lib.console.errors import UserError
from stages.lib.models.catalogue import Model, weights_digest
from stages.lib.records.chats import Message
from stages.lib.suitability import scores
from stages.lib.suitability.encoding import Encoder, Encoding
from stages.lib.suitability.kept_chats import to_chats
from stages.lib.suitability.scores import Scorer, read_scores
from stages.lib.suitability.student import Student, score_tokens
from tests.support.project import ROOT

FOLDER = ROOT / "demo/models/demo-base"
TWO_TURNS: list[Message] = [
    {"role": "user", "content": "What grows there?"},
    {"role": "assistant", "content": "Reeds."},
    {"role": "user", "content": "And who lives there?"},
    {"role": "assistant", "content": "Herons do."},
]


@pytest.fixture(scope="module")
def base() -> Model:
    """The demo's base model."""
    return Model(
        id="base",
        name="base",
        kind="local",
        location=str(FOLDER),
        commit=weights_digest(FOLDER),
        parameters_billions=0.0,
        context_window=2048,
        dtype="float32",
    )


def chat(reply: str) -> list[Message]:
    """A chat of one turn."""
    return [{"role": "user", "content": "Tell me of the lake."}, {"role": "assistant", "content": reply}]


def encoded(base: Model, messages: list[Message]) -> Encoding:
    """A chat that can be encoded, in tokens."""
    encoding = Encoder(base, 1024).encode(messages)
    assert isinstance(encoding, Encoding)
    return encoding


def test_the_tokens_of_every_reply_count_and_no_others(base: Model) -> None:
    encoding = encoded(base, TWO_TURNS)
    tokenizer = Encoder(base, 1024)._template.tokenizer
    assert tokenizer.decode([encoding.ids[place] for place in encoding.positions]) == "Reeds.Herons do."


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("It is <|eot_id|> deep.", "control_string"),
        (" A lake.", "begins_with_space"),
        ("A lake. " * 400, "beyond_window"),
    ],
)
def test_a_chat_that_training_would_leave_out_has_a_reason(base: Model, reply: str, reason: str) -> None:
    assert Encoder(base, 1024).encode(chat(reply)) == reason


def test_surprisal_and_rank_of_tokens_by_hand() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]]).log_softmax(dim=-1)
    surprisals, ranks = score_tokens(logits, torch.tensor([1, 2]))
    assert surprisals == pytest.approx([1.407606, 1.098612], abs=1e-6)  # ln(e² + e + 1) - 1, and ln 3
    assert ranks.tolist() == [2.0, 1.0]  # equal logits are no better


def test_scores_are_those_of_one_plain_pass_over_the_chat(base: Model) -> None:
    encoding = encoded(base, TWO_TURNS)
    found = Student(base, "cpu").read(encoding)
    model = AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()
    with torch.inference_mode():
        logs = model(torch.tensor([encoding.ids])).logits[0].log_softmax(dim=-1)
    expected = [-logs[place - 1, encoding.ids[place]].item() for place in encoding.positions]
    better = [(logs[place - 1] > logs[place - 1, encoding.ids[place]]).sum().item() for place in encoding.positions]
    assert found.surprisals == pytest.approx(expected, abs=1e-4)
    assert found.ranks.tolist() == [1 + number for number in better]


def test_what_is_in_the_store_is_not_read_again(base: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REWILD_STORE", str(tmp_path))
    first = Scorer(base, 1024, "cpu").score([chat("Deep."), chat("Wide and blue.")], "rich")
    monkeypatch.setattr(scores, "Student", None)  # weights that cannot be loaded
    assert Scorer(base, 1024, "cpu").score([chat("Wide and blue."), chat("Deep.")], "other") == first[::-1]
    monkeypatch.setattr(scores, "Encoder", None)
    with pytest.raises(TypeError):
        Scorer(base, 512, "cpu").score([chat("Deep.")], "rich")  # another window is another identity


def test_a_torn_file_of_scores_is_passed_over_and_its_chats_are_read_again(
    base: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REWILD_STORE", str(tmp_path))
    first = Scorer(base, 1024, "cpu").score([chat("Deep.")], "rich")
    [file] = (tmp_path / ".suitability/base").glob("*.parquet")
    file.write_bytes(file.read_bytes()[:50])
    assert read_scores(file.parent) == {}
    assert f"store: {file} is skipped" in capsys.readouterr().err
    assert Scorer(base, 1024, "cpu").score([chat("Deep.")], "rich") == first


def test_rows_of_responses_become_chats_with_their_system_message() -> None:
    rows = [{"conversation_hash": "a", "system": "Be brief.", "turns": [{"user": "Hi?", "assistant": "Yes."}]}]
    assert to_chats(rows) == {
        "a": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi?"},
            {"role": "assistant", "content": "Yes."},
        ]
    }
    assert to_chats([]) == {}


def test_weights_that_cannot_be_loaded_are_one_plain_line(base: Model, tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "torn")
    weights = tmp_path / "torn/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"^base: its weights cannot be loaded: "):
        Student(base.model_copy(update={"location": str(tmp_path / "torn")}), "cpu")
