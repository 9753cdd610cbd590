"""The thin shell around every stage: its command line, its errors, its progress bar."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

from stages.lib.console.errors import UserError

T = TypeVar("T")


@contextmanager
def exit_on_user_error(command: str, after: str = "what was finished is kept, run it again to go on") -> Iterator[None]:
    """Turn a UserError or an interruption into one line and exit code 1; `after` says what holds after the latter."""
    try:
        yield
    except UserError as error:
        sys.exit(f"{command}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{command}: interrupted; {after}")


def log_line(message: str) -> None:
    """Tell the user something in one line."""
    tqdm.write(message, file=sys.stderr)


def progress(items: Iterable[T], *, desc: str, unit: str, total: int | None = None) -> "tqdm[T]":
    """A progress bar with rate and time left."""
    return tqdm(items, desc=desc, unit=" " + unit, total=total, dynamic_ncols=True, mininterval=1.0)
