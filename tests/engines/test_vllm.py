"""vLLM behind the engine's interface, without starting it."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stages.lib.engines import vllm
from stages.lib.engines.base import Request
from stages.lib.engines.vllm import VllmEngine, quantization_at_load
from stages.lib.models.chat_template import Template
from stages.lib.records.chats import Message
from stages.lib.settings.runtime import Runtime
from tests.support.conversations import CONFIG, MODEL
from tests.support.tokenizers import CHATML, gemma, llama, qwen


@pytest.mark.parametrize(("on_gpu", "visible"), [(False, ""), (True, "4,5")])
def test_vllm_for_the_cpu_sees_no_gpu_whatever_the_machine_has(
    on_gpu: bool, visible: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {"CUDA_VISIBLE_DEVICES": "4,5"}
    monkeypatch.setattr(vllm, "on_gpu", lambda: on_gpu)
    monkeypatch.setattr("os.environ", variables)
    vllm.set_environment(Runtime(), offline=True)
    assert variables["CUDA_VISIBLE_DEVICES"] == visible


@pytest.mark.parametrize(
    ("quantization", "checkpoint", "at_load"),
    [
        ("fp8", {}, "fp8"),
        ("fp8", {"quantization_config": {"quant_method": "compressed-tensors"}}, None),
        ("fp8", {"text_config": {"quantization_config": {"quant_method": "fp8"}}}, None),
        ("none", {}, None),
    ],
)
def test_a_native_checkpoint_is_quantized_at_load_and_a_quantized_one_is_not(
    tmp_path: Path, quantization: str, checkpoint: dict[str, Any], at_load: str | None
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", **checkpoint}))
    model = MODEL.model_copy(update={"location": str(tmp_path), "quantization": quantization})
    assert quantization_at_load(model) == at_load


def test_a_reply_that_vllm_aborted_is_failed() -> None:
    output = SimpleNamespace(prompt_token_ids=[1, 2], outputs=[SimpleNamespace(finish_reason="abort", token_ids=[3])])
    reply = VllmEngine._reply(cast(VllmEngine, None), output, 0)
    assert (reply.finish_reason, reply.text, reply.reason) == ("failed", "", "vLLM ended it with 'abort'")


def engine_of(tokenizer: Any, *stop: str, **keys: Any) -> VllmEngine:
    """An engine that has chosen its ends, without vLLM."""
    engine = object.__new__(VllmEngine)
    engine.config, engine._final_only = replace(CONFIG, stop=stop, **keys), None
    engine._tokenizer, engine._template = tokenizer, Template(tokenizer, MODEL)
    engine._refusal = ValueError
    engine._choose_ends()
    return engine


def reply_text(engine: VllmEngine, text: str) -> str:
    """The reply to which vLLM's output of these tokens is converted."""
    ids = engine._tokenizer.encode(text, add_special_tokens=False)
    completion = SimpleNamespace(finish_reason="stop", token_ids=ids, text="as vLLM decoded it")
    return engine._reply(SimpleNamespace(prompt_token_ids=[1], outputs=[completion], num_cached_tokens=0), 0).text


@pytest.mark.parametrize(
    ("generated", "text"),
    [
        ("Four.<|eot_id|>", "Four."),
        ("Four.<|eot_id|><|eot_id|>", "Four.<|eot_id|>"),
        ("<|reserved_0|>Four.<|eot_id|>", "<|reserved_0|>Four."),
        ("Four.<|start_header_id|>user", "Four.<|start_header_id|>user"),
        ("Four.", "Four."),
    ],
)
def test_a_reply_loses_one_end_token_and_keeps_every_other_control_token(generated: str, text: str) -> None:
    assert reply_text(engine_of(llama()), generated) == text


def test_a_stop_text_that_is_a_control_token_is_sent_to_vllm_as_an_id() -> None:
    engine = engine_of(llama(), "<|reserved_0|>", "User:")
    sampling = engine.sampling(Request([], 5), 100)
    ids = llama().convert_tokens_to_ids(["<|eot_id|>", "<|reserved_0|>"])
    assert (sampling["stop"], sampling["stop_token_ids"]) == (["User:"], sorted(ids))
    assert sampling["detokenize"] and not sampling["skip_special_tokens"]
    assert reply_text(engine, "Four.") == "as vLLM decoded it"
    alone = engine_of(llama(), "<|reserved_0|>")
    assert not alone.sampling(Request([], 5), 100)["detokenize"]
    assert reply_text(alone, "Four.<|reserved_0|>") == "Four."


class FinishedEngine:
    """vLLM that has every request finished with the same tokens."""

    def __init__(self, ids: list[int]) -> None:
        self.ids, self.names = ids, list[str]()

    def add_request(self, name: str, *_: Any) -> None:
        self.names.append(name)

    def has_unfinished_requests(self) -> bool:
        return bool(self.names)

    def step(self) -> list[Any]:
        completion = SimpleNamespace(finish_reason="stop", token_ids=self.ids)
        output = {"finished": True, "prompt_token_ids": [1], "outputs": [completion], "num_cached_tokens": 0}
        return [SimpleNamespace(request_id=self.names.pop(), **output)]


@pytest.mark.parametrize(("header", "opened"), [("<think>\n", "<think>"), ("<think>\n\n</think>\n\n", ""), ("", "")])
def test_a_reply_says_which_tag_of_thoughts_its_prompt_ended_with(header: str, opened: str) -> None:
    tokenizer = qwen(CHATML.replace("assistant\n{% endif %}", "assistant\n" + header + "{% endif %}"))
    engine = engine_of(tokenizer, thinking="strip")
    engine._engine, engine._early, engine._opened = FinishedEngine([65, 66]), [], {}
    engine._sampling_params = lambda **_: None
    engine.submit("k", Request([{"role": "user", "content": "Say <think>"}], 1))
    [(key, reply)] = engine.step()
    assert (key, reply.opened, engine._opened) == ("k", opened, {})


def test_a_template_without_a_system_role_is_not_asked_with_a_system_message() -> None:
    engine = engine_of(gemma())
    engine._engine, engine._early, engine._opened = FinishedEngine([65]), [], {}
    engine._sampling_params = lambda **_: None
    hi: Message = {"role": "user", "content": "Hi"}
    engine.submit("a", Request([{"role": "system", "content": "Be brief."}, hi], 1))
    engine.submit("b", Request([hi], 1))
    assert engine._engine.names == ["0/b"]
    assert {key: reply.finish_reason for key, reply in engine.step()} == {"a": "no_system_role", "b": "stop"}
