"""An engine in a process of its own: when it dies or stalls it is started anew, and no conversation is lost."""

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.engines.base import Engine, Reply, Request, Usage
from stages.lib.settings.runtime import Runtime

LOGS = Path(".dvc/tmp/engines")
CACHE_SHRINK = 0.9  # of the cache, after a death: too little memory is what kills most
CONCURRENCY_CUT = 4  # times fewer requests at once after a death, so that one that kills the engine is soon alone
MAX_CRASHES_PER_REQUEST = 3  # of the engine with one request, until that request is given up
MAX_CONSECUTIVE_FAILURES = 3  # requests given up one after the other, until the engine is
MAX_STARTS = 3  # tries to start an engine that has run before
HEARTBEAT_SECONDS = 1.0
USAGE_SECONDS = 10.0
POLL_SECONDS = 1.0
GRACE_SECONDS = 3.0  # for an engine to say itself what its process died of

Start = Callable[[Runtime], Engine]


class SupervisedEngine:
    """Hands requests to an engine in another process; the same interface.

    A request that was under way when the engine died or stalled is asked again. After a death fewer are under way at
    once, then twice as many each time that a whole round of them has ended; one with which alone the engine dies again
    and again ends as `failed`.
    """

    def __init__(self, start: Start, runtime: Runtime, name: str) -> None:
        self._start, self._runtime, self._name = start, runtime, name
        self.description = ""
        self._waiting = deque[tuple[str, Request]]()
        self._sent = dict[str, Request]()
        self._ended: list[tuple[str, Reply]] = []
        self._limit = runtime.max_concurrent
        self._completed_since_restart = self._crashes_of_request = self._consecutive_failures = 0
        self._last_heartbeat = 0.0
        self._usage = Usage()
        self._launch()

    @property
    def pid(self) -> int:
        """The process of the engine."""
        return int(self._process.pid or 0)

    def submit(self, key: str, request: Request) -> None:
        """Ask for a reply under a key."""
        self._waiting.append((key, request))

    def step(self) -> list[tuple[str, Reply]]:
        """Wait for the next replies, or for a sign of life."""
        ended, self._ended = self._ended, []
        if ended:
            return ended
        self._send()
        if not self._sent:
            return []
        kind, content = self._message()
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
            return [self._take(key, reply) for key, reply in content]
        return []

    def usage(self) -> Usage:
        """What the engine took since this was last called."""
        taken, self._usage = self._usage, Usage(hardware=self._usage.hardware)
        return taken

    def close(self) -> None:
        """Let the engine end; end it if it does not."""
        with contextlib.suppress(OSError):
            self._pipe.send(None)
        self._process.join(timeout=10)
        self._kill()

    def _send(self) -> None:
        """Hand over as many requests as may be under way."""
        try:
            while self._waiting and len(self._sent) < self._limit:
                key, request = self._waiting.popleft()
                self._sent[key] = request
                self._pipe.send((key, request))
        except OSError:  # it has died, which `step` finds out next
            return

    def _message(self) -> tuple[str, Any]:
        """What the process says next; its death is a message too, and so is its silence."""
        if self._pipe.poll(POLL_SECONDS):
            with contextlib.suppress(EOFError, OSError):
                kind, content = self._pipe.recv()
                return kind, content
        elif self._process.is_alive():
            return "silence", ""
        return "died", ""

    def _take(self, key: str, reply: Reply) -> tuple[str, Reply]:
        """Note that a request has ended."""
        del self._sent[key]
        self._completed_since_restart += 1
        self._crashes_of_request = self._consecutive_failures = 0
        if self._completed_since_restart >= self._limit:
            self._limit, self._completed_since_restart = min(2 * self._limit, self._runtime.max_concurrent), 0
        return key, reply

    def _restart(self, why: str) -> None:
        """Start the engine anew and ask again what it had not answered."""
        self._kill()
        self._usage.restarts += 1
        lost, self._sent = list(self._sent.items()), {}
        if len(lost) == 1:
            self._crashes_of_request += 1
        if self._crashes_of_request >= MAX_CRASHES_PER_REQUEST:
            self._give_up(lost.pop()[0], why)
        self._waiting.extendleft(reversed(lost))
        self._limit, self._completed_since_restart = max(1, len(lost) // CONCURRENCY_CUT), 0
        if why.startswith("died"):
            self._runtime = with_smaller_cache(self._runtime)
        log_line(
            f"{self._name}: the engine {why}; it starts anew with {self._limit} conversations at once at first, "
            f"{len(lost)} replies are asked again. log: {self._log}"
        )
        self._launch(tries=MAX_STARTS)

    def _give_up(self, key: str, why: str) -> None:
        """End a request with which alone the engine dies; raise UserError when that is so for any request."""
        self._crashes_of_request = 0
        self._consecutive_failures += 1
        if self._consecutive_failures >= MAX_CONSECUTIVE_FAILURES:
            raise UserError(f"{self._name}: the engine {why}, whatever it is asked. log: {self._log}")
        self._ended.append((key, Reply("", "failed", 0, 0, reason=f"the engine {why} each time that it was asked")))

    def _launch(self, tries: int = 1) -> None:
        """Start the process and wait until the engine is ready."""
        for left in reversed(range(tries)):
            self._spawn()
            kind, content = self._first_message()
            if kind == "ready":
                self.description = content
                self._last_heartbeat = time.monotonic()
                return
            self._kill()
            if kind == "refused":
                raise UserError(content)
            if not left:
                raise UserError(f"{self._name}: the engine did not start ({content}). log: {self._log}")
            log_line(f"{self._name}: the engine did not start ({content}); trying again")
            self._runtime = with_smaller_cache(self._runtime)
            time.sleep(POLL_SECONDS)

    def _spawn(self) -> None:
        """Start the process."""
        LOGS.mkdir(parents=True, exist_ok=True)
        self._log = LOGS / f"{self._name}.log"
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, self._start, self._runtime, str(self._log)))
        self._process.start()
        theirs.close()

    def _first_message(self) -> tuple[str, Any]:
        """What the process says first; too long a silence is as good as its death."""
        began = time.monotonic()
        while time.monotonic() - began < self._runtime.start_seconds:
            kind, content = self._message()
            if kind != "silence":
                return kind, content or "it died"
        return "died", f"it was not ready in {self._runtime.start_seconds:.0f} s"

    def _kill(self) -> None:
        """End the process with all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._process.join()
        self._pipe.close()


def with_smaller_cache(runtime: Runtime) -> Runtime:
    """The same with a smaller cache."""
    return runtime.model_copy(
        update={
            "gpu_memory_utilization": round(runtime.gpu_memory_utilization * CACHE_SHRINK, 3),
            "kv_cache_gib": max(1, int(runtime.kv_cache_gib * CACHE_SHRINK)),
        }
    )


def serve(pipe: Connection, start: Start, runtime: Runtime, log: str) -> None:
    """The other process: run the engine until the pipe is closed. What it prints goes to the log."""
    os.setsid()  # so that all that it starts can be ended with it
    with open(log, "wb", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    inbox: queue.SimpleQueue[tuple[str, Request] | None] = queue.SimpleQueue()
    threading.Thread(target=receive_requests, args=(pipe, inbox), daemon=True).start()
    try:
        engine = start(runtime)
        threading.Thread(target=exit_if_child_dies, args=(multiprocessing.active_children(),), daemon=True).start()
        pipe.send(("ready", engine.description))
        Worker(pipe, inbox, engine).run()
    except UserError as error:
        pipe.send(("refused", str(error)))
    except Exception as error:
        traceback.print_exc()  # first: with the message, the stage ends this process
        with contextlib.suppress(OSError):
            pipe.send(("died", first_error_line(error)))
        raise SystemExit(1) from None


def exit_if_child_dies(children: list[BaseProcess]) -> None:
    """End this process when one that the engine has started ends: the engine may wait for it for ever, as vLLM does."""
    if not children:
        return
    wait([child.sentinel for child in children])
    time.sleep(GRACE_SECONDS)
    print("\n".join(f"{child.name} ended with {child.exitcode}" for child in children if not child.is_alive()))
    os._exit(1)


def first_error_line(error: Exception) -> str:
    """The kind and the first line of an error."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def receive_requests(pipe: Connection, inbox: "queue.SimpleQueue[tuple[str, Request] | None]") -> None:
    """Take in requests. When the stage is gone, even by kill -9, end this process and all that it has started."""
    with contextlib.suppress(EOFError, OSError):
        while (request := pipe.recv()) is not None:
            inbox.put(request)
        inbox.put(None)
        return
    os.killpg(0, signal.SIGKILL)


