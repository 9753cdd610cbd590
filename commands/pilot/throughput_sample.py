"""How fast an engine is while it is busy: a few hundred requests do not keep it busy to their end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from stages.lib.engines.base import Engine, Reply, Request, Usage
from stages.lib.generation.cached import CachedGeneration

BUSY_SHARE = 0.5  # of the most requests at once: the busy part lasts while at least so many are under way


class Span(NamedTuple):
    """One request: when it began and ended in seconds of one clock, and its tokens."""

    began: float
    ended: float
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Pace:
    """What an engine did in the busy part of a run."""

    at_once: int  # the most requests under way
    tokens: float  # in and out
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        """In and out; 0: not known."""
        return self.tokens / self.seconds if self.seconds else 0.0


class Stopwatch:
    """An engine that notes when each request began and ended; the same interface."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._began = dict[str, float]()
        self.description = engine.description
        self.hardware = ""
        self.spans: list[Span] = []

    def submit(self, key: str, request: Request) -> None:
        """Ask for a reply under a key."""
        self._began[key] = time.monotonic()
        self._engine.submit(key, request)

    def step(self) -> list[tuple[str, Reply]]:
        """The keys and replies that have ended."""
        ended = self._engine.step()
        now = time.monotonic()
        for key, reply in ended:
            self.spans.append(Span(self._began.pop(key), now, reply.prompt_tokens, reply.completion_tokens))
        return ended

    def usage(self) -> Usage:
        """What the engine took since this was last called."""
        found = self._engine.usage()
        self.hardware = found.hardware or self.hardware
        return found

    def close(self) -> None:
        """End it."""
        self._engine.close()


class TimedGeneration(CachedGeneration):
    """Generation that keeps a stopwatch on its engine; without one nothing was missing."""

    stopwatch: Stopwatch | None = None

    @contextmanager
    def running_engine(self) -> Iterator[Engine]:
        """Start the engine behind a stopwatch."""
        with super().running_engine() as engine:
            self.stopwatch = Stopwatch(engine)
            yield self.stopwatch


def most_at_once(spans: list[Span]) -> int:
    """The most requests that were under way at one time."""
    return max((running for _, running in levels(spans)), default=0)


def levels(spans: list[Span]) -> list[tuple[float, int]]:
    """Each moment at which a request began or ended, and how many were under way until then."""
    events = sorted([(span.began, 1) for span in spans] + [(span.ended, -1) for span in spans])
    found, running = [], 0
    for moment, change in events:
        found.append((moment, running))
        running += change
    return found


def busy_part(spans: list[Span]) -> Pace:
    """The tokens and seconds from the first request until fewer than BUSY_SHARE of the most at once are under way.

    A prompt counts when its request begins. Of a reply that ends later its share by time counts, as if its tokens came
    evenly; they come faster when fewer run, so this says a little too much.
    """
    at_once = most_at_once(spans)
    until = max((moment for moment, running in levels(spans) if running and running >= BUSY_SHARE * at_once), default=0)
    within = [span for span in spans if span.began < until]
    tokens = sum(span.prompt_tokens + span.completion_tokens * done(span, until) for span in within)
    return Pace(at_once, tokens, until - min((span.began for span in within), default=until))


def done(span: Span, until: float) -> float:
    """The share of a request's time that had passed by a moment after its beginning."""
    return 1.0 if span.ended <= until else (until - span.began) / (span.ended - span.began)
