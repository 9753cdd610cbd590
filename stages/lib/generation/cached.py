"""Conversations that are paid for once: what the store holds is taken from it, the rest is asked for now."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line, progress
from stages.lib.engines.base import Engine
from stages.lib.engines.budget import estimate
from stages.lib.engines.factory import make_engine
from stages.lib.engines.request import RequestConfig, choose_engine, identity
from stages.lib.generation.conversations import Conversation, run_conversations
from stages.lib.generation.costs import attribute_cost
from stages.lib.generation.store import RowLocation, Store
from stages.lib.models.catalogue import Model
from stages.lib.settings.reading import load
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import EngineName

Reader = Callable[[], Iterator[dict[str, Any]]]
Start = Callable[[EngineName, Model, RequestConfig, Runtime], Engine]


def to_row(conversation: Conversation, name: str, dgm: str, config: RequestConfig, engine: str) -> dict[str, Any]:
    """A finished conversation as a row of SEGMENT, not yet charged for."""
    return {
        "identity": name,
        "conversation_hash": conversation.key,
        "dgm": dgm,
        "turns": conversation.turns,
        "status": conversation.status,
        "reason": conversation.reason,
        "history": config.history,
        "seed": config.seed,
        "engine": engine,
        "prompt_tokens": sum(turn["prompt_tokens"] for turn in conversation.turns),
        "cached_tokens": conversation.cached_tokens,
        "completion_tokens": sum(turn["completion_tokens"] for turn in conversation.turns),
    }


def batches(rows: Iterable[dict[str, Any]], engine: Engine, runtime: Runtime) -> Iterator[list[dict[str, Any]]]:
    """Gather rows until there are enough or enough time has passed, and charge them for it.

    An error of the engine comes after the rows that were finished before it.
    """
    batch: list[dict[str, Any]] = []
    began, error = time.monotonic(), None
    try:
        for row in rows:
            batch.append(row)
            if len(batch) >= runtime.flush_conversations or time.monotonic() - began > runtime.flush_seconds:
                yield attribute_cost(batch, time.monotonic() - began, engine.usage())
                batch, began = [], time.monotonic()
    except UserError as found:
        error = found
    yield attribute_cost(batch, time.monotonic() - began, engine.usage())
    if error:
        raise error


class Tally:
    """Output tokens per second and replies by how they ended, for the progress bar."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._tokens = 0
        self._finishes = Counter[str]()

    def add(self, conversation: Conversation) -> str:
        """Count a finished conversation; what to show beside the bar."""
        self._finishes.update(turn["finish_reason"] for turn in conversation.turns)
        self._tokens += sum(turn["completion_tokens"] for turn in conversation.turns)
        total = self._finishes.total()
        shares = ", ".join(f"{name} {count / total:.0%}" for name, count in self._finishes.most_common())
        return f"{self._tokens / (time.monotonic() - self._began):.0f} tokens/s, {shares}"


def finish(
    engine: Engine,
    prompts: Iterator[dict[str, Any]],
    names: dict[str, str],
    model: Model,
    config: RequestConfig,
    runtime: Runtime,
    unit: str = "conversations",
) -> Iterator[dict[str, Any]]:
    """Answer the prompts that `names` maps from conversation_hash to identity; their rows, as they end."""
    wanted = (prompt for prompt in prompts if prompt["conversation_hash"] in names)
    conversations = (Conversation(prompt["conversation_hash"], *zip_turns(prompt)) for prompt in wanted)
    finished, tally = run_conversations(engine, conversations, config, runtime.max_concurrent), Tally()
    with progress(finished, desc=model.id, unit=unit, total=len(names)) as bar:
        for conversation in bar:
            bar.set_postfix_str(tally.add(conversation), refresh=False)
            yield to_row(conversation, names[conversation.key], model.id, config, engine.description)


def ask(
    read: Reader,
    model: Model,
    config: RequestConfig,
    engine: EngineName,
    store: Store,
    start: Start = make_engine,
    *,
    unit: str = "conversations",
    again: bool = False,
) -> dict[str, RowLocation]:
    """Answer what the store lacks; where each conversation stands in it, by conversation_hash, as the prompts come.

    What is finished is in the store at every moment. With `again`, what failed before is asked once more.
    Raises UserError when the engine cannot go on.
    """
    names = {
        prompt["conversation_hash"]: identity(prompt, model, config, choose_engine(model, engine)) for prompt in read()
    }
    found = store.find(list(names.values()), config.max_tokens, config.window, failed=not again)
    missing = {key: name for key, name in names.items() if name not in found}
    log_line(f"{model.id}: {len(names) - len(missing)} {unit} are in the store, {len(missing)} to generate")
    if missing:
        runtime = load(Runtime)
        if model.kind == "server":
            wanted = (prompt for prompt in read() if prompt["conversation_hash"] in missing)
            log_line(f"{model.id}: {estimate(wanted, config).describe(runtime.server)}")
        with closing(start(engine, model, config, runtime)) as running:
            rows = finish(running, read(), missing, model, config, runtime, unit)
            for batch in batches(rows, running, runtime):
                store.append(batch)
        found |= store.find(list(missing.values()), config.max_tokens, config.window)
    absent = [key for key, name in names.items() if name not in found]
    if absent:
        raise UserError(f"{model.id}: {len(absent)} {unit} did not come back; run dvc repro again")
    return {key: found[name] for key, name in names.items()}


def zip_turns(prompt: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The user turns and the reference replies of a prompt row."""
    return [turn["user"] for turn in prompt["turns"]], [turn["reference"] for turn in prompt["turns"]]
