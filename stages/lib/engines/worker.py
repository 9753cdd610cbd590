"""The process of a supervised engine: requests come through a pipe, replies and heartbeats go back."""

import atexit
import contextlib
import multiprocessing
import os
import queue
import signal
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from stages.lib.console.errors import UserError
from stages.lib.engines.base import Engine, Request, failed_reply
from stages.lib.settings.runtime import Runtime

HEARTBEAT_SECONDS = 1.0
USAGE_SECONDS = 10.0
GRACE_SECONDS = 3.0  # for an engine to report itself what its process died of
MAX_ERROR_CHARS = 200

StartEngine = Callable[[Runtime], Engine]
Inbox = queue.SimpleQueue[tuple[str, Request] | None]  # None: no more requests


def serve(pipe: Connection, start: StartEngine, runtime: Runtime, log: str) -> None:
    """Run an engine until the pipe is closed; the target of its process. What it prints goes to the log.

    The first message is `ready` with the engine's description, `refused` with what the user can fix, or `died`.
    """
    os.setsid()  # so that all that it starts can be ended with it
    atexit.register(os._exit, 0)  # registered first, so it runs last: freeing all that vLLM has imported takes seconds
    with open(log, "wb", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    inbox: Inbox = queue.SimpleQueue()
    threading.Thread(target=receive_requests, args=(pipe, inbox), daemon=True).start()
    try:
        engine = start(runtime)
        children = multiprocessing.active_children()
        threading.Thread(target=exit_if_child_dies, args=(children,), daemon=True).start()
        pipe.send(("ready", engine.description))
        Worker(pipe, inbox, engine).run()
    except UserError as error:
        pipe.send(("refused", str(error)))
    except Exception as error:
        traceback.print_exc()  # first: on the message, the stage ends this process
        with contextlib.suppress(OSError):
            pipe.send(("died", first_error_line(error)))
        os._exit(1)


def receive_requests(pipe: Connection, inbox: Inbox) -> None:
    """Move requests to the inbox. When the stage is gone, even by kill -9, end this process and all it has started."""
    with contextlib.suppress(EOFError, OSError):
        while (request := pipe.recv()) is not None:
            inbox.put(request)
        inbox.put(None)
        return
    os.killpg(0, signal.SIGKILL)


def exit_if_child_dies(children: list[BaseProcess]) -> None:
    """End this process when one that the engine has started ends: the engine may wait for it forever, as vLLM does."""
    if not children:
        return
    wait([child.sentinel for child in children])
    time.sleep(GRACE_SECONDS)
    print("\n".join(f"{child.name} ended with {child.exitcode}" for child in children if not child.is_alive()))
    os._exit(1)


def first_error_line(error: Exception) -> str:
    """Return the kind and the first line of an error."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:MAX_ERROR_CHARS]}" if lines else type(error).__name__


class Worker:
    """The loop around an engine: requests from the inbox, replies and heartbeats into the pipe."""

    def __init__(self, pipe: Connection, inbox: Inbox, engine: Engine) -> None:
        self._pipe, self._inbox, self._engine = pipe, inbox, engine
        self._num_running = 0
        self._last_sent = self._last_usage = 0.0

    def run(self) -> None:
        """Work until the stage closes the inbox."""
        while self._submit_all():
            replies = self._engine.step()
            self._num_running -= len(replies)
            now = time.monotonic()
            if replies:
                self._send("replies", replies)
            if not self._num_running or now - self._last_usage > USAGE_SECONDS:
                self._send("usage", self._engine.usage())
                self._last_usage = now
            elif now - self._last_sent > HEARTBEAT_SECONDS:
                self._send("heartbeat", None)

    def _send(self, kind: str, content: Any) -> None:
        self._pipe.send((kind, content))
        self._last_sent = time.monotonic()

    def _submit_all(self) -> bool:
        """Submit everything in the inbox; wait when nothing is running. Return False when it is closed."""
        while not self._num_running or not self._inbox.empty():
            item = self._inbox.get()
            if item is None:
                return False
            key, request = item
            try:
                self._engine.submit(key, request)
            except (ValueError, TypeError) as error:  # of this chat: a template or a limit that refuses it
                self._send("replies", [(key, failed_reply(first_error_line(error)))])
            else:
                self._num_running += 1
        return True
