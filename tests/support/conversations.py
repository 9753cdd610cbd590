"""Conversations, and the model and config that they are asked with."""

from typing import Any

from stages.lib.engines.base import Request, Usage
from stages.lib.engines.echo import EchoEngine
from stages.lib.engines.request import RequestConfig
from stages.lib.generation.cached import to_row
from stages.lib.generation.conversations import Conversation, run_conversations
from stages.lib.generation.costs import attribute_cost
from stages.lib.models.catalogue import Model
from stages.lib.models.sampling import Sampling
from stages.lib.records.chats import Message

CONFIG = RequestConfig(sampling=Sampling(temperature=0.7), max_tokens=100, window=400, seed=1)


MODEL = Model(id="m", name="M", location="x", kind="local", commit="c", parameters_billions=1.0, context_window=400)


def talk(*users: str, config: RequestConfig = CONFIG, references: list[str] | None = None) -> Conversation:
    return next(run_conversations(EchoEngine(config), [Conversation("h", list(users), references or [])], config, 8))


def stored_row(name: str, *users: str, config: RequestConfig = CONFIG) -> dict[str, Any]:
    """A row of the store: what an echo said to these users, at no cost."""
    return attribute_cost([to_row(talk(*users, config=config), name, "m", config, "echo")], 0.0, Usage())[0]


class Recorder(EchoEngine):
    """An echo that remembers every chat it was asked, and how many ran at once."""

    def __init__(self, config: RequestConfig) -> None:
        super().__init__(config)
        self.chats: list[list[Message]] = []
        self.running = self.most = 0

    def encode(self, messages: list[Message]) -> list[int]:
        self.chats.append(messages)
        return super().encode(messages)

    def submit(self, key: str, request: Request) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        super().submit(key, request)

    def step(self) -> Any:
        ended = self._ended[:1]
        del self._ended[:1]
        self.running -= len(ended)
        return ended
