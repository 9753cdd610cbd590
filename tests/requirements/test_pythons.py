"""The Python for the environments: the one that is named, one on the path, one of uv's, or a plain line."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from requirements import pythons
from requirements.failure import DOCTOR, Failure
from requirements.pythons import find_python
from stages.lib.console import errors

ROOT = Path(__file__).parents[2]
FACTS = ("facts.py", "remote_objects.py")  # which the environment's Python runs
WITHOUT_LIBRARIES = [
    *sorted((ROOT / "requirements").glob("*.py")),
    *sorted(path for path in (ROOT / "commands/doctor").glob("*.py") if path.name not in FACTS),
    ROOT / "stages/lib/checking/tensors.py",
    ROOT / "stages/lib/console/machine.py",
]
BASE = str(Path(sys.base_prefix) / "bin" / "python3.11")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that alone is on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(folder: Path, name: str, script: str) -> Path:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


def says(*lines: str) -> str:
    return "; ".join(f"echo {line}" for line in lines)


def test_python311_on_the_path_is_taken(path: Path) -> None:
    program(path, "python3", says("cpython", "3.12.1", "/x"))
    (path / "python3.11").symlink_to(BASE)
    assert find_python("").version.startswith("3.11.")


def test_a_python3_that_is_311_is_taken_too_and_an_environments_own_base(path: Path) -> None:
    program(path, "python3", f'exec {sys.executable} "$@"')
    assert os.path.realpath(find_python("").path) == os.path.realpath(BASE)


def test_uv_is_asked_when_none_is_on_the_path(path: Path) -> None:
    program(path, "python3", says("cpython", "3.12.1", "/x"))
    program(path, "uv", f'test "$2" = find && echo {BASE}')
    assert os.path.realpath(find_python("").path) == os.path.realpath(BASE)


def test_uv_installs_one_where_it_has_none_yet(path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    there = tmp_path / "there"
    program(path, "uv", f'case "$2" in find) test -e {there} && echo {BASE};; install) : > {there};; esac')
    assert find_python("").version.startswith("3.11.")
    assert capfd.readouterr().out == "Python 3.11 is not here: uv installs it\n"


@pytest.mark.parametrize(
    ("uv", "ways"),
    [
        ("", "install it, or uv, or"),
        ("echo 'downloads are forbidden' >&2; exit 2", "uv could not install it; install it, or"),
    ],
)
def test_without_any_one_line_says_the_ways_and_what_is_there(path: Path, uv: str, ways: str) -> None:
    program(path, "python3", says("cpython", "3.12.1", "/x"))
    program(path, "python3.11", "echo 'pyenv: version 3.11 is not installed' >&2; exit 127")
    if uv:
        program(path, "uv", uv)
    with pytest.raises(Failure) as error:
        find_python("")
    assert str(error.value) == (
        f"Python 3.11 is not here ({path}/python3.11 does not start (pyenv: version 3.11 is not installed); "
        f"{path}/python3 is Python 3.12.1): {ways} set PYTHON=/path/to/python3.11"
    )


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        (says("cpython", "3.12.1", "/x"), "is Python 3.12.1"),
        (says("pypy", "3.11.9", "/x"), "is pypy, which the wheels are not made for"),
        (says("cpython", "3.11.2", "/x", "ensurepip"), "lacks its module ensurepip (Debian's package python3.11-venv"),
        ("echo 'libpython3.11.so.1.0: cannot open shared object file' >&2; exit 127", "does not start (libpython3.11"),
        ("exit 3", "does not start (exit code 3)"),
    ],
)
def test_a_wrong_python_that_is_named_is_refused_with_the_reason(path: Path, script: str, problem: str) -> None:
    given = program(path, "mine", script)
    with pytest.raises(Failure, match=rf"^PYTHON={given} {re.escape(problem)}.*: name a Python 3.11, or leave PYTHON"):
        find_python(str(given))


def test_a_python_that_is_not_there_or_hangs_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failure, match=r"^PYTHON=python3\.99 is not there: name a Python 3\.11"):
        find_python("python3.99")
    monkeypatch.setattr(pythons, "PROBE_SECONDS", 0.2)
    given = program(path, "mine", "exec /bin/sleep 9")
    with pytest.raises(Failure, match=r"does not start \(Command .* timed out"):
        find_python(str(given))


@pytest.mark.parametrize("file", WITHOUT_LIBRARIES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_what_starts_without_an_environment_is_python_39(file: Path) -> None:
    ast.parse(file.read_text(), feature_version=(3, 9))


def test_what_starts_without_an_environment_imports_the_standard_library_alone() -> None:
    names = [path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for path in WITHOUT_LIBRARIES]
    modules = [name for name in names if not name.endswith(("__init__", "__main__"))]
    command = [sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, '.'); import {', '.join(modules)}"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.stderr == ""


def test_stages_and_make_name_the_doctor_in_the_same_words() -> None:
    assert errors.DOCTOR == DOCTOR
    assert str(errors.MachineError("no disk")) == f"no disk; {DOCTOR}"
