"""The environments: whether they are whole, from which lock, with which PyTorch."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from commands.doctor.findings import BROKEN, MISSING, OK, Finding, quote, short
from commands.doctor.processes import holders
from requirements.environments import (
    DEVICES,
    NAMES,
    SHARED,
    WHOLE,
    broken_python,
    build_lock,
    choose,
    device_of,
    installed_torch,
    shared_folder,
    unused,
)

OTHERS = {".venv-train": "REWILD_TRAIN_ENV", ".venv-evalchemy": "REWILD_EVALCHEMY_ENV"}  # variables that name another
MAKE = {".venv": "make env", ".venv-train": "make env", ".venv-evalchemy": "make evalchemy"}
CUDA = "import torch; print(torch.cuda.is_available(), torch.version.cuda)"
CUDA_SECONDS = 120


def look_at_environments(*, has_gpu: bool) -> list[Finding]:
    """Return the findings on the environments, and on built ones that nothing uses."""
    findings = [look_at_environment(link, has_gpu=has_gpu) for link in NAMES]
    return [*findings, *look_at_unused()]


def look_at_environment(link: str, *, has_gpu: bool) -> Finding:
    """Compare an environment with its lock."""
    given = os.environ.get(OTHERS.get(link, ""))
    if given:
        fault = "" if (Path(given) / "bin/python").exists() else "has no bin/python"
        fault = fault or broken_python(Path(given))
        return Finding(link, BROKEN if fault else OK, f"{OTHERS[link]}={given} {fault}".rstrip())
    environment = choose(link, "")
    if link == ".venv-evalchemy" and not environment.link.is_symlink() and not environment.link.exists():
        return Finding(link, MISSING, "not built; MTBench, AlpacaEval and MixEval need it", MAKE[link])
    if fault := environment.fault():
        command = MAKE[link] if environment.device == DEVICES[0] else f"{MAKE[link]} DEVICE={environment.device}"
        return Finding(link, BROKEN, fault, command)
    if environment.device == "gpu" and has_gpu and (problem := ask_cuda(environment.link)):
        return Finding(link, BROKEN, problem)
    real = f", in {short(environment.link.resolve())}" if environment.link.is_symlink() else ""
    return Finding(link, OK, f"{environment.lock}, torch {installed_torch(environment.link)}{real}")


def ask_cuda(link: Path) -> str:
    """Say why an environment's PyTorch sees no GPU; empty when it does."""
    command = [str(link / "bin/python"), "-W", "ignore", "-c", CUDA]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=CUDA_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"its torch does not start ({error})"
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1]
        return f"its torch does not start ({last})"
    available, version = ended.stdout.split()
    return "" if available == "True" else f"its torch for CUDA {version} sees no GPU: the driver may be too old"


def look_at_unused() -> list[Finding]:
    """Name built environments that no worktree uses, and their disk; none where $REWILD_ENVS is shared with others."""
    if SHARED in os.environ:
        return []
    folders = [folder for folder in unused(shared_folder()) if not is_being_built(folder)]
    if not folders:
        return []
    names = " ".join(map(quote, folders))
    half = sum(not (folder / WHOLE).exists() for folder in folders)
    text = f"{len(folders)} that no worktree uses" + (f", {half} of them half built" if half else "")
    return [Finding("unused", MISSING, f"{text}; to free their disk", f"rm -r {names}")]


def is_being_built(folder: Path) -> bool:
    """Tell whether a `make` builds environments of a folder's key at this moment."""
    return bool(holders(build_lock(folder.parent, folder.name.rpartition("-")[0])))


def find_environment_python() -> str:
    """Return the Python of a `.venv` that starts; empty where there is none."""
    link = Path(".venv")
    python = shutil.which(str(link / "bin/python")) if (link / WHOLE).exists() else None
    return "" if python is None or broken_python(link) else python


def find_device() -> str:
    """Return the device that `.venv` is for; empty where there is none."""
    return device_of(Path(".venv"))
