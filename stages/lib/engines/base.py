"""The interface that every engine has, and how a chat is made to fit a context window."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from stages.lib.engines.request import RequestConfig
from stages.lib.records.chats import Message, drop_oldest_turns


class Request(NamedTuple):
    """A chat that ends with a user's message, and the seed of the reply to it."""

    messages: list[Message]
    seed: int


class Reply(NamedTuple):
    """What an engine said to one request."""

    text: str
    finish_reason: str  # stop, length; context_overflow: it was not asked; failed: `reason` says why
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0  # of the prompt, found in the prefix cache
    trimmed_turns: int = 0
    reason: str = ""


@dataclass(slots=True)
class Usage:
    """What an engine took of its machine since it was last asked: peaks, and counts."""

    hardware: str = ""
    kv_share: float = 0.0  # of the KV cache, at most
    vram_gib: float = 0.0  # of all GPUs together, at most
    preemptions: int = 0
    restarts: int = 0

    def add(self, other: "Usage") -> None:
        """Take another reading into account."""
        self.hardware = other.hardware or self.hardware
        self.kv_share = max(self.kv_share, other.kv_share)
        self.vram_gib = max(self.vram_gib, other.vram_gib)
        self.preemptions += other.preemptions
        self.restarts += other.restarts


class Engine(Protocol):
    """Requests go in whenever there is room; `step` gives the replies that have ended since."""

    description: str  # name and version

    def submit(self, key: str, request: Request) -> None:
        """Ask for a reply under a key."""

    def step(self) -> list[tuple[str, Reply]]:
        """Work or wait a little; return the keys and replies that have ended."""

    def usage(self) -> Usage:
        """What the engine took since this was last called."""

    def close(self) -> None:
        """End it."""


class FittedPrompt(NamedTuple):
    """A chat as token ids, and how it was made to fit the window."""

    ids: list[int]
    trimmed_turns: int
    room: int  # tokens for the reply; under 1 when there is none


def fit_to_window(engine: "Encoder", messages: list[Message], config: RequestConfig) -> FittedPrompt:
    """Encode a chat, without as many of its oldest turns as `config.trim` takes to make room for a whole reply."""
    for turns in range(num_droppable_turns(messages, config) + 1):
        ids = engine.encode(drop_oldest_turns(messages, turns))
        if len(ids) + config.max_tokens <= config.window:
            break
    return FittedPrompt(ids, turns, min(config.max_tokens, config.window - len(ids)))


def num_droppable_turns(messages: list[Message], config: RequestConfig) -> int:
    """How many of a chat's oldest turns may be left out."""
    return sum(message["role"] == "assistant" for message in messages) if config.trim == "oldest" else 0


class Encoder(Protocol):
    """What turns a chat into token ids."""

    def encode(self, messages: list[Message]) -> list[int]:
        """The token ids of a chat up to and including the header of the reply."""


def overflow_reply(fitted: FittedPrompt) -> Reply:
    """The reply to a chat that leaves no room for one."""
    return Reply("", "context_overflow", len(fitted.ids), 0, trimmed_turns=fitted.trimmed_turns)
