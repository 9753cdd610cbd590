"""An engine in a process of its own: when it dies or stalls it is restarted, and no conversation is lost."""

import contextlib
import multiprocessing
import os
import signal
import time
from collections import deque
from pathlib import Path
from typing import Any

from stages.lib.console.errors import MachineError, UserError
from stages.lib.console.interrupts import check_signals, hold_signals, without_ctrl_c
from stages.lib.console.shell import log_line
from stages.lib.engines.base import Reply, Request, Usage, failed_reply
from stages.lib.engines.worker import StartEngine, serve
from stages.lib.settings.runtime import Runtime

LOGS = Path(".dvc/tmp/engines")
CACHE_SHRINK = 0.9  # of the cache after a crash: too little memory is the most frequent cause
CONCURRENCY_CUT = 4  # times fewer requests at once after a crash, so that one that crashes the engine is soon alone
MAX_CRASHES_PER_REQUEST = 3  # of the engine with that request alone, until the request fails
MAX_CONSECUTIVE_FAILURES = 3  # requests, until the engine is given up
MAX_STARTS = 3  # of an engine that has run before
POLL_SECONDS = 1.0
CLOSE_SECONDS = 10.0
INTERRUPTED_SECONDS = 3.0  # to end with requests under way


class SupervisedEngine:
    """Hands requests to an engine in another process; the same interface.

    A request that was under way when the engine died or stalled is submitted again. After a crash fewer are under way
    at once, then twice as many each time that a whole round of them has ended; one that crashes the engine alone again
    and again ends as `failed`.
    """

    num_replicas = 1

    def __init__(self, start: StartEngine, runtime: Runtime, name: str) -> None:
        self._start, self._runtime, self._name = start, runtime, name
        self.description = ""
        self._waiting = deque[tuple[str, Request]]()
        self._running = dict[str, Request]()
        self._ended: list[tuple[str, Reply]] = []
        self._limit = runtime.max_concurrent
        self._completed_since_restart = 0
        self._crashes_of_request = 0
        self._consecutive_failures = 0
        self._last_heartbeat = 0.0
        self._usage = Usage()
        self._launch()

    @property
    def pid(self) -> int:
        """The id of the engine's process."""
        return int(self._process.pid or 0)

    def submit(self, key: str, request: Request) -> None:
        """Queue a request."""
        self._waiting.append((key, request))

    def step(self) -> list[tuple[str, Reply]]:
        """Wait for the next replies or a heartbeat; restart the engine when it died or stalled."""
        ended, self._ended = self._ended, []
        if ended:
            return ended
        self._send()
        if not self._running:
            return []
        kind, content = self._receive()
        if kind == "silence":
            if time.monotonic() - self._last_heartbeat > self._runtime.stall_seconds:
                self._restart(f"gave no sign of life for {self._runtime.stall_seconds:.0f} s")
            return []
        self._last_heartbeat = time.monotonic()
        if kind == "died":
            self._restart(f"died ({content})" if content else "died")
        elif kind == "usage":
            self._usage.add(content)
        elif kind == "replies":
            return [self._complete(key, reply) for key, reply in content]
        return []

    def usage(self) -> Usage:
        """Return what the engine used since the last call."""
        usage, self._usage = self._usage, Usage(hardware=self._usage.hardware)
        return usage

    def close(self) -> None:
        """Let the engine end; kill it if it does not, sooner if it is answering what nobody waits for."""
        with contextlib.suppress(OSError):
            self._pipe.send(None)
        self._process.join(timeout=INTERRUPTED_SECONDS if self._running else CLOSE_SECONDS)
        self._kill()

    def _send(self) -> None:
        """Hand over as many requests as may be under way."""
        try:
            while self._waiting and len(self._running) < self._limit:
                key, request = self._waiting.popleft()
                self._running[key] = request
                self._pipe.send((key, request))
        except OSError:  # it has died, which `step` finds out next
            return

    def _receive(self) -> tuple[str, Any]:
        """Return the next message of the process; `died` and `silence` are messages too."""
        if self._pipe.poll(POLL_SECONDS):
            with contextlib.suppress(EOFError, OSError):
                kind, content = self._pipe.recv()
                return kind, content
        elif self._process.is_alive():
            return "silence", ""
        return "died", ""

    def _complete(self, key: str, reply: Reply) -> tuple[str, Reply]:
        """Count a request that has ended, and raise the limit after a whole round of them."""
        del self._running[key]
        self._completed_since_restart += 1
        self._crashes_of_request = self._consecutive_failures = 0
        if self._completed_since_restart >= self._limit:
            self._limit = min(2 * self._limit, self._runtime.max_concurrent)
            self._completed_since_restart = 0
        return key, reply

    def _restart(self, reason: str) -> None:
        """Start the engine again and submit again what it had not answered."""
        self._kill()
        self._usage.restarts += 1
        lost, self._running = list(self._running.items()), {}
        if len(lost) == 1:
            self._crashes_of_request += 1
        if self._crashes_of_request >= MAX_CRASHES_PER_REQUEST:
            self._fail(lost.pop()[0], reason)
        self._waiting.extendleft(reversed(lost))
        self._limit = max(1, len(lost) // CONCURRENCY_CUT)
        self._completed_since_restart = 0
        if reason.startswith("died"):
            self._runtime = with_smaller_cache(self._runtime)
        log_line(
            f"{self._name}: the engine {reason}; it restarts with {self._limit} conversations at once at first, "
            f"{len(lost)} replies are requested again. log: {self._log}"
        )
        self._launch(max_starts=MAX_STARTS)

    def _fail(self, key: str, reason: str) -> None:
        """Fail a request that crashes the engine alone; raise UserError when several requests in a row did."""
        self._crashes_of_request = 0
        self._consecutive_failures += 1
        if self._consecutive_failures >= MAX_CONSECUTIVE_FAILURES:
            raise UserError(f"{self._name}: the engine {reason}, whatever it is asked. log: {self._log}")
        self._ended.append((key, failed_reply(f"the engine {reason} each time that it was asked")))

    def _launch(self, max_starts: int = 1) -> None:
        """Start the process and wait until the engine is ready; raise UserError when it does not start."""
        for starts_left in reversed(range(max_starts)):
            try:
                with hold_signals():  # so that there is a process to end
                    self._spawn()
                kind, content = self._first_message()
            except KeyboardInterrupt:
                self._kill()
                raise
            if kind == "ready":
                self.description = content
                self._last_heartbeat = time.monotonic()
                return
            self._kill()
            if kind == "refused":
                raise UserError(content)
            if not starts_left:
                raise MachineError(f"{self._name}: the engine did not start ({content}). log: {self._log}")
            log_line(f"{self._name}: the engine did not start ({content}); trying again")
            self._runtime = with_smaller_cache(self._runtime)
            time.sleep(POLL_SECONDS)

    def _spawn(self) -> None:
        """Start the process."""
        LOGS.mkdir(parents=True, exist_ok=True)
        self._log = LOGS / f"{self._name}.log"
        context = multiprocessing.get_context("spawn")
        self._pipe, child_pipe = context.Pipe()
        self._process = context.Process(target=serve, args=(child_pipe, self._start, self._runtime, str(self._log)))
        with without_ctrl_c():
            self._process.start()
        child_pipe.close()

    def _first_message(self) -> tuple[str, Any]:
        """Wait for the first message of the process; after start_seconds of silence it counts as dead."""
        began = time.monotonic()
        while time.monotonic() - began < self._runtime.start_seconds:
            check_signals()
            kind, content = self._receive()
            if kind != "silence":
                return kind, content or "it died"
        return "died", f"it was not ready in {self._runtime.start_seconds:.0f} s"

    def _kill(self) -> None:
        """Kill the process with all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._process.join()
        self._pipe.close()


def with_smaller_cache(runtime: Runtime) -> Runtime:
    """Return the same settings with a smaller cache."""
    return runtime.model_copy(
        update={
            "gpu_memory_utilization": round(runtime.gpu_memory_utilization * CACHE_SHRINK, 3),
            "kv_cache_gib": max(1, int(runtime.kv_cache_gib * CACHE_SHRINK)),
        }
    )
