"""vLLM behind the engine's interface, without starting it."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stages.lib.engines import vllm
from stages.lib.engines.vllm import VllmEngine, quantization_at_load
from stages.lib.settings.runtime import Runtime
from tests.support.conversations import MODEL


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
