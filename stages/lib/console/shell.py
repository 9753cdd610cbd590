"""What a command prints: one line per error or event, and a progress bar."""

import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from stages.lib.console.errors import MachineError, UserError, hide_passwords
from stages.lib.console.interrupts import handle_signals, with_kept

T = TypeVar("T")
LINE_SECONDS = 30.0


def is_disk_full(error: OSError) -> bool:
    """Tell whether an error says that a disk, or the user's share of it, is full; pyarrow's may say so in words."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT} or os.strerror(errno.ENOSPC) in str(error)


@contextmanager
def exit_on_user_error(command: str, after: str = "run it again to go on") -> Iterator[None]:
    """Print a UserError, a full disk or an interruption in the block as one line; exit with 1, or 128 and the signal.

    `after` tells the user what an interruption has left behind, where the interruption itself does not say it.
    """
    try:
        with handle_signals():
            yield
    except UserError as error:
        sys.exit(f"{command}: {error}")
    except OSError as error:
        if not is_disk_full(error):
            raise
        sys.exit(f"{command}: {MachineError(f'the disk of {error.filename or Path.cwd()} is full: free some space')}")
    except KeyboardInterrupt as error:
        ended = with_kept(error, getattr(error, "kept", "") or after)
        log_line(f"{command}: {ended.described}; {ended.kept}")
        sys.exit(128 + ended.number)


def log_line(message: str) -> None:
    """Print one line to the user, above any progress bar; a password in an address is left out."""
    tqdm.write(hide_passwords(message), file=sys.stderr)


def progress(items: Iterable[T], *, desc: str, unit: str, total: int | None = None, initial: int = 0) -> "tqdm[T]":
    """Iterate under a progress bar that shows the rate and the time left; in a log, which is no terminal, as lines."""
    bar: type[tqdm[T]] = tqdm if sys.stderr.isatty() else LineBar
    options: dict[str, Any] = {"desc": desc, "unit": f" {unit}", "total": total, "initial": initial}
    return bar(items, **options, dynamic_ncols=True, mininterval=1.0)


class LineBar(tqdm):  # type: ignore[type-arg]  # at run time it takes no argument
    """A progress bar of whole lines: one every LINE_SECONDS, and one at the end."""

    def __init__(self, items: Iterable[Any], **options: Any) -> None:
        seconds = {"mininterval": LINE_SECONDS, "maxinterval": LINE_SECONDS, "delay": LINE_SECONDS}
        super().__init__(items, **options | seconds)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Print how far it is, and how long it takes yet."""
        if self.n != self.total:  # else the last line follows
            self._print("{remaining} to go")

    def clear(self, nolock: bool = False) -> None:
        """Leave what is printed."""

    def refresh(self, nolock: bool = False, lock_args: Any = None) -> None:
        """Print a line, unless tqdm only draws a bar again below a line of ours (`nolock`)."""
        if not nolock:
            super().refresh(nolock, lock_args)

    def close(self) -> None:
        """Print the last line."""
        if not self.disable and self.n:
            self._print("in {elapsed}")
        self.sp = None  # nothing of a bar is left on the screen to wipe out
        super().close()

    def _print(self, time: str) -> None:
        of_total = " of {total_fmt}" if self.total else ""
        self.desc = self.desc.removesuffix(": ")  # tqdm's own bar ends it so
        self.bar_format = f"{{desc}}: {{n_fmt}}{of_total}{self.unit}, {{rate_fmt}}, {time}{{postfix}}"
        self.fp.write(" ".join(str(self).split()) + "\n")  # without the blanks that align the rate
        self.fp.flush()
