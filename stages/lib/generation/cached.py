"""Conversations that are generated once: those in the store are taken from it, the others are generated now."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from stages.lib.console.errors import UserError
from stages.lib.console.interrupts import check_signals, hold_signals, with_kept
from stages.lib.console.shell import log_line, progress
from stages.lib.core.types import Row
from stages.lib.engines.base import Engine
from stages.lib.engines.budget import estimate
from stages.lib.engines.factory import make_engine
from stages.lib.engines.request import RequestConfig, choose_engine, identity
from stages.lib.generation.conversations import Conversation, longest_first, room, run_conversations
from stages.lib.generation.costs import add_usage, charge
from stages.lib.generation.failures import Failures
from stages.lib.generation.identities import Identities
from stages.lib.generation.same_model import describe_source, record_sources, take_over
from stages.lib.generation.source import to_row
from stages.lib.generation.store import Locations, Store
from stages.lib.models.catalogue import Model
from stages.lib.records.shards import ROWS_PER_SHARD
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import EngineName

LOOKAHEAD = 2  # times as many conversations as run at once, of which the longest begins next: more gains 1 % at most


@dataclass
class CachedGeneration:
    """A source of conversations: the store, and an engine for what the store lacks.

    A run that a signal ends stores what is finished first, so it costs only what was in flight; a run that is killed
    also costs what was finished since the last batch. Whoever generates holds `store.exclusive()` meanwhile.
    """

    model: Model
    config: RequestConfig
    engine: EngineName  # as the params have it; a model on a server is asked there
    store: Store
    runtime: Runtime
    unit: str = "conversations"  # for the lines on the screen
    retry_failed: bool = False  # whether to generate again what failed before
    max_failed_share: float = 1.0
    num_generated: int = field(default=0, init=False)  # by this run, and stored

    def tables(self, prompts: Iterable[Row]) -> Iterator[pa.Table]:
        """Generate what is missing, then yield all conversations; see ConversationSource.

        Raises UserError when more than `max_failed_share` of them failed, after the last table.
        """
        locations = self._generate_missing(prompts)
        failures = Failures(self.model.id, len(locations))
        for start in range(0, len(locations), ROWS_PER_SHARD):
            table = self.store.read(locations.at(np.arange(start, min(start + ROWS_PER_SHARD, len(locations)))))
            failures.count(table)
            yield table
        failures.check(self.max_failed_share)

    def table(self, prompts: Iterable[Row], columns: list[str] | None = None) -> pa.Table:
        """Generate what is missing, then return these columns of all conversations, in the prompts' order."""
        locations = self._generate_missing(prompts)
        return self.store.read(locations.at(np.arange(len(locations))), columns)

    def summary(self) -> dict[str, Any]:
        """Return how the model writes its replies, as far as validation must be told."""
        known = self.config.reply_format.to_json()
        return {"reply_format": known} if known else {}

    def identities(self, prompts: Iterable[Row]) -> Identities:
        """Return the identity of each prompt's conversation, by conversation_hash."""
        engine = choose_engine(self.model, self.engine)
        return Identities(
            (prompt["conversation_hash"], identity(prompt, self.model, self.config, engine)) for prompt in prompts
        )

    def running_engine(self) -> AbstractContextManager[Engine]:
        """Start the engine; it ends with the block."""
        return closing(make_engine(self.engine, self.model, self.config, self.runtime))

    def _generate_missing(self, prompts: Iterable[Row]) -> Locations:
        """Generate what the store lacks; return where each prompt's conversation is in it, in the prompts' order."""
        identities = self.identities(prompts)
        locations = self._locate(identities, failed=not self.retry_failed)
        record_sources(self.store.folder, [describe_source(self.model)])
        absent = identities.where(~locations.are_found)
        if take_over(self.store, self.model, absent.names, self.config.max_tokens, self.config.window):
            locations = self._locate(identities, failed=not self.retry_failed)
        missing = identities.where(~locations.are_found)
        num_stored = len(identities) - len(missing)
        log_line(f"{self.model.id}: {num_stored} {self.unit} are in the store, {len(missing)} to generate")
        if missing:
            self._log_estimate(prompts, missing)
            try:
                with self.running_engine() as engine:
                    self.generate(engine, prompts, missing)
            except KeyboardInterrupt as error:
                raise with_kept(error, self._describe_stored(num_stored, len(identities))) from None
            locations = self._locate(identities)
        if unanswered := int(np.count_nonzero(~locations.are_found)):
            raise UserError(f"{self.model.id}: {unanswered} {self.unit} were not answered; run dvc repro again")
        return locations

    def generate(self, engine: Engine, prompts: Iterable[Row], identities: Identities) -> None:
        """Run the prompts whose conversation_hash is in `identities`; append each batch that ends to the store."""
        with hold_signals():
            for batch in batches(self._finished_rows(engine, prompts, identities), engine, self.runtime):
                self.store.append(batch)
                self.num_generated += len(batch)

    def _finished_rows(self, engine: Engine, prompts: Iterable[Row], identities: Identities) -> Iterator[Row]:
        """Yield rows of SEGMENT without their costs, as their conversations end; show the progress."""
        conversations = (
            Conversation.from_prompt(prompt, identities[prompt["conversation_hash"]], self.config.history)
            for prompt in only(prompts, identities)
        )
        at_once = self.runtime.max_concurrent
        in_order = longest_first(conversations, LOOKAHEAD * room(engine, at_once))
        finished = run_conversations(engine, in_order, self.config, at_once)
        statistics = ReplyStatistics()
        with progress(finished, desc=self.model.id, unit=self.unit, total=len(identities)) as bar:
            for conversation in bar:
                bar.set_postfix_str(statistics.add(conversation), refresh=False)
                yield to_row(conversation, self.model.id, self.config, engine.description)

    def _describe_stored(self, before: int, total: int) -> str:
        """Say what a run that is ended has stored, and that another goes on; `before` were in the store already."""
        return (
            f"{before + self.num_generated} of {total} {self.unit} of {self.model.id} are in the store, "
            f"{self.num_generated} of them from this run; run it again to go on"
        )

    def _locate(self, identities: Identities, *, failed: bool = True) -> Locations:
        return self.store.locate(identities.names, self.config.max_tokens, self.config.window, failed=failed)

    def _log_estimate(self, prompts: Iterable[Row], missing: Identities) -> None:
        """Print what a server will have to answer, beside the budget."""
        if self.model.kind == "server":
            estimated = estimate(only(prompts, missing), self.config)
            log_line(f"{self.model.id}: {estimated.describe(self.runtime.server)}")


