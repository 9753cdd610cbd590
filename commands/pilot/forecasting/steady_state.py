"""How fast an engine is while it is busy: the end of a pilot, when few requests are left, does not count."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from stages.lib.engines.base import Engine, Reply, Request, Usage
from stages.lib.generation.cached import CachedGeneration
from stages.lib.records.responses import UNANSWERED

STEADY_SHARE = 0.5  # of the most requests at once: the steady state lasts while at least that many are running


class Span(NamedTuple):
    """One request: when it began and ended in seconds of one clock, and its tokens."""

    began: float
    ended: float
    prompt_tokens: int
    completion_tokens: int
    key: str = ""  # of the conversation


@dataclass(frozen=True, slots=True)
class SteadyState:
    """What an engine did while it was busy."""

    at_once: int  # the most requests running
    tokens: float  # in and out
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        """Tokens in and out per second; 0: unknown."""
        return self.tokens / self.seconds if self.seconds else 0.0


UNKNOWN = SteadyState(0, 0, 0)


class Stopwatch:
    """An engine that notes when each request began and ended; the same interface."""

    def __init__(self, engine: Engine, start_seconds: float = 0.0) -> None:
        self._engine = engine
        self.start_seconds = start_seconds  # until the engine was ready
        self._began = dict[str, float]()
        self.description = engine.description
        self.hardware = ""
        self.most_replicas = 1
        self.spans: list[Span] = []

    @property
    def num_replicas(self) -> int:
        """How many answer side by side now."""
        return self._engine.num_replicas

    def submit(self, key: str, request: Request) -> None:
        """Queue a request, and note the time."""
        self._began[key] = time.monotonic()
        self._engine.submit(key, request)

    def step(self) -> list[tuple[str, Reply]]:
        """Return the keys and replies that have ended, and note the time."""
        ended = self._engine.step()
        self.most_replicas = max(self.most_replicas, self.num_replicas)
        now = time.monotonic()
        for key, reply in ended:
            began = self._began.pop(key)
            if reply.finish_reason not in UNANSWERED:  # what never fitted or failed is no work of the engine
                self.spans.append(Span(began, now, reply.prompt_tokens, reply.completion_tokens, key))
        return ended

    def usage(self) -> Usage:
        """Return what the engine used since the last call, and note its hardware."""
        usage = self._engine.usage()
        self.hardware = usage.hardware or self.hardware
        return usage

    def close(self) -> None:
        """Stop the engine."""
        self._engine.close()


class TimedGeneration(CachedGeneration):
    """Generation with a stopwatch on its engine; None when nothing was missing and no engine ran."""

    stopwatch: Stopwatch | None = None

    @contextmanager
    def running_engine(self) -> Iterator[Engine]:
        """Start the engine behind a stopwatch."""
        began = time.monotonic()
        with super().running_engine() as engine:
            self.stopwatch = Stopwatch(engine, time.monotonic() - began)
            yield self.stopwatch


def running_counts(spans: Sequence[Span]) -> list[tuple[float, int]]:
    """Return each moment at which a request began or ended, and how many were running until then."""
    events = sorted([(span.began, 1) for span in spans] + [(span.ended, -1) for span in spans])
    counts, running = [], 0
    for moment, change in events:
        counts.append((moment, running))
        running += change
    return counts


def measure_steady_state(spans: list[Span]) -> SteadyState:
    """Sum tokens and seconds from the first request until fewer than STEADY_SHARE of the most at once are running.

    A prompt counts when its request begins. Of a reply that ends later its share by time counts, as if its tokens came
    evenly; they come faster when fewer run, so the speed is a little too high.
    """
    counts = running_counts(spans)
    at_once = max((running for _, running in counts), default=0)
    end = max((moment for moment, running in counts if running and running >= STEADY_SHARE * at_once), default=0)
    within = [span for span in spans if span.began < end]
    tokens = sum(span.prompt_tokens + span.completion_tokens * share_done(span, end) for span in within)
    return SteadyState(at_once, tokens, end - min((span.began for span in within), default=end))


def share_done(span: Span, moment: float) -> float:
    """Return the share of a request's time that had passed by a moment after it began."""
    return 1.0 if span.ended <= moment else (moment - span.began) / (span.ended - span.began)
