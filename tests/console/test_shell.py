"""What a command prints while it works, in a log and on a terminal."""

import os
import pty
import subprocess
import sys
import termios

import pytest

from stages.lib.console import shell
from tests.support.project import ROOT

BAR = """
from stages.lib.console.shell import log_line, progress
for number in progress(range(3), desc="rich", unit="conversations", total=3):
    if number == 1:
        log_line("a line")
"""


def test_a_log_gets_whole_lines_without_carriage_returns(capsys: pytest.CaptureFixture[str]) -> None:
    for number in shell.progress(range(3), desc="rich", unit="conversations", total=3):
        if number == 1:
            shell.log_line("a line")
    first, second = capsys.readouterr().err.splitlines()
    assert first == "a line"
    assert second.startswith("rich: 3 of 3 conversations, ") and second.endswith(" conversations/s, in 00:00")


def test_a_long_run_says_in_a_log_now_and_then_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "LINE_SECONDS", 0.0)
    bar = shell.progress(range(3), desc="rich", unit="rows", total=3)
    bar.set_postfix_str("9 tokens/s", refresh=False)
    list(bar)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines[-3:]] == [f"rich: {n} of 3 rows" for n in (1, 2, 3)]
    assert lines[-2].endswith(" to go, 9 tokens/s")


def test_a_terminal_gets_a_bar() -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    subprocess.run([sys.executable, "-c", BAR], cwd=ROOT, stderr=theirs, check=True)
    os.close(theirs)
    output = os.read(ours, 10_000).decode()
    os.close(ours)
    assert "rich: 100%|" in output and "3/3" in output and "a line\r\n" in output
