"""Engines that break for real: they die, hang and run out of memory in their own process."""

import os
import signal
import time
from pathlib import Path

from stages.lib.engines.base import Reply, Request
from stages.lib.engines.echo import EchoEngine
from stages.lib.engines.request import RequestConfig
from stages.lib.settings.runtime import Runtime


class SlowEcho(EchoEngine):
    """An echo that gives one reply at a time, a little later."""

    def step(self) -> list[tuple[str, Reply]]:
        """The oldest one."""
        time.sleep(0.001)
        ended, self._ended = self._ended[:1], self._ended[1:]
        return ended


class PacedEcho(EchoEngine):
    """Takes its time to start, and gives so many replies, one at a time; a file has a letter for each."""

    def __init__(self, config: RequestConfig, _runtime: Runtime) -> None:
        super().__init__(config)
        time.sleep(float(os.environ["ECHO_START"]))
        self._left = int(os.environ.get("ECHO_REPLIES", 1_000_000))

    def step(self) -> list[tuple[str, Reply]]:
        """The oldest one, or nothing once all replies are given."""
        time.sleep(0.01)
        num = min(1, self._left)
        ended, self._ended = self._ended[:num], self._ended[num:]
        self._left -= len(ended)
        with Path("replies").open("a", encoding="utf-8") as file:
            file.write("." * len(ended))
        return ended


class LoggingEcho(EchoEngine):
    """Writes the conversation of each request to a file, which a kill -9 does not undo."""

    def __init__(self, log: Path, config: RequestConfig, _runtime: Runtime) -> None:
        super().__init__(config)
        self._log = log

    def submit(self, key: str, request: Request) -> None:
        """Log and answer."""
        with self._log.open("a", encoding="utf-8") as file:
            file.write(f"{key}\n")
        super().submit(key, request)


class CrashingEcho(SlowEcho):
    """Dies, by kill -9, of a message that holds the word poison."""

    def submit(self, key: str, request: Request) -> None:
        """Die or answer."""
        if "poison" in request.messages[-1]["content"]:
            os.kill(os.getpid(), signal.SIGKILL)
        super().submit(key, request)


class OutOfMemoryEcho(SlowEcho):
    """Runs out of memory while its share of the GPU is too large, as an engine beside another would."""

    def __init__(self, config: RequestConfig, runtime: Runtime) -> None:
        super().__init__(config)
        self._share = runtime.gpu_memory_utilization

    def step(self) -> list[tuple[str, Reply]]:
        """Fail or answer."""
        if self._share > 0.75:
            raise MemoryError("CUDA out of memory")
        return super().step()


class RefusingEcho(SlowEcho):
    """Refuses messages that hold the word refuse, as a chat template does."""

    def submit(self, key: str, request: Request) -> None:
        """Refuse or answer."""
        if "refuse" in request.messages[-1]["content"]:
            raise ValueError("the chat template says: no")
        super().submit(key, request)


class UnstartableEcho(SlowEcho):
    """Never starts."""

    def __init__(self, config: RequestConfig, _runtime: Runtime) -> None:
        super().__init__(config)
        raise OSError("no such weights")


class UnrestartableOnceEcho(SlowEcho):
    """Does not start the second time, as when the memory of the dead engine is not free yet."""

    def __init__(self, starts: Path, config: RequestConfig, _runtime: Runtime) -> None:
        super().__init__(config)
        with starts.open("a", encoding="utf-8") as file:
            file.write("x")
        if starts.read_text(encoding="utf-8") == "xx":
            raise OSError("no memory is free")
