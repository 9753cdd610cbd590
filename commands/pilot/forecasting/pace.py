"""How fast an engine answers, by how many conversations are under way: measured on a pilot, played for a long run.

A pilot begins with all its conversations and ends with a few long ones; a long run is full until its last ones. So the
pilot's tokens per second are not those of the run. Here all conversations under way share the engine, whose speed grows
with a power of their number (0: it does not grow, as on a CPU; 1: each is as fast as alone); the pilot tells the power.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from heapq import heappop, heappush
from itertools import islice
from math import ceil
from pathlib import Path

import numpy as np

from commands.pilot.forecasting.steady_state import Span, Stopwatch, running_counts
from commands.pilot.job import Job
from stages.lib.core.files import read_json, write_json
from stages.lib.core.types import Floats
from stages.lib.engines.vllm_runtime import describe_speed
from stages.lib.models.catalogue import Model
from stages.lib.settings.runtime import Runtime

POWERS = np.linspace(0, 1, 21)
MOST_PLAYED = 20_000  # conversations; a longer run is as fast
NOTE = "pace.json"  # in the store's folder: the pace of the largest pilot, which its rows cannot tell


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast an engine is."""

    at_once: int  # conversations under way on each engine at the beginning of the pilot
    power: float  # of the number under way, with which the engine's speed grows
    seconds: float  # for one token of a reply, of a conversation that runs alone
    start_seconds: float  # of the engine, before the first request
    replicas: int = 1  # of the engine, over which the pilot's conversations were spread


UNKNOWN = Pace(0, 0.0, 0.0, 0.0)


def measure_pace(spans: Sequence[Span], start_seconds: float, replicas: int = 1) -> Pace:
    """Measure the pace of a pilot: the power that explains best how long its replies took, and its own wall time.

    Replicas share its conversations evenly, so that the pace is that of one of them.
    """
    if not spans:
        return UNKNOWN
    counts = np.array(running_counts(spans), dtype=float)
    moments, running = counts[:, 0], counts[1:, 1]  # that run from each moment to the next
    power = fit_power(spans, moments, running)
    wall = moments[-1] - moments[0]
    works = Counter[str]()
    for span in spans:
        works[span.key] += span.completion_tokens
    at_once = ceil(running.max() / replicas)
    played = play(list(works.values())[::replicas], at_once, power)
    return Pace(at_once, power, float(wall / played) if played else 0.0, start_seconds, replicas)


def fit_power(spans: Sequence[Span], moments: Floats, running: Floats) -> float:
    """Return the power with which the requests' tokens are the most nearly in proportion to their share of the engine.

    While k are running, each gets k ** (power - 1) of the speed of one alone. Least squares over POWERS.
    """
    began, ended = (np.searchsorted(moments, [getattr(span, name) for span in spans]) for name in ("began", "ended"))
    tokens = np.array([span.completion_tokens for span in spans], dtype=float)
    errors = []
    for power in POWERS:
        steps = np.diff(moments) * np.maximum(running, 1.0) ** (power - 1)
        clock = np.concatenate([[0.0], np.cumsum(steps)])
        shares = clock[ended] - clock[began]
        scale = (tokens @ shares) / max(shares @ shares, 1e-12)
        errors.append(((tokens - scale * shares) ** 2).sum())
    return float(POWERS[int(np.argmin(errors))])


def play(works: Sequence[float], at_once: int, power: float) -> float:
    """Return how long conversations of these tokens take, in times of one token of a conversation that runs alone.

    `at_once` are under way, each of k at the speed k ** (power - 1); when one ends, the next begins.
    """
    waiting = iter(works)
    ends: list[float] = []  # on the clock of tokens that each running conversation has got
    clock = total = 0.0
    for work in islice(waiting, at_once):
        heappush(ends, work)
    while ends:
        running = len(ends)
        end = heappop(ends)
        total += (end - clock) * running ** (1 - power)
        clock = end
        for work in islice(waiting, 1):
            heappush(ends, clock + work)
    return total


def predict_seconds(pace: Pace, works: Sequence[float], num_missing: float, at_once: int) -> float:
    """Return how long the missing conversations take one engine, whose tokens are spread as `works` are; 0: unknown."""
    num_played = min(ceil(num_missing), MOST_PLAYED)
    played = [works[number % len(works)] for number in range(num_played)]
    return pace.seconds * play(played, at_once, pace.power) * num_missing / max(num_played, 1)


def largest_pace(job: Job, stopwatch: Stopwatch | None) -> tuple[Pace, str]:
    """Return the pace of this pilot or of an earlier, larger one on the same hardware; and the hardware.

    The larger one is kept in a note in the store.
    """
    note = job.store.folder / NOTE
    known = read_json(note) if note.exists() else {}
    conditions = timed_conditions(job)
    if stopwatch and stopwatch.spans:
        measured = measure_pace(stopwatch.spans, stopwatch.start_seconds, stopwatch.most_replicas)
        new = {"of": conditions, "hardware": stopwatch.hardware, "pace": asdict(measured)}
        is_other = any(known.get(key) != new[key] for key in ("of", "hardware"))
        if is_other or measured.at_once >= known["pace"]["at_once"]:
            write_json(note, new)
            return measured, stopwatch.hardware
    if known.get("of") == conditions:
        return Pace(**known["pace"]), known["hardware"]
    return UNKNOWN, ""


def timed_conditions(job: Job) -> list[object]:
    """Return what a pace depends on besides the hardware, as JSON holds it."""
    model, config = job.model, job.config
    runtime = job.settings.runtime
    limits = [config.max_tokens, config.window, config.sampling.model_dump(), runtime.max_concurrent]
    set_ones = [describe_speed(runtime), *([model.kv_cache_dtype] if model.kv_cache_dtype != "auto" else [])]
    return ["power", model.commit, model.quantization, model.dtype, *limits, *filter(None, set_ones)]


def count_replicas(runtime: Runtime, model: Model, in_pilot: int) -> int:
    """Return how many engines answer side by side: those of the params, or as many as fitted when the pilot ran."""
    if not runtime.ray.address or model.kind == "server":
        return 1
    return runtime.ray.replicas or in_pilot


def read_replicas(store: Path) -> int:
    """Return how many engines answered side by side in the pilot whose pace a store's folder holds; 1: not known."""
    note = store / NOTE
    return int(read_json(note)["pace"].get("replicas", 1)) if note.exists() else 1
