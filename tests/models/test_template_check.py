"""Which chat templates are refused, before anything is generated: those that cannot hold or ask for our chats."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stages.lib.console.errors import UserError
from stages.lib.engines.request import RequestConfig
from stages.lib.engines.supervisor import SupervisedEngine
from stages.lib.engines.vllm import VllmEngine
from stages.lib.models.chat_template import Template
from stages.lib.models.sampling import Sampling
from stages.lib.settings.runtime import Runtime
from tests.support.conversations import MODEL
from tests.support.tokenizers import HEADERS, MAKE, gemma, llama

ONE_TURN = "{% if messages | length > 1 %}{{ raise_exception('one\nturn only') }}{% endif %}" + HEADERS
WITHOUT_REPLIES = HEADERS.replace("{{ m['content'] }}", "{{ m['content'] if m['role'] != 'assistant' }}")
FAILS = "m: its chat template cannot hold a chat of user, assistant, user"
REFUSED: dict[str, tuple[Callable[[], Any], str, str]] = {
    "no template": (partial(llama, None), "", "m has no chat template, so it is not a chat model: write another one"),
    "no system": (gemma, "Be.", "m: its chat template has no system role (the chat template says: System role not"),
    "alternating": (MAKE["mistral"], "Be.", "m: its chat template has no system role (the chat template says: roles"),
    "one turn": (partial(llama, ONE_TURN), "", f"{FAILS} (the chat template says: one turn only): write another one"),
    "no replies": (partial(llama, WITHOUT_REPLIES), "", f"{FAILS} (it leaves out 'first-answer'): write another one"),
    "last only": (partial(llama, "{{ messages[-1]['content'] }}"), "", f"{FAILS} (it leaves out 'first-question')"),
    "no default": (
        partial(llama, {"rag": HEADERS, "tool_use": HEADERS}),
        "",
        "m: of its chat templates (rag, tool_use) none is named 'default': write the one to use to a file and name it",
    ),
    "no header": (
        partial(llama, HEADERS.partition("{% if add_gen")[0]),
        "",
        "m: its chat template leaves out '<|start_header_id|>assistant<|end_header_id|>' when `add_generation_prompt` "
        "asks for a reply, so that a reply would begin with the rest of its header: write another one",
    ),
    "half a header": (
        partial(llama, HEADERS.replace("assistant<|end_header_id|>", "")),
        "",
        "m: its chat template leaves out 'assistant<|end_header_id|>' when `add_generation_prompt` asks for a reply",
    ),
    "another header": (
        partial(llama, HEADERS.replace("%}<|start_header_id|>assistant", "%}<|reserved_0|>bot")),
        "Be.",
        "m: its chat template asks for a reply with '<|eot_id|><|reserved_0|>bot<|end_header_id|>' but writes "
        "'<|eot_id|><|start_header_id|>assistant<|end_header_id|>' before a reply, so",
    ),
    "torn": (partial(llama, "{% if"), "", f"{FAILS} (the chat template says: "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_template_that_cannot_render_our_chats_is_refused_in_one_line(case: str) -> None:
    make, system_prompt, message = REFUSED[case]
    with pytest.raises(UserError) as refusal:
        Template(make(), MODEL.model_copy(update={"system_prompt": system_prompt})).check()
    assert str(refusal.value).startswith(message) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("case", ["no template", "no system", "one turn"])
def test_a_template_is_refused_before_vllm_is_imported_or_weights_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    make, system_prompt, message = REFUSED[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("vllm.py").write_text("raise ImportError('too early')\n")
    make().save_pretrained("model")
    Path("model", "config.json").write_text(json.dumps({"model_type": "llama"}))
    model = MODEL.model_copy(update={"location": "model", "system_prompt": system_prompt})
    config = RequestConfig(sampling=Sampling(), max_tokens=10, window=400, seed=1)
    with pytest.raises(UserError) as refusal:
        SupervisedEngine(partial(VllmEngine, model, config), Runtime(start_seconds=60), "m")
    assert str(refusal.value).startswith(message)


HEADER = "<|start_header_id|>assistant<|end_header_id|>\n\n"
ASKED = HEADERS.partition("{% if add_gen")[0] + "{% if add_generation_prompt %}{{ '" + HEADER + "' }}{% endif %}"


def before_reply(content: str) -> str:
    """The template with another text for a message."""
    return ASKED.replace("{{ m['content'] }}", content)


WRITTEN = {
    "opened thoughts": ASKED.replace(HEADER, HEADER + "<think>\n"),
    "empty thoughts": before_reply("{{ '<think></think>' if loop.last }}{{ m['content'] }}"),
    "a space": before_reply(" {{ m['content'] }}"),
    "a channel": before_reply("{{ '<|channel|>final<|message|>' }}{{ m['content'] }}"),
    "a hint after the last question": before_reply("{{ m['content'] }}{{ ' /think' if loop.last }}"),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_a_model_writes_itself_before_a_reply_is_no_part_of_the_header(name: str) -> None:
    Template(llama(WRITTEN[name]), MODEL).check()


def test_a_template_brings_its_date_along_and_stays_as_it_is_otherwise() -> None:
    dated = Template(llama("  {% if strftime_now is defined %}{{ strftime_now('%d.%m.%y') }}{% endif %}"), MODEL)
    assert dated.render([{"role": "user", "content": "Hi"}]) == "26.07.24"
    assert Template(llama(dated.text), MODEL).text == dated.text
    assert Template(llama(), MODEL).text == HEADERS
