"""What a stage took: written beside its out, only when it ended well."""

import platform
import subprocess
import time
from pathlib import Path

import pytest

from stages.lib.core.costs import Cost, count_gpus, name_hardware, timed_cost, used_gib, write_cost
from stages.lib.core.files import read_json


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_time_of_a_block_is_written_with_the_hardware_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 107.25])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with timed_cost("answers", "tuned") as cost:
        cost.hardware = "H100 x4"
        assert not Path("data/costs").exists()
    assert read_json(Path("data/costs/answers/tuned.json")) == {"seconds": 7.2, "hardware": "H100 x4", "gpus": 4}


def test_a_block_that_fails_writes_nothing() -> None:
    with pytest.raises(ValueError, match="no disk"), timed_cost("train", "tuned", "H100 x4"):
        raise ValueError("no disk")
    assert not Path("data/costs").exists()


def test_what_the_store_recorded_is_written_as_it_is() -> None:
    write_cost("judge", "tuned", Cost(12.04, "H100 x1, H100 x2"))
    assert read_json(Path("data/costs/judge/tuned.json")) == {
        "seconds": 12.0, "hardware": "H100 x1, H100 x2", "gpus": 2
    }  # fmt: skip


@pytest.mark.parametrize(("hardware", "gpus"), [("", 0), ("x86_64 CPU x8", 0), ("A x2", 2), ("x86_64 CPU x8, A x2", 2)])
def test_gpus_are_counted_by_name(hardware: str, gpus: int) -> None:
    assert count_gpus(hardware) == gpus


def test_hardware_is_the_cpu_or_as_many_gpus_as_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def nvidia_smi(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        value = "NVIDIA H100" if "--query-gpu=name" in command else "1536"
        return subprocess.CompletedProcess(command, 0, f"{value}\n" * 3, "")

    monkeypatch.setattr(subprocess, "run", nvidia_smi)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    assert name_hardware(2) == "NVIDIA H100 x2"
    assert asked[0][-2:] == ["--id", "4,5,6"]
    assert (used_gib(2), used_gib(0)) == (3.0, 0.0)
    assert name_hardware(0).startswith(f"{platform.machine()} CPU x")


def test_without_nvidia_smi_the_gpus_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert name_hardware(2) == ""
