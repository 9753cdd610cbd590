"""Watching a run of Evalchemy: how many verdicts are in, what the judge has used, and whether the run still moves."""

import time
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from stages.lib.core.types import Json
from stages.lib.evaluation.protocol import ANSWERED, REQUESTED, read_events
from stages.lib.settings.runtime import Runtime


class Stalled(ValueError):
    """A run that has made no progress for too long."""


class Watchdog:
    """Moves a progress bar with the judge's answers, and raises Stalled when a run makes no progress."""

    def __init__(self, events_path: Path, log_path: Path, runtime: Runtime, bar: "tqdm[None]") -> None:
        self._events_path = events_path
        self._log_path = log_path
        self._runtime = runtime
        self._bar = bar
        self._last_sign = (-1, -1)
        self._last_change = time.monotonic()

    def check(self) -> None:
        """Move the bar; raise Stalled when nothing has happened for too long.

        Before the first request to the judge, any output of Evalchemy is a sign of life; then, only an answer.
        """
        counts = Counter(event["event"] for event in read_events(self._events_path))
        requested, answered = counts[REQUESTED], counts[ANSWERED]
        sign = (1, answered) if requested else (0, self._log_path.stat().st_size)
        if sign != self._last_sign:
            self._bar.update(answered - self._bar.n)
            self._last_sign, self._last_change = sign, time.monotonic()
        limit = self._runtime.stall_seconds if requested else self._runtime.start_seconds
        if time.monotonic() - self._last_change > limit:
            state = f"the judge had answered {answered} of {requested} requests, then nothing"
            raise Stalled(f"Evalchemy was ended: {state if requested else 'no output'} for {limit:.0f} s")


def usage_line(events: list[Json]) -> str:
    """Describe what the judge has used, in one line."""
    answers = [event for event in events if event["event"] == ANSWERED]
    read, written = (sum(each.get(name, 0) for each in answers) for name in ("prompt_tokens", "completion_tokens"))
    return f"the judge answered {len(answers)} requests: {read} tokens read, {written} written"
