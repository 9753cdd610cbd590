"""The interface of every engine, and how a chat is made to fit a context window."""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from stages.lib.engines.request import RequestConfig
from stages.lib.records.chats import Message, drop_oldest_turns
from stages.lib.records.responses import NO_SYSTEM_ROLE


class Request(NamedTuple):
    """A chat that ends with a user's message, and the seed of the reply to it."""

    messages: list[Message]
    seed: int


class Reply(NamedTuple):
    """An engine's answer to one request."""

    text: str
    finish_reason: str  # stop, length; context_overflow, no_system_role: not sent; failed: `reason` says why
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0  # prompt tokens found in the prefix cache
    trimmed_turns: int = 0
    reason: str = ""
    opened: str = ""  # the tag of thoughts that the prompt ended with; the reply begins inside them
    hardware: str = ""  # of the replica that gave it; empty: the engine's


@dataclass(slots=True)
class Usage:
    """What an engine used of its machine since it was last asked: peaks and counts."""

    hardware: str = ""
    kv_share: float = 0.0  # peak share of the KV cache
    vram_gib: float = 0.0  # peak over all GPUs together
    preemptions: int = 0
    restarts: int = 0  # lost replicas too
    seconds: dict[str, float] = field(default_factory=dict)  # of replicas, by hardware; empty: it was the wall time

    def add(self, other: "Usage") -> None:
        """Merge another reading into this one."""
        self.hardware = other.hardware or self.hardware
        self.kv_share = max(self.kv_share, other.kv_share)
        self.vram_gib = max(self.vram_gib, other.vram_gib)
        self.preemptions += other.preemptions
        self.restarts += other.restarts
        for hardware, seconds in other.seconds.items():
            self.seconds[hardware] = self.seconds.get(hardware, 0.0) + seconds


class Engine(Protocol):
    """Answers requests in any order: they are submitted at any time, and `step` returns the replies that have ended."""

    description: str  # name and version

    @property
    def num_replicas(self) -> int:
        """How many answer side by side now, each as many requests as one engine does."""

    def submit(self, key: str, request: Request) -> None:
        """Queue a request under a key that no other running request has."""

    def step(self) -> list[tuple[str, Reply]]:
        """Work or wait for a short time; return the keys and replies of the requests that have ended."""

    def usage(self) -> Usage:
        """Return what the engine used since the last call."""

    def close(self) -> None:
        """Stop the engine and free what it holds."""


class FittedPrompt(NamedTuple):
    """A chat as token ids, and how it was made to fit the window."""

    ids: list[int]
    trimmed_turns: int
    room: int  # tokens for the reply; below 1 when there are none


class Encoder(Protocol):
    """Turns a chat into token ids."""

    def encode(self, messages: list[Message]) -> list[int]:
        """Return the token ids of a chat up to and including the header of the reply."""


def fit_to_window(encoder: Encoder, messages: list[Message], config: RequestConfig) -> FittedPrompt:
    """Encode a chat; with `trim: oldest`, drop as many of its oldest turns as make room for a whole reply."""
    for turns in range(num_droppable_turns(messages, config) + 1):
        ids = encoder.encode(drop_oldest_turns(messages, turns))
        if len(ids) + config.max_tokens <= config.window:
            break
    return FittedPrompt(ids, turns, min(config.max_tokens, config.window - len(ids)))


def num_droppable_turns(messages: list[Message], config: RequestConfig) -> int:
    """Count the oldest turns of a chat that may be dropped."""
    return sum(message["role"] == "assistant" for message in messages) if config.trim == "oldest" else 0


def overflow_reply(prompt: FittedPrompt) -> Reply:
    """Build the reply to a chat that leaves no room for one."""
    return Reply("", "context_overflow", len(prompt.ids), 0, trimmed_turns=prompt.trimmed_turns)


def has_system(messages: list[Message]) -> bool:
    """Whether a chat has a system message."""
    return messages[0]["role"] == "system"


def no_system_role_reply() -> Reply:
    """Build the reply to a chat whose system message the model's chat template has no role for."""
    return Reply("", NO_SYSTEM_ROLE, 0, 0)


def failed_reply(reason: str) -> Reply:
    """Build the reply to a request that cannot be answered."""
    return Reply("", "failed", 0, 0, reason=reason)
