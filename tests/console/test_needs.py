"""What the machine lacks is one plain line before a model is loaded; what is not known is not held against it."""

import errno
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from stages import evaluate, train
from stages.lib.console import machine, needs
from stages.lib.console.errors import MachineError
from stages.lib.console.machine import GIB, list_gpus, read_memory
from stages.lib.console.needs import Needs, check_disk, check_machine
from stages.lib.console.shell import exit_on_user_error
from stages.lib.engines import factory
from stages.lib.models.catalogue import Model
from stages.lib.models.weights import weight_bytes
from stages.lib.settings.runtime import Runtime

DOCTOR = "; `make doctor` shows what is here"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of the path, on a machine without devices."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "dev").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(machine, "DEVICES", tmp_path / "dev")
    return tmp_path / "bin"


def nvidia_smi(folder: Path, *rows: str) -> None:
    """An nvidia-smi that shows these GPUs: name, driver, MiB in all, MiB free."""
    program = folder / "nvidia-smi"
    program.write_text("#!/bin/sh\n" + "".join(f"echo '{row}'\n" for row in rows))
    program.chmod(0o755)


H200 = "NVIDIA H200, 570.86, 143771, 143000"
BUSY = "NVIDIA H200, 570.86, 143771, 12000"


def vllm(num_gpus: int = 1, share: float = 0.9, gib: float = 15) -> Needs:
    return Needs("llama", num_gpus, "tensor_parallel of llama", share, gib * GIB)


def refusal(asked: Needs) -> str:
    with pytest.raises(MachineError) as error:
        check_machine(asked)
    return str(error.value)


def test_too_few_gpus_are_named_with_the_key_that_asks_for_them(path: Path) -> None:
    assert refusal(vllm()) == f"llama needs 1 GPU (tensor_parallel of llama), and this process sees none{DOCTOR}"
    nvidia_smi(path, H200, H200)
    assert refusal(vllm(4)) == f"llama needs 4 GPUs (tensor_parallel of llama), and this process sees 2{DOCTOR}"
    check_machine(vllm(2))


def test_gpus_that_a_variable_hides_do_not_count(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(path, H200)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert refusal(vllm()).startswith("llama needs 1 GPU")


@pytest.mark.parametrize("device", ["nvidia0", "dxg"])
def test_gpus_without_an_nvidia_smi_that_answers_are_not_known_and_nothing_is_said(path: Path, device: str) -> None:
    assert list_gpus() == []
    (machine.DEVICES / device).touch()
    assert list_gpus() is None
    check_machine(vllm(4))


def test_a_part_of_a_gpu_that_nvidia_smi_cannot_show_is_not_known(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(path)
    (path / "nvidia-smi").write_text("#!/bin/sh\nexit 6\n")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-1")
    check_machine(vllm())


def test_weights_that_cannot_fit_are_named(path: Path) -> None:
    nvidia_smi(path, H200, H200)
    assert refusal(vllm(1, gib=141)) == (
        f"llama: its weights take 141.0 GiB on each of 1 GPU (tensor_parallel of llama), of which 126.4 GiB may be "
        f"used{DOCTOR}"
    )
    check_machine(vllm(2, gib=141))


def test_a_gpu_that_another_process_fills_is_named(path: Path) -> None:
    nvidia_smi(path, H200, BUSY)
    check_machine(vllm(1))
    assert refusal(vllm(2)) == (
        "llama: GPU 1 has 11.7 GiB of 140.4 GiB free, and runtime.gpu_memory_utilization asks for 90%: wait for what "
        f"uses it, or ask for less{DOCTOR}"
    )
    check_machine(vllm(2, share=0.08, gib=3))


def test_memory_that_is_too_small_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "read_memory", lambda: machine.Memory(8 * GIB, 2 * GIB))
    assert refusal(Needs("tiny", memory=3 * GIB)) == (
        f"tiny takes 3.0 GiB of memory, and 2.0 GiB of 8.0 GiB are available{DOCTOR}"
    )
    check_machine(Needs("tiny", memory=2 * GIB))


class Usage(NamedTuple):
    free: int


def test_a_disk_that_is_too_small_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(50_000_000))
    assert refusal(Needs("tiny")) == (
        f"tiny writes at least 100 MB, and the disk of this folder has 50.0 MB free{DOCTOR}"
    )
    check_disk("tiny", 10e6, tmp_path / "not/there/yet")


