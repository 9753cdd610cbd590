"""Engines for replicas on a CPU: paced ones, of which one may be slow, and vLLM whose replies have planned lengths."""

import os
import time
from pathlib import Path
from typing import Any

from perf.planned_engine import TURN, PlannedEngine
from perf.workload import Plan
from stages.lib.engines.base import Reply, Request
from stages.lib.engines.echo import EchoEngine
from stages.lib.engines.request import RequestConfig
from stages.lib.models.catalogue import Model
from stages.lib.settings.runtime import Runtime

SLOW = Path("slow")  # the engine that makes this file is the slow one


class PacedReplies(EchoEngine):
    """An echo whose replies come one at a time, at even intervals."""

    seconds = 0.004

    def __init__(self, config: RequestConfig, _runtime: Runtime) -> None:
        super().__init__(config)

    def step(self) -> list[tuple[str, Reply]]:
        """The oldest one."""
        time.sleep(self.seconds)
        ended, self._ended = self._ended[:1], self._ended[1:]
        return ended


class OneSlow(PacedReplies):
    """Of these engines in one folder, one is four times as slow."""

    def __init__(self, config: RequestConfig, runtime: Runtime) -> None:
        super().__init__(config, runtime)
        try:
            os.close(os.open(SLOW, os.O_CREAT | os.O_EXCL))
            self.seconds = 4 * PacedReplies.seconds
        except FileExistsError:
            pass


class PlannedReplica(PlannedEngine):
    """An engine of planned lengths that knows a conversation and its turn by their texts: keys are the pool's own."""

    def __init__(self, plan: Plan, dummy: bool, model: Model, config: RequestConfig, runtime: Runtime) -> None:
        self._names = {users[0]: name for name, users in plan.users.items()}
        super().__init__(plan, dummy, model, config, runtime)

    def sampling(self, request: Request, max_tokens: int) -> dict[str, Any]:
        """Ask for as many tokens as the plan says."""
        users = [message["content"] for message in request.messages if message["role"] == "user"]
        self._key = f"{self._names[users[0]]}{TURN}{len(users) - 1}"
        return super().sampling(request, max_tokens)
