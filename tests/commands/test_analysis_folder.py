"""The folder of an analysis: what may be overwritten, and runs that end early."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from commands.analyse.command import analyse, main
from commands.analyse.folder import default_out
from stages.lib.console.errors import UserError
from stages.lib.core.files import read_json, sha256_folder
from tests.support.project import ROOT
from tests.support.replies import FLAT, many_rows, write_rows

pytestmark = pytest.mark.usefixtures("bare_folder")


def test_equal_rows_give_equal_bytes_without_a_path_of_the_machine(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "x.parquet", FLAT)
    for out in ("one", "two"):
        analyse(file, tmp_path / out)
    assert sha256_folder(tmp_path / "one") == sha256_folder(tmp_path / "two")
    for path in (path for path in (tmp_path / "one").rglob("*") if path.is_file()):
        assert str(tmp_path).encode() not in path.read_bytes(), path


def test_a_second_run_removes_the_first(tmp_path: Path) -> None:
    rows = [{**row, "judge_score": 1} for row in FLAT]
    analyse(write_rows(tmp_path / "x.parquet", rows), tmp_path / "out")
    analyse(write_rows(tmp_path / "x.parquet", FLAT[2:]), tmp_path / "out")
    assert not (tmp_path / "out/responses/a").exists() and not (tmp_path / "out/preference").exists()


def test_a_source_that_cannot_be_read_leaves_an_earlier_analysis_unchanged(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "x.parquet", FLAT)
    analyse(file, tmp_path / "out")
    before = sha256_folder(tmp_path / "out")
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(UserError, match="not readable as parquet"):
        analyse(file, tmp_path / "out")
    assert sha256_folder(tmp_path / "out") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "root", "x.parquet"]


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("foreign", "is not empty and not an analysis"),
        ("x.parquet", "contain one another"),
        (".", "contain one another"),
        ("file", "is a file"),
        ("root/data/x", "is in a folder of the pipeline"),
    ],
)
def test_a_folder_that_is_not_an_analysis_is_never_written_to(tmp_path: Path, out: str, message: str) -> None:
    file = write_rows(tmp_path / "x.parquet", FLAT)
    write_rows(tmp_path / "foreign" / "thesis.jsonl", [])
    (tmp_path / "file").touch()
    before = sha256_folder(tmp_path)
    with pytest.raises(UserError, match=message):
        analyse(file, tmp_path / out)
    assert sha256_folder(tmp_path) == before


def test_the_default_folder_has_the_sources_name() -> None:
    assert default_out(Path("/some/where/my replies.parquet")) == Path("analysis/my_replies")
    assert default_out(Path("/some/where/sets/")) == Path("analysis/sets")


def test_a_killed_run_can_be_repeated(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "x.parquet", many_rows())
    command = [sys.executable, "-m", "commands.analyse", str(file), str(tmp_path / "out")]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
    while not (tmp_path / "out/responses").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert read_json(tmp_path / "out/analysis.json") == {"complete": False}
    write_rows(file, FLAT)
    main([str(file), str(tmp_path / "out")])
    assert read_json(tmp_path / "out/analysis.json")["complete"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_ctrl_c_prints_one_line(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "x.parquet", many_rows())
    command = [sys.executable, "-m", "commands.analyse", str(file), "out"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not Path("out/similarity.tmp").exists() and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does: its children get it too
    _, printed = process.communicate()
    assert process.returncode == 130 and "Traceback" not in printed
    assert printed.splitlines()[-1].endswith("analyse: interrupted; run it again; it starts from the beginning")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda file: file.unlink(), "x.parquet is not there"),
        (lambda file: file.write_bytes(b""), "x.parquet is not readable as parquet"),
        (lambda file: file.write_text("hello"), "x.parquet is not readable as parquet"),
        (lambda file: pq.write_table(pq.read_table(file).slice(0, 0), file), "none of its 0 rows"),
    ],
)
def test_a_bad_file_is_one_plain_error(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    file = write_rows(tmp_path / "x.parquet", FLAT)
    spoil(file)
    with pytest.raises(UserError, match=message) as error:
        analyse(file, tmp_path / "out")
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()
