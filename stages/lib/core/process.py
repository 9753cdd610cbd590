"""A program as a process of its own: how it is called, how it ends with us, and what it said last."""

import contextlib
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import stages
from stages.lib.core.text import escape_unprintable

CHECKOUT = Path(stages.__file__).absolute().parent.parent  # where the other environments find our modules
POLL_SECONDS = 0.5


def main_checkout() -> Path:
    """The repository that a temporary experiment was copied from: where DVC's cache is."""
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return Path(found.stdout.strip()).parent.parent


def call(
    command: list[str], variables: dict[str, str], words: Path, look: Callable[[], None], folder: Path | None = None
) -> int:
    """Run a command to its end and return its exit code; its output goes to `words`, and `look` is called meanwhile.

    It has a session of its own, so that Ctrl-C ends it at once with all that it has started; what `look` raises ends
    it too. A command that watches its standard input, a pipe, ends with this process however that ends (see
    `end_with_the_stage`).
    """
    with (
        words.open("ab") as log,
        subprocess.Popen(
            command, cwd=folder, env=variables, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
        ) as process,
    ):
        try:
            while process.poll() is None:
                look()
                time.sleep(POLL_SECONDS)
            look()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def end_with_the_stage() -> None:
    """In the other process, in a thread: end it and all that it has started when the stage is gone, even by kill -9.

    The stage holds open the pipe that is the standard input here. What a cluster started may have another one.
    """
    if not stat.S_ISFIFO(os.fstat(0).st_mode):
        return
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGKILL)


def last_words(words: Path) -> str:
    """The last error that a program printed, else its last line."""
    lines = [line.strip() for line in words.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return escape_unprintable([*lines[-1:], *errors][-1], 300) if lines else "it said nothing"
