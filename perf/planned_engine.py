"""vLLM with replies of planned lengths, and its bare loop over token ids, both in the engine's own process."""

import time
from collections import Counter
from typing import Any

from perf.workload import Plan
from stages.lib.engines.base import Engine, Reply, Request
from stages.lib.engines.request import RequestConfig
from stages.lib.engines.vllm import VllmEngine
from stages.lib.models.catalogue import Model
from stages.lib.records.chats import build_chat
from stages.lib.settings.runtime import Runtime

COMMAND = "!"  # begins a key that is a command to the engine, not a conversation
TURN = "#"  # between the conversation and the number of the turn in a key that asks for one turn alone
NO_LIMIT = 10_000


class PlannedEngine(VllmEngine):
    """An engine whose replies have the planned lengths."""

    def __init__(self, plan: Plan, dummy: bool, model: Model, config: RequestConfig, runtime: Runtime) -> None:
        self.plan, self.dummy = plan, dummy
        self.concurrent = runtime.max_concurrent
        self.num_requests: Counter[str] = Counter()  # by conversation
        self._key = ""  # of the request that is being submitted
        super().__init__(model, config, runtime)
        self._stop_ids = []

    def options(self, model: Model, runtime: Runtime) -> dict[str, Any]:
        """The same, with dummy weights if there are none."""
        return super().options(model, runtime) | ({"load_format": "dummy"} if self.dummy else {})

    def sampling(self, request: Request, max_tokens: int) -> dict[str, Any]:
        """Ask for as many tokens as the plan says for this turn of the conversation."""
        name, _, turn = self._key.partition(TURN)
        number = int(turn) if turn else self.num_requests[name]
        self.num_requests[name] += 1
        length = min(self.plan.lengths[name][number], max_tokens)
        return super().sampling(request, max_tokens) | {"max_tokens": length, "ignore_eos": True}

    def submit(self, key: str, request: Request) -> None:
        """Submit a request, or run a command: `forget` empties the prefix cache, `bare` times the bare loop too."""
        if not key.startswith(COMMAND):
            self._key = key
            super().submit(key, request)
            return
        self.num_requests.clear()
        self._engine.reset_prefix_cache()
        is_bare = key == f"{COMMAND}bare"
        tokens, seconds = self.bare(int(request.messages[0]["content"])) if is_bare else (0, 0.0)
        self._early.append((key, Reply(str(seconds), "stop", tokens, 0)))

    def bare(self, count: int) -> tuple[int, float]:
        """Run the engine's own loop over token ids; return the input tokens and the seconds."""
        names = list(self.plan.users)[:count]
        pieces = {name: self._pieces(self.plan.users[name]) for name in names}
        waiting, running, done = iter(names), dict[str, list[int]](), Counter[str]()
        began, tokens = time.monotonic(), 0
        while True:
            while len(running) < self.concurrent and (name := next(waiting, None)) is not None:
                running[name] = []
                tokens += self._submit_ids(name, running[name], pieces[name][0])
            if not running:
                return tokens, time.monotonic() - began
            for output in self._engine.step():
                if output.finished:
                    name = output.request_id
                    done[name] += 1
                    running[name] += output.outputs[0].token_ids
                    if done[name] == len(pieces[name]):
                        del running[name]
                    else:
                        tokens += self._submit_ids(name, running[name], pieces[name][done[name]])

    def _submit_ids(self, name: str, history: list[int], piece: list[int]) -> int:
        """Submit a conversation's next turn; return the tokens of its prompt."""
        history += piece
        self._key = name
        params = self._sampling_params(**self.sampling(Request([], 1), NO_LIMIT))
        self._engine.add_request(name, {"prompt_token_ids": list(history)}, params)
        return len(history)

    def _pieces(self, users: list[str]) -> list[list[int]]:
        """Return the token ids that each turn adds to the prompt, besides the reply before it."""
        first, rest = users[0], users[1:]
        prompt = self.encode(build_chat([first], []))
        reply = self._tokenizer.encode("w5", add_special_tokens=False)
        later = [self.encode(build_chat([first, user], ["w5"]))[len(prompt) + len(reply) :] for user in rest]
        return [prompt, *later]


def command(engine: Engine, name: str, argument: str = "") -> Reply:
    """Run a command in the engine's process."""
    engine.submit(COMMAND + name, Request([{"role": "user", "content": argument}], 0))
    while not (ended := engine.step()):
        pass
    return ended[0][1]
