"""Twelve public families of chat templates: generation, training and evaluation read a chat as the same tokens."""

import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from stages.lib.console.errors import UserError
from stages.lib.evaluation.lm_eval_prompts import ChatPrompts
from stages.lib.models.chat_template import Template, load_tokenizer
from stages.lib.models.thinking import opened_tag, strip_thoughts
from stages.lib.models.turn_ends import reply_ends
from stages.lib.records.chats import Message
from stages.lib.training.label_masks import IGNORE_INDEX, PreparedRow
from stages.lib.training.reference_encodings import PLACEHOLDERS, encode_whole
from stages.lib.training.trained_template import check_beginnings, end_of_turn, trained_tokenizer
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
MISLEADING: list[list[Message]] = [[CHAT[0], {**CHAT[1], "content": text}, *CHAT[2:]] for text in PLACEHOLDERS]
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


@pytest.mark.parametrize("name", FAMILIES)
def test_a_template_says_whether_it_has_a_system_role(name: str) -> None:
    assert template_of(name).has_system_role == (not FAMILIES[name].without_system)


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


MENDED = {  # what the reason asks for: the text to replace, and the text instead
    "empty thoughts before the last reply only": ("{% if m.role == 'assistant' and loop.last %}", "{% if false %}"),
    "thoughts that the template opens": ("<think>\\n' }}{% endif %}", "' }}{% endif %}"),
    "no token after a reply": ("m.content }}", "m.content + (eos_token if m.role == 'assistant' else '') }}"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_template_that_is_mended_as_the_reason_says_can_be_trained(name: str) -> None:
    tokenizer = tokenizer_of(FAMILIES[name])
    tokenizer.chat_template = tokenizer.chat_template.replace(*MENDED[name])
    template = Template(tokenizer, FAMILIES[name].model)
    template.check()
    check_beginnings(template)
    assert end_of_turn(template) == tokenizer.eos_token


@pytest.mark.parametrize("name", TRAINED)
def test_a_fine_tune_renders_prompts_as_its_base_and_stops_at_the_end_of_turn(name: str, tmp_path: Path) -> None:
    family, base = FAMILIES[name], template_of(name)
    trained_tokenizer(base).save_pretrained(tmp_path)
    model = family.model.model_copy(update={"location": str(tmp_path)})
    trained = Template(load_tokenizer(model), model)
    for chat in chats_of(family):
        assert trained.encode(chat[:-1]) == base.encode(chat[:-1])
        assert encode_whole(chat, trained) == encode_whole(chat, base)
    assert trained.tokenizer.eos_token == family.end


@pytest.mark.parametrize("name", FAMILIES)
def test_generation_stops_at_the_end_of_turn(name: str) -> None:
    template = template_of(name)
    assert template.tokenizer.convert_tokens_to_ids(FAMILIES[name].end) in reply_ends(template).ids


@pytest.mark.parametrize("name", FAMILIES)
def test_thoughts_before_a_reply_are_stripped(name: str) -> None:
    opened = opened_tag(template_of(name).render(CHAT[:1]))
    assert strip_thoughts(FAMILIES[name].thought + "Four.", opened) == "Four."


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[PreparedRow]]:
    """The chats of every family that can be trained, as Axolotl prepares them."""
    folders = [tmp_path_factory.mktemp("family") for _ in TRAINED]
    for name, folder in zip(TRAINED, folders, strict=True):
        write_training(folder, template_of(name), [*chats_of(FAMILIES[name]), *MISLEADING])
    return dict(zip(TRAINED, prepare(folders), strict=True))


@needs_axolotl
@pytest.mark.parametrize("name", TRAINED)
def test_training_reads_the_tokens_of_generation_and_trains_replies_to_their_ends(
    name: str, prepared: dict[str, list[PreparedRow]]
) -> None:
    family, template = FAMILIES[name], template_of(name)
    chats = chats_of(family)
    for chat, row in zip(chats, prepared[name][: len(chats)], strict=True):
        assert row.ids.tolist() == encode_whole(chat, template)
        for number, message in enumerate(chat):
            if message["role"] == "assistant":
                asked = template.encode(chat[:number])
                assert row.ids[: len(asked)].tolist() == asked
        replies = [message["content"] for message in chat if message["role"] == "assistant"]
        text = template.tokenizer.decode(row.ids)
        assert marked(row, template) == with_brackets(text, replies, family.end)


@needs_axolotl
@pytest.mark.parametrize("name", TRAINED)
def test_axolotl_would_train_a_users_text_where_a_reply_is_its_placeholder(
    name: str, prepared: dict[str, list[PreparedRow]]
) -> None:
    question = CHAT[2]["content"]
    for row in prepared[name][-len(PLACEHOLDERS) :]:
        trained = template_of(name).tokenizer.decode(row.labels[row.labels != IGNORE_INDEX])
        assert question in trained


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
