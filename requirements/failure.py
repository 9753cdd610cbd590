"""An error that ends `make` with one plain line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

DOCTOR = "`make doctor` shows what is here"


class Failure(Exception):
    """An error that the user can fix: printed as one line, without a traceback."""


@contextmanager
def exit_on_failure(after: str) -> Iterator[None]:
    """Print a Failure or an interruption in the block as one line and exit with code 2; `after` says what is left."""
    try:
        yield
    except Failure as failure:
        print(f"make: {failure}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print(f"make: interrupted; {after}", file=sys.stderr)
        raise SystemExit(130) from None
