"""vLLM: what is set before it is imported."""

import pytest

from stages.lib.engines import vllm
from stages.lib.settings.runtime import Runtime


@pytest.mark.parametrize(("on_gpu", "visible"), [(False, ""), (True, "4,5")])
def test_vllm_for_the_cpu_sees_no_gpu_whatever_the_machine_has(
    on_gpu: bool, visible: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {"CUDA_VISIBLE_DEVICES": "4,5"}
    monkeypatch.setattr(vllm, "on_gpu", lambda: on_gpu)
    monkeypatch.setattr("os.environ", variables)
    vllm.set_environment(Runtime(), offline=True)
    assert variables["CUDA_VISIBLE_DEVICES"] == visible