def only(prompts: Iterable[Row], identities: Identities) -> Iterator[Row]:
    """Yield the prompts that have one of some identities."""
    for prompt in prompts:
        check_signals()
        if prompt["conversation_hash"] in identities:
            yield prompt


def batches(rows: Iterable[Row], engine: Engine, runtime: Runtime) -> Iterator[list[Row]]:
    """Gather rows until there are enough or enough time has passed, and add to them what they cost.

    The time of a batch that took no tokens, as its prompts never fitted or could not be asked, goes to the next batch;
    so does that of replicas none of whose conversations are in it. An error of the engine, or a signal, comes after the
    rows that were finished before it.
    """
    batch: list[Row] = []
    meter = Meter(engine)
    error: UserError | KeyboardInterrupt | None = None
    try:
        for row in rows:
            batch.append(row)
            if len(batch) >= runtime.flush_conversations or meter.seconds() > runtime.flush_seconds:
                yield meter.charge(batch)
                batch = []
    except (UserError, KeyboardInterrupt) as early_end:
        error = early_end
    yield meter.charge(batch, is_last=True)
    if error:
        raise error


class Meter:
    """The time of an engine, or of each kind of a pool's replicas, that no conversation has paid for yet."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._began = time.monotonic()
        self._unpaid: dict[str, float] = {}  # by hardware; empty: the engine's own

    def seconds(self) -> float:
        """Return the wall time since the last batch."""
        return time.monotonic() - self._began

    def charge(self, batch: list[Row], *, is_last: bool = False) -> list[Row]:
        """Add to the rows of a batch what they cost, and return them."""
        now, usage = time.monotonic(), self._engine.usage()
        for hardware, seconds in (usage.seconds or {"": now - self._began}).items():
            self._unpaid[hardware] = self._unpaid.get(hardware, 0.0) + seconds
        self._began = now
        charge(batch, self._unpaid, is_last=is_last)
        return add_usage(batch, usage)


class ReplyStatistics:
    """Output tokens per second and how replies ended, for the progress bar."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._tokens = 0
        self._finishes = Counter[str]()

    def add(self, conversation: Conversation) -> str:
        """Count a finished conversation; return what to show beside the bar."""
        self._finishes.update(turn["finish_reason"] for turn in conversation.turns)
        self._tokens += sum(turn["completion_tokens"] for turn in conversation.turns)
        total = self._finishes.total()
        shares = ", ".join(f"{name} {count / total:.0%}" for name, count in self._finishes.most_common())
        return f"{self._tokens / (time.monotonic() - self._began):.0f} tokens/s, {shares}"
