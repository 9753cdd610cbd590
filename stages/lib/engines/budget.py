"""The limits of one run on a server: requests, tokens, money and rate; and what the run is expected to take."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stages.lib.console.errors import UserError
from stages.lib.engines.request import RequestConfig
from stages.lib.records.chats import join_systems
from stages.lib.records.prompts import system_of
from stages.lib.settings.runtime import ServerLimits

MILLION = 1e6
BYTES_PER_TOKEN = 4  # of English text, roughly


class Budget:
    """Counts what a run spends, and ends it at its limits."""

    def __init__(self, server: ServerLimits) -> None:
        self._server = server
        self.requests = self.tokens = 0
        self.cost = 0.0

    def take_request(self) -> None:
        """Count a request that is about to be sent; raise UserError when nothing is left for it."""
        limits = self._server
        spent = (self.requests, self.tokens, self.cost)
        if any(0 < limit <= used for limit, used in zip(limits.budget, spent, strict=True)):
            cost = f" for {self.cost:.2f}" if self.cost else ""
            raise UserError(
                f"the budget of this run is spent: {self.requests} requests, {self.tokens} tokens{cost} "
                f"({limits.described}); what is finished is in the store, and a new run continues from there"
            )
        self.requests += 1

    def pay(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Count the tokens of a reply and their price."""
        self.tokens += prompt_tokens + completion_tokens
        self.cost += price(prompt_tokens, completion_tokens, self._server)


class Rate:
    """Admits requests one at a time at even intervals, so that no minute has more than its number."""

    def __init__(self, per_minute: int) -> None:
        self._gap = 60 / per_minute if per_minute else 0.0
        self._next = 0.0

    async def wait(self) -> float:
        """Wait until this request is admitted; return the seconds that it waited."""
        now = time.monotonic()
        admitted = max(now, self._next)
        self._next = admitted + self._gap
        await asyncio.sleep(admitted - now)
        return admitted - now


def price(prompt_tokens: float, completion_tokens: float, server: ServerLimits) -> float:
    """Return what tokens cost, in the currency of the prices."""
    return (
        prompt_tokens * server.price_per_million_input + completion_tokens * server.price_per_million_output
    ) / MILLION


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run is expected to take: requests, prompt tokens and at most this many reply tokens."""

    requests: int
    prompt_tokens: int
    completion_tokens: int

    def describe(self, server: ServerLimits) -> str:
        """Describe the estimate, its price, and whether the budget covers it."""
        text = (
            f"{self.requests:,} requests, about {self.prompt_tokens:,} tokens in and at most "
            f"{self.completion_tokens:,} out"
        )
        least, most = price(self.prompt_tokens, 0, server), price(self.prompt_tokens, self.completion_tokens, server)
        if most:
            text += f", which costs about {least:.2f} to {most:.2f}"
        needed = (self.requests, self.prompt_tokens, least)
        if any(0 < limit < need for limit, need in zip(server.budget, needed, strict=True)):
            text += f"; that is more than the budget ({server.described}), which will end it before"
        return text


def estimate(prompts: Iterable[dict[str, Any]], config: RequestConfig) -> Estimate:
    """Estimate what these prompts (rows of PROMPT) take, at four bytes a token, every reply as long as it may be.

    Each turn is sent with the chat before it, the user's messages and the model's or the reference replies, as far as
    that fits the window. A message that alone does not fit is not counted: the conversation ends there.
    """
    requests = prompt_tokens = 0
    most = config.window - (config.max_tokens if config.trim == "oldest" else 1)
    for prompt in prompts:
        chat_tokens = num_tokens(join_systems(config.system_prompt, system_of(prompt)))
        for turn in prompt["turns"]:
            chat_tokens += num_tokens(turn["user"])
            if num_tokens(turn["user"]) >= config.window:
                break
            prompt_tokens += round(min(chat_tokens, most))
            requests += 1
            chat_tokens += config.max_tokens if config.history == "own" else num_tokens(turn["reference"])
    return Estimate(requests, prompt_tokens, requests * config.max_tokens)


def num_tokens(text: str) -> float:
    """Estimate the number of tokens of a text."""
    return len(text.encode("utf-8", "surrogatepass")) / BYTES_PER_TOKEN
