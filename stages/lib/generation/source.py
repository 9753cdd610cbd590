"""The interface of everything that finished conversations come from: an engine behind a store, or imported replies."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import pyarrow as pa

from stages.lib.core.types import Row
from stages.lib.engines.request import RequestConfig
from stages.lib.generation.conversations import Conversation
from stages.lib.models.catalogue import Model
from stages.lib.records.responses import count_tokens


class ConversationSource(Protocol):
    """Gives each prompt its finished conversation."""

    model: Model
    config: RequestConfig

    def tables(self, prompts: Iterable[Row]) -> Iterator[pa.Table]:
        """Yield one row of SEGMENT for each prompt (a row of PROMPT), in the prompts' order, at most a shard at a time.

        A source that generates iterates the prompts several times: pass a list, or an object that reads them again.
        Raises UserError when conversations cannot be had.
        """

    def summary(self) -> dict[str, Any]:
        """Return what the responses' summary says of this source, once its tables have been read."""


def to_row(conversation: Conversation, dgm: str, config: RequestConfig, engine: str) -> Row:
    """Turn a finished conversation into a row of SEGMENT that lacks only its cost; `engine` is the engine's name."""
    return {
        "identity": conversation.identity,
        "conversation_hash": conversation.key,
        "dgm": dgm,
        "turns": conversation.turns,
        "status": conversation.status,
        "reason": conversation.reason,
        "history": config.history,
        "seed": config.seed,
        "engine": engine,
        "prompt_tokens": count_tokens(conversation.turns, "prompt_tokens"),
        "cached_tokens": conversation.cached_tokens,
        "completion_tokens": count_tokens(conversation.turns, "completion_tokens"),
        "hardware": conversation.hardware,
    }
