"""Map a function over a stream of items, in its order, on all cores and in bounded memory."""

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context, parent_process
from typing import Protocol, TypeVar

from stages.lib.console.errors import MachineError
from stages.lib.console.interrupts import without_ctrl_c

T = TypeVar("T")
R = TypeVar("R")
TASKS_PER_PROCESS = 2  # that run or wait for a process: so it never waits for the stage


class MapInOrder(Protocol):
    """Yields the results of a task on each item, in the items' order; a process takes `at_once` items at a time."""

    def __call__(self, task: Callable[[T], R], items: Iterable[T], at_once: int) -> Iterator[R]:
        """Read the items as the results are taken."""


@contextmanager
def start_workers(num_processes: int, purpose: str) -> Iterator[MapInOrder]:
    """Yield a `map` that uses `num_processes`; with one, this process does the work.

    They are spawned: forked ones would share open files and locks. Raises MachineError when one was killed; `purpose`
    tells the user what it did.
    """
    if num_processes == 1:
        yield _map_here
        return
    executor = ProcessPoolExecutor(num_processes, mp_context=get_context("spawn"), initializer=_end_with_parent)

    def map_in_order(task: Callable[[T], R], items: Iterable[T], at_once: int) -> Iterator[R]:
        iterator, running = iter(items), deque[Future[list[R]]]()
        while True:
            while len(running) < TASKS_PER_PROCESS * num_processes and (batch := list(islice(iterator, at_once))):
                with without_ctrl_c():  # a pool of which a process is interrupted is broken, and can hang (Python 3.11)
                    running.append(executor.submit(_work, task, batch))
            if not running:
                return
            yield from running.popleft().result()

    try:
        yield map_in_order
    except BrokenProcessPool:
        raise MachineError(f"a process that {purpose} was killed, perhaps for its memory: run it again") from None
    finally:
        executor.shutdown(cancel_futures=True)


def choose_num_processes(num_items: int, items_per_process: int, most: int = sys.maxsize) -> int:
    """Return how many processes to use: one per core, but fewer for few items; so many make one worth its start.

    `most` is how many the stage's own process can keep busy.
    """
    return min(len(os.sched_getaffinity(0)), 1 + num_items // items_per_process, most)


def _map_here(task: Callable[[T], R], items: Iterable[T], at_once: int) -> Iterator[R]:
    del at_once
    return map(task, items)


def _work(task: Callable[[T], R], batch: list[T]) -> list[R]:
    return [task(item) for item in batch]


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, even by kill -9; else it would wait for tasks forever."""
    parent = parent_process()
    assert parent, "only a process that was started has a parent"

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
