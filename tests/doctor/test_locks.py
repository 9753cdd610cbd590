"""A lock file that a killed DVC left unreadable is mended, and never one of a DVC that is at work."""

import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from commands.doctor import dvc_files
from commands.doctor.dvc_files import GUARD, RWLOCK, look_at_locks, look_at_shared_files
from commands.doctor.processes import find_dvc, holders, running

DVC = [sys.executable, "-m", "dvc"]


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)


@contextmanager
def at_work(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is called as DVC is, in a folder."""
    with subprocess.Popen(["dvc", "60"], executable="/bin/sleep", cwd=folder) as process:
        while not ((begun := running(process.pid)) and begun.command[:1] == ["dvc"]):
            time.sleep(0.01)  # the command line is there a moment after the process
        yield process
        process.kill()


def look(*, mend: bool = False) -> tuple[str, str]:
    finding = look_at_locks({}, mend=mend)
    return finding.state, finding.text


@pytest.mark.parametrize("content", ["", '{"read": {', "[]"])
def test_an_unreadable_lock_file_is_named_and_moved_aside_when_asked(content: str) -> None:
    RWLOCK.write_text(content)
    state, text = look()
    assert state == "broken" and text.startswith(".dvc/tmp/rwlock cannot be read, so every command of DVC fails")
    assert RWLOCK.exists()
    assert look(mend=True) == ("ok", "mended: the unreadable .dvc/tmp/rwlock is now .dvc/tmp/torn/rwlock")
    assert not RWLOCK.exists() and Path(".dvc/tmp/torn/rwlock").read_text() == content
    assert look() == ("ok", "no DVC is at work")


def test_dvc_works_again_after_mending() -> None:
    for command in (["git", "init", "-q"], [*DVC, "init", "-q", "--force"]):
        subprocess.run(command, check=True, capture_output=True)
    Path("dvc.yaml").write_text("stages: {one: {cmd: echo 1 > one, outs: [one]}}\n")
    RWLOCK.touch()
    failed = subprocess.run([*DVC, "repro"], capture_output=True, text=True, check=False)
    assert failed.returncode and "JSON structure is corrupted" in failed.stderr
    look(mend=True)
    subprocess.run([*DVC, "repro"], check=True, capture_output=True)


def test_a_lock_file_that_names_a_process_that_ended_is_dvcs_to_clean() -> None:
    content = '{"write": {"/a": {"pid": 999999999, "cmd": "dvc repro"}}}'
    RWLOCK.write_text(content)
    assert look(mend=True) == ("ok", "no DVC is at work") and RWLOCK.read_text() == content


def test_the_lock_file_of_a_dvc_at_work_is_not_touched() -> None:
    RWLOCK.touch()
    with at_work(Path.cwd()) as process:
        state, text = look(mend=True)
        assert state == "broken" and text.endswith(f"first let this one end: PID {process.pid}: dvc 60")
        assert RWLOCK.exists()
    assert look(mend=True)[0] == "ok"


def test_a_dvc_of_another_checkout_does_not_count(tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    with at_work(other) as process:
        assert list(find_dvc(Path.cwd())) == []
        assert [found.pid for found in find_dvc(other)] == [process.pid]


def test_a_dvc_that_writes_its_lock_file_at_this_moment_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    RWLOCK.touch()
    writer = threading.Timer(0.1, RWLOCK.write_text, ["{}"])
    writer.start()
    assert look(mend=True) == ("ok", "no DVC is at work")
    writer.join()
    RWLOCK.write_text("")
    monkeypatch.setattr(dvc_files, "SETTLE_SECONDS", 0)
    code = f"import fcntl, sys; f = open('{GUARD}', 'a'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout and other.stdin
        other.stdout.readline()
        assert holders(GUARD) == [other.pid]
        assert look(mend=True) == ("broken", "a DVC writes .dvc/tmp/rwlock at this moment: try again")
        assert RWLOCK.exists()
        other.stdin.close()


def test_locks_are_read_from_the_kernel_without_taking_them() -> None:
    with GUARD.open("a") as guard:
        assert holders(GUARD) == []
        fcntl.flock(guard, fcntl.LOCK_EX)
        assert holders(GUARD) == [os.getpid()]
    assert holders(GUARD) == [] == holders(Path("nowhere"))
    assert running(999999999) is None


def test_with_hard_link_locks_nothing_is_moved_as_another_machine_may_be_at_work() -> None:
    RWLOCK.touch()
    finding = look_at_locks({"hardlink_lock": True}, mend=True)
    assert finding.state == "broken" and RWLOCK.exists() and "if no machine runs DVC here" in finding.text


def test_marks_of_a_conflict_are_found() -> None:
    Path("params.yaml").write_text("a: 1\n")
    Path("dvc.yaml").write_text("stages: {}\n")
    assert look_at_shared_files() == []
    Path("dvc.lock").write_text("schema: '2.0'\n<<<<<<< HEAD\nx: 1\n=======\n>>>>>>> other\n")
    Path("dvc.yaml").unlink()
    assert [(found.name, found.mend) for found in look_at_shared_files()] == [
        ("dvc.lock", "git checkout --ours dvc.lock"),
        ("dvc.yaml", "git restore dvc.yaml"),
    ]


def test_a_dvc_that_was_killed_holds_nothing_any_more() -> None:
    with at_work(Path.cwd()):
        assert look()[1].startswith("DVC is at work (PID ")
    time.sleep(0.05)
    assert look() == ("ok", "no DVC is at work")
