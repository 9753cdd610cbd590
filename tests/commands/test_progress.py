"""`dvc repro` with its stages numbered, as `make demo` runs it."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support.evaluation import environment
from tests.support.project import BIN

GRAPH = """
stages:
  one: {cmd: echo 1 > one, outs: [one]}
  two: {cmd: cp one two, deps: [one], outs: [two]}
  three: {cmd: test -e allowed, deps: [two]}
"""


def repro(folder: Path, *words: str, code: int) -> list[str]:
    """The numbered lines of the command, with T for the time; its exit code must be that of DVC."""
    done = subprocess.run(
        [sys.executable, "-m", "commands.progress", *words], cwd=folder, env=environment(DVC_NO_ANALYTICS="1"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    assert "\r" not in done.stdout
    return re.findall(r"^\[.*", re.sub(r", [\d.]+ (s|min)\]", ", T]", done.stdout), re.MULTILINE)


def test_each_stage_says_which_of_how_many_it_is_also_one_that_is_skipped(tmp_path: Path) -> None:
    subprocess.run([BIN / "dvc", "init", "--no-scm", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "dvc.yaml").write_text(GRAPH)
    first = [f"[{n} of 3, T] Running stage '{name}':" for n, name in enumerate(("one", "two", "three"), start=1)]
    assert repro(tmp_path, code=255) == first
    (tmp_path / "allowed").touch()
    skipped = [
        f"[{n} of 3, T] Stage '{name}' didn't change, skipping" for n, name in enumerate(("one", "two"), start=1)
    ]
    assert repro(tmp_path, code=0) == [*skipped, first[2], "[3 of 3, T] done"]
    assert repro(tmp_path, "two", code=0)[-1] == "[2 of 2, T] done"
