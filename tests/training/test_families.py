"""Twelve public families of chat templates: generation, training and evaluation read a chat as the same tokens."""

import importlib.metadata
import sys
from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock

import pytest

from stages.lib.console.errors import UserError
from stages.lib.evaluation.lm_eval_prompts import ChatPrompts
from stages.lib.models.chat_template import Template
from stages.lib.records.chats import Message
from stages.lib.training.label_masks import PreparedRow
from stages.lib.training.reference_encodings import encode_whole
from stages.lib.training.trained_template import check_beginnings, end_of_turn
from tests.support.axolotl import marked, prepare, write_training
from tests.support.families import FAMILIES, Family, tokenizer_of
from tests.support.training import needs_axolotl

TRAINED = [name for name, family in FAMILIES.items() if not family.refused]
REFUSED = [name for name, family in FAMILIES.items() if family.refused]
CHAT: list[Message] = [
    {"role": "user", "content": "Hi, <b>you</b>"},
    {"role": "assistant", "content": "Yes?"},
    {"role": "user", "content": "2 + 2\n\nin words"},
    {"role": "assistant", "content": "Four.\n1. Two\n2. Two"},
]
BE_KIND: Message = {"role": "system", "content": "Be kind."}


def template_of(name: str) -> Template:
    return Template(tokenizer_of(FAMILIES[name]), FAMILIES[name].model)


def chats_of(family: Family) -> list[list[Message]]:
    """Chats of one turn and of two, and one with a system prompt where there is a place for it."""
    return [CHAT[:2], CHAT, *([] if family.without_system else [[BE_KIND, *CHAT]])]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_reply_is_asked_for_with_the_familys_header(name: str) -> None:
    template = template_of(name)
    template.check()
    asked = template.render(CHAT[:3])
    assert asked.endswith(CHAT[2]["content"] + FAMILIES[name].header)


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.without_system])
def test_a_family_without_a_system_role_refuses_a_system_prompt_in_one_line(name: str) -> None:
    family = FAMILIES[name]
    template = Template(tokenizer_of(family), family.model.model_copy(update={"system_prompt": "Be kind."}))
    with pytest.raises(UserError) as refusal:
        template.check()
    message = f"m: its chat template has no system role (the chat template says: {family.without_system}): take"
    assert str(refusal.value).startswith(message) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", REFUSED)
def test_a_family_that_cannot_be_trained_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(UserError) as refusal:
        end_of_turn(template_of(name))
        check_beginnings(template_of(name))
    assert str(refusal.value).startswith(f"m: its chat template {FAMILIES[name].refused}")
    assert "as `chat_template` in the catalogue" in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[PreparedRow]]:
    """The chats of every family that can be trained, as Axolotl prepares them."""
    folders = [tmp_path_factory.mktemp("family") for _ in TRAINED]
    for name, folder in zip(TRAINED, folders, strict=True):
        write_training(folder, template_of(name), chats_of(FAMILIES[name]))
    return dict(zip(TRAINED, prepare(folders), strict=True))


@needs_axolotl
@pytest.mark.parametrize("name", TRAINED)
def test_training_reads_the_tokens_of_generation_and_trains_replies_to_their_ends(
    name: str, prepared: dict[str, list[PreparedRow]]
) -> None:
    family, template = FAMILIES[name], template_of(name)
    for chat, row in zip(chats_of(family), prepared[name], strict=True):
        assert row.ids.tolist() == encode_whole(chat, template)
        for number, message in enumerate(chat):
            if message["role"] == "assistant":
                asked = template.encode(chat[:number])
                assert row.ids[: len(asked)].tolist() == asked
        replies = [message["content"] for message in chat if message["role"] == "assistant"]
        text = template.tokenizer.decode(row.ids)
        assert marked(row, template) == with_brackets(text, replies, family.end)


def with_brackets(text: str, replies: list[str], end: str) -> str:
    """A chat with brackets around its replies and the token that ends each, which may follow after a space."""
    for reply in replies:
        space = " " if f"{reply} {end}" in text else ""
        assert text.count(f"{reply}{space}{end}") == 1
        text = text.replace(f"{reply}{space}{end}", f"⟦{reply}⟧{space}⟦{end}⟧" if space else f"⟦{reply}{end}⟧")
    return text


@pytest.fixture(scope="module", params=["hf", "vllm"])
def backend(request: pytest.FixtureRequest) -> Iterator[type[Any]]:
    """A kind of lm-eval's models. That of vLLM is only asked for tokens, so vLLM itself is left out: it loads long."""
    if request.param == "hf":
        from lm_eval.models.huggingface import HFLM

        yield HFLM
        return
    with pytest.MonkeyPatch.context() as patch:
        for name in ("vllm", "vllm.lora", "vllm.lora.request", "vllm.tokenizers"):
            patch.setitem(sys.modules, name, MagicMock())
        patch.setattr(importlib.metadata, "version", lambda _name: "0.8")
        from lm_eval.models.vllm_causallms import VLLM
    yield VLLM


@pytest.mark.parametrize("name", FAMILIES)
def test_evaluation_asks_with_the_tokens_of_generation(name: str, backend: type[Any]) -> None:
    family, template = FAMILIES[name], template_of(name)
    lm: Any = object.__new__(backend)  # without weights
    lm.tokenizer, lm.custom_prefix_token_id, lm.backend = tokenizer_of(family), None, "causal"
    counts = ChatPrompts(template).attach(lm)
    for chat in (CHAT[:1], CHAT[:3], [BE_KIND, *CHAT[:1]]):
        prompt = lm.apply_chat_template(chat)
        asked = chat[1:] if chat[0] == BE_KIND and family.without_system else chat
        assert lm.tok_encode(prompt) == template.encode(asked)
        if hasattr(lm, "tok_batch_encode"):
            assert lm.tok_batch_encode([prompt])[0].tolist() == [template.encode(asked)]
    assert +counts == {"rendered": 3, **({"without_system": 1} if family.without_system else {})}
