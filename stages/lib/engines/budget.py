"""What a run may ask of a server: how much, for how much money, and how fast."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stages.lib.console.errors import UserError
from stages.lib.engines.request import RequestConfig
from stages.lib.settings.runtime import ServerLimits

MILLION = 1e6
BYTES_PER_TOKEN = 4  # of English text, roughly


class Budget:
    """What one run may spend."""

    def __init__(self, server: ServerLimits) -> None:
        self._server = server
        self.requests = self.tokens = 0
        self.cost = 0.0

    def take_request(self) -> None:
        """Count a request that is about to be sent; raise UserError when nothing is left for it."""
        limits = self._server
        spent = (self.requests, self.tokens, self.cost)
        if any(0 < limit <= used for limit, used in zip(limits.budget, spent, strict=True)):
            worth = f" for {self.cost:.2f}" if self.cost else ""
            raise UserError(
                f"the budget of this run is spent: {self.requests} requests, {self.tokens} tokens{worth} "
                f"({limits.described}); what is finished is in the store, and a new run goes on from there"
            )
        self.requests += 1

    def pay(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Count a reply."""
        self.tokens += prompt_tokens + completion_tokens
        self.cost += price(prompt_tokens, completion_tokens, self._server)


class Rate:
    """Lets one request through at a time, evenly: no minute has more than its share."""

    def __init__(self, per_minute: int) -> None:
        self._gap = 60 / per_minute if per_minute else 0.0
        self._next = 0.0

    async def wait(self) -> float:
        """Wait for this request's moment; how long that was."""
        now = time.monotonic()
        moment = max(now, self._next)
        self._next = moment + self._gap
        await asyncio.sleep(moment - now)
        return moment - now


def price(prompt_tokens: float, completion_tokens: float, server: ServerLimits) -> float:
    """What tokens cost, in the currency of the prices."""
    return (
        prompt_tokens * server.price_per_million_input + completion_tokens * server.price_per_million_output
    ) / MILLION


@dataclass(frozen=True, slots=True)
class Estimate:
    """What asking will take: requests, and tokens in and, at most, out."""

    requests: int
    prompt_tokens: int
    completion_tokens: int

    def describe(self, server: ServerLimits) -> str:
        """In words, beside the budget."""
        said = (
            f"{self.requests:,} requests, about {self.prompt_tokens:,} tokens in and at most "
            f"{self.completion_tokens:,} out"
        )
        least, most = price(self.prompt_tokens, 0, server), price(self.prompt_tokens, self.completion_tokens, server)
        if most:
            said += f", which costs about {least:.2f} to {most:.2f}"
        needed = (self.requests, self.prompt_tokens, least)
        if any(0 < limit < need for limit, need in zip(server.budget, needed, strict=True)):
            said += f"; that is more than the budget ({server.described}), which will end it before"
        return said


def estimate(prompts: Iterable[dict[str, Any]], config: RequestConfig) -> Estimate:
    """What these prompts (rows of PROMPT) will take, at four bytes a token, every reply as long as it may be.

    A turn is asked with all that was said before: the user's turns, and the model's replies or the reference ones.
    """
    requests = prompt_tokens = 0
    for prompt in prompts:
        said = num_tokens(config.system_prompt)
        for turn in prompt["turns"]:
            said += num_tokens(turn["user"])
            prompt_tokens += round(said)
            requests += 1
            said += config.max_tokens if config.history == "own" else num_tokens(turn["reference"])
    return Estimate(requests, prompt_tokens, requests * config.max_tokens)


def num_tokens(text: str) -> float:
    """How many tokens a text has, roughly."""
    return len(text.encode("utf-8", "surrogatepass")) / BYTES_PER_TOKEN
