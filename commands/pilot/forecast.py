"""What a long run will take, from a sample of its conversations: tokens by strata, time, GPU-hours, money."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from statistics import fmean, variance
from typing import NamedTuple

from commands.pilot.throughput_sample import Pace
from stages.lib.engines.request import RequestConfig
from stages.lib.generation.costs import Range
from stages.lib.records.responses import Turn

MIN_ROWS = 3  # of the sample, until a number of turns has a mean of its own


class Sampled(NamedTuple):
    """One answered prompt of the sample: how many turns it asks, and those that were answered."""

    asked: int
    answered: Sequence[Turn]

    def tokens(self, kind: str) -> int:
        """The conversation's tokens: `prompt_tokens` or `completion_tokens` of all its turns."""
        return sum(turn[kind] for turn in self.answered)  # type: ignore[literal-required]


class Shape(NamedTuple):
    """How conversations grow, in tokens: means over a sample."""

    first: float  # the prompt of the first turn
    step: float  # what the prompt of a turn has more than that of the turn before
    reply: float


@dataclass(frozen=True, slots=True)
class Total:
    """Predicted tokens of one kind, and how far off they may be by chance: two standard errors."""

    tokens: float
    error: float

    @property
    def percent(self) -> float:
        """The error in percent of the tokens."""
        return 100 * self.error / self.tokens if self.tokens else 0.0


def by_turns(sample: Sequence[Sampled]) -> dict[int, list[Sampled]]:
    """The sample by the number of turns asked; only strata with MIN_ROWS or more."""
    strata: dict[int, list[Sampled]] = defaultdict(list)
    for row in sample:
        strata[row.asked].append(row)
    return {turns: rows for turns, rows in strata.items() if len(rows) >= MIN_ROWS}


def total(sample: Sequence[Sampled], todo: Counter[int], kind: str, config: RequestConfig) -> Total:
    """Tokens of `todo` (conversations by number of turns): each stratum's mean times its count, summed.

    The error is that of stratified sampling, sum of N^2 s^2 / n (Cochran 1977, eq. 5.7). A stratum with fewer than
    MIN_ROWS rows is grown from the sample's shape instead, and adds nothing to the error.
    """
    strata, shape = by_turns(sample), shape_of(sample)
    tokens = squares = 0.0
    for turns, count in todo.items():
        if turns in strata:
            found = [row.tokens(kind) for row in strata[turns]]
            tokens += count * fmean(found)
            squares += count**2 * variance(found) / len(found)
        else:
            tokens += count * grown(turns, shape, config)[kind]
    return Total(tokens, 2 * sqrt(squares))


def num_grown(sample: Sequence[Sampled], todo: Counter[int]) -> int:
    """How many conversations of `todo` are in strata that the sample cannot speak for."""
    strata = by_turns(sample)
    return sum(count for turns, count in todo.items() if turns not in strata)


def shape_of(sample: Sequence[Sampled]) -> Shape:
    """How the conversations of a sample grow. Without a second turn anywhere, a turn adds a prompt and a reply."""
    first = [row.answered[0]["prompt_tokens"] for row in sample if row.answered]
    replies = [turn["completion_tokens"] for row in sample for turn in row.answered]
    steps = [b["prompt_tokens"] - a["prompt_tokens"] for row in sample for a, b in pairwise(row.answered)]
    mean_first, mean_reply = mean(first), mean(replies)
    return Shape(mean_first, fmean(steps) if steps else mean_first + mean_reply, mean_reply)


def mean(values: Sequence[float]) -> float:
    """The mean; 0 of none."""
    return fmean(values) if values else 0.0


def grown(turns: int, shape: Shape, config: RequestConfig) -> dict[str, float]:
    """The tokens of a conversation of so many turns, turn by turn up to the model's window."""
    prompt = completion = 0.0
    for number in range(turns):
        asked = shape.first + number * shape.step
        if config.trim == "oldest":
            asked = min(asked, max(config.window - config.max_tokens, shape.first))
        if asked >= config.window:
            break
        prompt += asked
        completion += min(shape.reply, config.window - asked)
    return {"prompt_tokens": prompt, "completion_tokens": completion}


def seconds(tokens: float, rates: Sequence[float]) -> Range | None:
    """The least and the most wall time of so many tokens at these rates per second; None when none is known."""
    known = [rate for rate in rates if rate > 0]
    return (tokens / max(known), tokens / min(known)) if known else None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the conversations that are not in the store will take."""

    todo: int  # conversations
    of: int
    grown: int  # of `todo`, in strata that the pilot cannot speak for
    prompt: Total
    completion: Total
    hardware: str
    other_hardware: int  # rows of the store that say nothing of the speed
    pace: Pace
    whole_rate: float  # tokens in and out per second over all wall time; 0: not known
    wall: Range | None  # seconds
    gpu_hours: Range | None
    money: Range | None
    store_bytes: float  # of the full run
    responses_bytes: float