class Worker:
    """The loop around an engine: requests from the inbox, replies and signs of life into the pipe."""

    def __init__(
        self, pipe: Connection, inbox: "queue.SimpleQueue[tuple[str, Request] | None]", engine: Engine
    ) -> None:
        self._pipe, self._inbox, self._engine = pipe, inbox, engine
        self._open = 0
        self._last_sent = self._last_usage = 0.0

    def run(self) -> None:
        """Serve until the stage says that it is enough."""
        while self._submit_all():
            replies = self._engine.step()
            self._open -= len(replies)
            now = time.monotonic()
            if replies:
                self._pipe.send(("replies", replies))
                self._last_sent = now
            if not self._open or now - self._last_usage > USAGE_SECONDS:
                self._pipe.send(("usage", self._engine.usage()))
                self._last_usage = self._last_sent = now
            elif now - self._last_sent > HEARTBEAT_SECONDS:
                self._pipe.send(("heartbeat", None))
                self._last_sent = now

    def _submit_all(self) -> bool:
        """Hand all that waits to the engine; wait when there is nothing to do. False: it is enough."""
        while not self._open or not self._inbox.empty():
            item = self._inbox.get()
            if item is None:
                return False
            key, request = item
            try:
                self._engine.submit(key, request)
            except (ValueError, TypeError) as error:  # of this chat: a template or a limit that refuses it
                self._pipe.send(("replies", [(key, Reply("", "failed", 0, 0, reason=first_error_line(error)))]))
            else:
                self._open += 1
        return True
