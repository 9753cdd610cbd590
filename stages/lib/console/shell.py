"""What a command prints: one line per error or event, and a progress bar."""

import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from stages.lib.console.errors import MachineError, UserError

T = TypeVar("T")


def is_disk_full(error: OSError) -> bool:
    """Tell whether an error says that a disk, or the user's share of it, is full; pyarrow's may say so in words."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT} or os.strerror(errno.ENOSPC) in str(error)


@contextmanager
def exit_on_user_error(command: str, after: str = "what was finished is kept, run it again to go on") -> Iterator[None]:
    """Print a UserError, a full disk or an interruption in the block as one line and exit with code 1.

    `after` tells the user what an interruption has left behind.
    """
    try:
        yield
    except UserError as error:
        sys.exit(f"{command}: {error}")
    except OSError as error:
        if not is_disk_full(error):
            raise
        sys.exit(f"{command}: {MachineError(f'the disk of {error.filename or Path.cwd()} is full: free some space')}")
    except KeyboardInterrupt:
        sys.exit(f"{command}: interrupted; {after}")


def log_line(message: str) -> None:
    """Print one line to the user, above any progress bar."""
    tqdm.write(message, file=sys.stderr)


def progress(items: Iterable[T], *, desc: str, unit: str, total: int | None = None) -> "tqdm[T]":
    """Iterate under a progress bar that shows the rate and the time left."""
    return tqdm(items, desc=desc, unit=" " + unit, total=total, dynamic_ncols=True, mininterval=1.0)
