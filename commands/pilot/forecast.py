"""What a long run will take, from a sample of its conversations: tokens by strata, time, GPU-hours, money."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from statistics import fmean, variance
from typing import NamedTuple

from commands.pilot.steady_state import SteadyState
from stages.lib.engines.request import RequestConfig
from stages.lib.generation.costs import Range
from stages.lib.records.responses import Turn

MIN_ROWS = 3  # of the sample, for a number of turns to have a mean of its own


class SampledPrompt(NamedTuple):
    """A prompt of the sample: its number of turns, and the turns that were answered."""

    num_turns: int
    answered: Sequence[Turn]

    def tokens(self, kind: str) -> int:
        """Sum the conversation's tokens of a kind, `prompt_tokens` or `completion_tokens`, over its turns."""
        return sum(turn[kind] for turn in self.answered)  # type: ignore[literal-required]


class TokenGrowth(NamedTuple):
    """How conversations grow, in tokens: means over a sample."""

    first_prompt: float  # of the first turn
    step: float  # by which the prompt of a turn is longer than that of the turn before
    reply: float


@dataclass(frozen=True, slots=True)
class TokenForecast:
    """Predicted tokens of one kind, and how far off they may be by chance: two standard errors."""

    tokens: float
    error: float

    @property
    def percent(self) -> float:
        """The error in percent of the tokens."""
        return 100 * self.error / self.tokens if self.tokens else 0.0


def group_by_turns(sample: Sequence[SampledPrompt]) -> dict[int, list[SampledPrompt]]:
    """Group a sample by the number of turns; leave out groups with fewer than MIN_ROWS rows."""
    strata: dict[int, list[SampledPrompt]] = defaultdict(list)
    for row in sample:
        strata[row.num_turns].append(row)
    return {turns: rows for turns, rows in strata.items() if len(rows) >= MIN_ROWS}


def forecast_tokens(
    sample: Sequence[SampledPrompt], missing: Counter[int], kind: str, config: RequestConfig
) -> TokenForecast:
    """Predict the tokens of missing conversations, counted by number of turns: each stratum's mean times its count.

    The error is that of stratified sampling, sum of N^2 s^2 / n (Cochran 1977, eq. 5.7). A stratum with fewer than
    MIN_ROWS rows is extrapolated from the sample's growth instead, and adds nothing to the error.
    """
    strata, growth = group_by_turns(sample), measure_growth(sample)
    tokens = squares = 0.0
    for num_turns, count in missing.items():
        if num_turns in strata:
            values = [row.tokens(kind) for row in strata[num_turns]]
            tokens += count * fmean(values)
            squares += count**2 * variance(values) / len(values)
        else:
            tokens += count * extrapolate(num_turns, growth, config)[kind]
    return TokenForecast(tokens, 2 * sqrt(squares))


def count_extrapolated(sample: Sequence[SampledPrompt], missing: Counter[int]) -> int:
    """Count the missing conversations whose number of turns is too rare in the sample to have a mean of its own."""
    strata = group_by_turns(sample)
    return sum(count for num_turns, count in missing.items() if num_turns not in strata)


def measure_growth(sample: Sequence[SampledPrompt]) -> TokenGrowth:
    """Measure how conversations grow. Without a second turn anywhere, a turn adds a prompt and a reply."""
    first = [row.answered[0]["prompt_tokens"] for row in sample if row.answered]
    replies = [turn["completion_tokens"] for row in sample for turn in row.answered]
    steps = [b["prompt_tokens"] - a["prompt_tokens"] for row in sample for a, b in pairwise(row.answered)]
    mean_first, mean_reply = mean(first), mean(replies)
    return TokenGrowth(mean_first, fmean(steps) if steps else mean_first + mean_reply, mean_reply)


def mean(values: Sequence[float]) -> float:
    """Return the mean; 0 for no values."""
    return fmean(values) if values else 0.0


def extrapolate(num_turns: int, growth: TokenGrowth, config: RequestConfig) -> dict[str, float]:
    """Predict the tokens of a conversation of that many turns, turn by turn up to the model's window."""
    prompt_tokens = completion_tokens = 0.0
    for number in range(num_turns):
        prompt = growth.first_prompt + number * growth.step
        if config.trim == "oldest":
            prompt = min(prompt, max(config.window - config.max_tokens, growth.first_prompt))
        if prompt >= config.window:
            break
        prompt_tokens += prompt
        completion_tokens += min(growth.reply, config.window - prompt)
    return {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}


def wall_time(tokens: float, rates: Sequence[float]) -> Range | None:
    """Return the least and the most seconds for tokens at these rates per second; None when no rate is known."""
    known = [rate for rate in rates if rate > 0]
    return (tokens / max(known), tokens / min(known)) if known else None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the conversations that are not in the store will take."""

    missing: int  # conversations
    conversations: int  # of the full run
    extrapolated: int  # missing conversations with a number of turns that is too rare in the pilot
    prompt: TokenForecast
    completion: TokenForecast
    hardware: str
    other_hardware: int  # rows of the store from other hardware, which do not count for the speed
    steady_state: SteadyState
    overall_rate: float  # tokens in and out per second over all wall time; 0: unknown
    wall: Range | None  # seconds
    gpu_hours: Range | None
    money: Range | None
    store_bytes: float  # of the full run
    responses_bytes: float
