"""Conversations with an echo, and the model and config that it answers with."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from stages.lib.core.types import Row
from stages.lib.engines.base import Engine, Request
from stages.lib.engines.echo import EchoEngine
from stages.lib.engines.request import RequestConfig, identity
from stages.lib.generation.cached import CachedGeneration
from stages.lib.generation.conversations import Conversation, run_conversations
from stages.lib.generation.costs import attribute_no_cost
from stages.lib.generation.imports import ImportedConversations
from stages.lib.generation.source import to_row
from stages.lib.generation.store import SEGMENT
from stages.lib.models.catalogue import Model
from stages.lib.models.sampling import Sampling
from stages.lib.records.chats import Message

CONFIG = RequestConfig(sampling=Sampling(temperature=0.7), max_tokens=100, window=400, seed=1)


MODEL = Model(id="m", name="M", location="x", kind="local", commit="c", parameters_billions=1.0, context_window=400)


def run_on(engine: EchoEngine, *conversations: Conversation, max_concurrent: int = 8) -> list[Conversation]:
    """The conversations in the order in which the engine finishes them."""
    return list(run_conversations(engine, conversations, engine.config, max_concurrent))


def talk(*users: str, config: RequestConfig = CONFIG, references: list[str] | None = None) -> Conversation:
    """A finished conversation of these user messages with an echo."""
    return next(run_conversations(EchoEngine(config), [Conversation("h", list(users), references or [])], config, 8))


def stored_row(name: str, *users: str, config: RequestConfig = CONFIG) -> Row:
    """A row of the store of that identity: an echo's replies to these user messages, at no cost."""
    conversation = talk(*users, config=config)
    conversation.identity = name
    return attribute_no_cost([to_row(conversation, "m", config, "echo")])[0]


def answered_row(prompt: Row, config: RequestConfig = CONFIG) -> Row:
    """A row of the store: an echo's replies to a prompt, at no cost."""
    conversation = Conversation.from_prompt(prompt, identity(prompt, MODEL, config, "echo"), config.history)
    [finished] = run_conversations(EchoEngine(config), [conversation], config, 8)
    return attribute_no_cost([to_row(finished, "m", config, "echo")])[0]


def import_references(prompts: Iterable[Row]) -> list[Row]:
    """Rows of the store: the prompts with the replies of their source."""
    source = ImportedConversations(MODEL, CONFIG, None)
    return [row for table in source.tables(prompts) for row in table.to_pylist()]


class GivenRows:
    """A source of conversations that has given tables of rows for any prompts."""

    model, config = MODEL, CONFIG

    def __init__(self, *tables: list[Row], config: RequestConfig = CONFIG) -> None:
        self.config, self._tables = config, tables

    def tables(self, _prompts: Iterable[Row]) -> Iterator[pa.Table]:
        return (pa.Table.from_pylist(rows, schema=SEGMENT) for rows in self._tables)

    def summary(self) -> dict[str, Any]:
        return {}


@dataclass
class GenerationOn(CachedGeneration):
    """Generation on an engine that runs already."""

    running: Engine = field(kw_only=True)

    @contextmanager
    def running_engine(self) -> Iterator[Engine]:
        yield self.running


class Recorder(EchoEngine):
    """An echo that remembers every chat it was asked, and how many ran at once."""

    def __init__(self, config: RequestConfig) -> None:
        super().__init__(config)
        self.chats: list[list[Message]] = []
        self.running = self.most_running = 0

    def encode(self, messages: list[Message]) -> list[int]:
        self.chats.append(messages)
        return super().encode(messages)

    def submit(self, key: str, request: Request) -> None:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        super().submit(key, request)

    def step(self) -> Any:
        ended = self._ended[:1]
        del self._ended[:1]
        self.running -= len(ended)
        return ended


class SampledEcho(Recorder):
    """An echo that remembers which conversations it sampled replies for."""

    def __init__(self, config: RequestConfig) -> None:
        super().__init__(config)
        self.sampled: list[str] = []

    def step(self) -> Any:
        ended = super().step()
        self.sampled += [key for key, reply in ended if reply.completion_tokens]
        return ended
