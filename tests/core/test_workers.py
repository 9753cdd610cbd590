"""A function mapped over a stream by several processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil

from stages.lib.core.workers import choose_num_processes, start_workers
from tests.support.project import ROOT

PARENT = """
import sys
from stages.lib.core.workers import start_workers

def endless():
    while True:
        yield 1

with start_workers(2, "slept") as map_in_order:
    for number, _ in enumerate(map_in_order(abs, endless(), 1)):
        if number == 10:
            print("works", flush=True)
            sys.stdin.read()
"""


def test_results_come_in_the_order_of_the_items_which_are_read_as_they_are_needed() -> None:
    read = []

    def items() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            yield -number

    with start_workers(2, "computed") as map_in_order:
        results = map_in_order(abs, items(), 5)
        assert next(results) == 0 and len(read) == 20
        assert list(results) == list(range(1, 100))


def test_processes_end_with_the_one_that_started_them_even_by_kill_9() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdin=-1, stdout=-1, text=True) as parent:
        assert parent.stdout and parent.stdout.readline() == "works\n"
        children = psutil.Process(parent.pid).children()
        assert len(children) >= 2
        os.kill(parent.pid, signal.SIGKILL)
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert len(gone) == len(children) and not alive


def test_few_items_are_not_worth_another_process() -> None:
    assert choose_num_processes(99, 100) == 1
    assert choose_num_processes(10**9, 100) == len(os.sched_getaffinity(0))
    assert choose_num_processes(10**9, 100, most=1) == 1