def test_the_limit_of_a_container_is_its_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "LIMITS", tmp_path)
    whole = read_memory()
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text(f"{GIB // 2}\n")
    assert read_memory().total == whole.total
    (tmp_path / "memory.max").write_text(f"{GIB // 1}\n")
    (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {GIB // 4}\n")
    assert read_memory() == machine.Memory(GIB, GIB // 2 + GIB // 4)


# What each stage asks for.


def model(**values: object) -> Model:
    fields = {"id": "m", "name": "m", "location": "a/b", "kind": "hub", "commit": "0" * 40, "context_window": 2048}
    return Model.model_validate(fields | {"parameters_billions": 8.0} | values)


def test_weights_take_the_bytes_of_their_dtype(tmp_path: Path) -> None:
    assert weight_bytes(model()) == 16e9
    assert weight_bytes(model(), "float32") == 32e9
    assert weight_bytes(model(quantization="fp8")) == 8e9
    assert weight_bytes(model(parameters_billions=0.0)) == 0
    (tmp_path / "model.safetensors").write_bytes(bytes(400))
    assert weight_bytes(model(parameters_billions=0.0, kind="local", location=str(tmp_path))) == 200  # if in float32


def test_an_engine_asks_for_gpus_or_for_memory_as_it_was_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factory, "on_gpu", lambda: False)
    assert factory.vllm_needs(model(), Runtime(kv_cache_gib=4)) == Needs("m", memory=16e9 + 4 * GIB)
    monkeypatch.setattr(factory, "on_gpu", lambda: True)
    asked = factory.vllm_needs(model(tensor_parallel=2), Runtime(gpu_memory_utilization=0.5))
    assert asked == Needs("m", 2, "tensor_parallel of m", 0.5, 16e9)


def test_the_engine_is_not_started_on_a_machine_that_lacks_what_it_needs(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(factory, "on_gpu", lambda: True)
    monkeypatch.setattr(factory, "SupervisedEngine", None)
    with pytest.raises(MachineError, match="m needs 1 GPU"):
        factory.make_engine("vllm", model(), None, Runtime())  # type: ignore[arg-type]


def test_evaluation_and_training_ask_as_params_say() -> None:
    settings: Any
    params: Any
    settings = SimpleNamespace(device="cpu")
    assert evaluate.machine_needs(model(), settings, Runtime()) == Needs("m", memory=32e9)
    settings = SimpleNamespace(device="gpu")
    assert evaluate.machine_needs(model(), settings, Runtime()).gpus == 1
    params = SimpleNamespace(device="gpu", num_gpus=4)
    asked = train.machine_needs("run", model(), params)
    assert asked == Needs("run", 4, "train.num_gpus", 0.0, 16e9, disk=32e9 + needs.LEAST_DISK)
    params = SimpleNamespace(device="cpu", num_gpus=0)
    assert train.machine_needs("run", model(), params).memory == 32e9


# A disk that becomes full while a stage runs.


@pytest.mark.parametrize(
    ("error", "place"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "data/x.parquet"), "data/x.parquet"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), None),
        (OSError("Error writing bytes to file. Detail: No space left on device"), None),
    ],
)
def test_a_full_disk_is_one_line(capsys: pytest.CaptureFixture[str], error: OSError, place: str | None) -> None:
    with pytest.raises(SystemExit) as ended, exit_on_user_error("generate"):
        raise error
    assert ended.value.code == f"generate: the disk of {place or Path.cwd()} is full: free some space{DOCTOR}"


def test_another_error_of_the_disk_is_a_bug() -> None:
    with pytest.raises(PermissionError), exit_on_user_error("generate"):
        raise PermissionError(errno.EACCES, "no")
