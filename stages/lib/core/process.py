"""Running a program as a process of its own: how it is called, how it ends with us, and its last error."""

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
    """Return the repository that a temporary experiment was copied from: the one that holds DVC's cache."""
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    return Path(completed.stdout.strip()).parent.parent


def find_installation(variable: str, name: str, file: str) -> Path | None:
    """Return the absolute path of an installation that holds `file`, or None where there is none.

    It is the folder that the environment variable names; without the variable, the folder `name` of this checkout or of
    the one that it was copied from.
    """
    if variable in os.environ:
        folder = Path(os.environ[variable])
    else:
        folder = Path(name) if (Path(name) / file).exists() else main_checkout() / name
    return folder.absolute() if (folder / file).exists() else None


def call(
    command: list[str],
    variables: dict[str, str],
    log_path: Path,
    on_poll: Callable[[], None],
    folder: Path | None = None,
) -> int:
    """Run a command to its end and return its exit code; append its output to a file and call `on_poll` meanwhile.

    The command has a session of its own, so that Ctrl-C ends it at once with all that it has started; an exception of
    `on_poll` ends it too. A command that watches its standard input, a pipe, ends with this process however that ends
    (see `exit_with_parent`).
    """
    with (
        log_path.open("ab") as log,
        subprocess.Popen(
            command, cwd=folder, env=variables, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
        ) as process,
    ):
        try:
            while process.poll() is None:
                on_poll()
                time.sleep(POLL_SECONDS)
            on_poll()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def exit_with_parent() -> None:
    """End this process and all that it has started when its parent is gone, even by kill -9. Runs in a thread.

    The parent holds open the pipe that is the standard input here. A process that a cluster started may have another
    standard input, and is left alone.
    """
    if not stat.S_ISFIFO(os.fstat(0).st_mode):
        return
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGKILL)


def last_error_line(log_path: Path) -> str:
    """Return the last error in a program's output, else its last line, made safe to show."""
    text = log_path.read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return escape_unprintable([*lines[-1:], *errors][-1], 300) if lines else "no output"
