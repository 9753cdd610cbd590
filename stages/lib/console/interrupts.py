"""Ctrl-C, SIGTERM and SIGHUP end a run in order: at a moment when nothing that is finished gets lost.

A signal becomes an exception at once, but in a block of `hold_signals` only where the code calls `check_signals`. A
signal that follows another within seconds says the same, and interrupts none of what is being stored because of it.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SAME_SECONDS = 10.0  # within which another signal says the same
POLL_SECONDS = 1.0


class Interrupted(KeyboardInterrupt):
    """A signal that ends the run."""

    def __init__(self, number: int = signal.SIGINT, kept: str = "") -> None:
        super().__init__(number)
        self.number = number
        self.kept = kept  # what of the work is kept, for the user

    @property
    def described(self) -> str:
        """How the run ended, in a word or two."""
        is_ctrl_c = self.number == signal.SIGINT
        return "interrupted" if is_ctrl_c else f"ended by {signal.Signals(self.number).name}"


@dataclass
class _Signals:
    """The signals of this process."""

    depth: int = 0  # of blocks that hold them
    waiting: int = 0  # the number of one that is held
    raised: float = float("-inf")  # when the last one became an exception

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal."""
        if time.monotonic() - self.raised < SAME_SECONDS:
            return
        self.waiting = self.waiting or number
        if not self.depth:
            self.check()

    def check(self) -> None:
        """Raise Interrupted if a signal waits."""
        if self.waiting:
            number, self.waiting, self.raised = self.waiting, 0, time.monotonic()
            raise Interrupted(number)


_signals = _Signals()


@contextmanager
def handle_signals() -> Iterator[None]:
    """Raise Interrupted for signals in the block; those that the process ignores, as under nohup, stay ignored.

    After an interruption they are ignored: the process is about to end, and another signal adds nothing.
    """
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _signals.handle)
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=end_with_dvc, daemon=True).start()
    try:
        yield
    except KeyboardInterrupt:
        before = dict.fromkeys(before, signal.SIG_IGN)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def hold_signals() -> Iterator[None]:
    """Let signals wait in the block, until `check_signals` or the end of the block."""
    _signals.depth += 1
    try:
        yield
    finally:
        _signals.depth -= 1
    if not _signals.depth:
        check_signals()


def check_signals() -> None:
    """Raise Interrupted if a signal waits: here nothing that is finished is lost."""
    _signals.check()


def with_kept(error: KeyboardInterrupt, kept: str) -> Interrupted:
    """Return an interruption that says what of the work is kept."""
    return Interrupted(error.number if isinstance(error, Interrupted) else signal.SIGINT, kept)


@contextmanager
def without_ctrl_c() -> Iterator[None]:
    """Start a process in the block that Ctrl-C does not reach; it reaches this one, which ends the other."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_dvc() -> None:
    """Send this process SIGTERM when DVC, which started it, is gone: a DVC that is killed leaves its stage running.

    Some shells stay between the two, as dash does. They have DVC's variables; DVC itself does not.
    """
    import psutil  # only a stage of DVC needs it

    stage = psutil.Process()
    between = takewhile(lambda parent: "DVC_STAGE" in parent.environ(), stage.parents())
    started = [stage, *between][-1]  # by DVC
    dvc = started.ppid()
    with contextlib.suppress(psutil.NoSuchProcess):
        while started.ppid() == dvc:
            time.sleep(POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
