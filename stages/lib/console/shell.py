"""What a command prints: one line per error or event, and a progress bar."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

from stages.lib.console.errors import UserError

T = TypeVar("T")


@contextmanager
def exit_on_user_error(command: str, after: str = "what was finished is kept, run it again to go on") -> Iterator[None]:
    """Print a UserError or an interruption in the block as one line and exit with code 1.

    `after` tells the user what an interruption has left behind.
    """
    try:
        yield
    except UserError as error:
        sys.exit(f"{command}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{command}: interrupted; {after}")


def log_line(message: str) -> None:
    """Print one line to the user, above any progress bar."""
    tqdm.write(message, file=sys.stderr)


def progress(items: Iterable[T], *, desc: str, unit: str, total: int | None = None) -> "tqdm[T]":
    """Iterate under a progress bar that shows the rate and the time left."""
    return tqdm(items, desc=desc, unit=" " + unit, total=total, dynamic_ncols=True, mininterval=1.0)
