"""What a long run will take, from a sample of its conversations: tokens by strata, time, GPU-hours, money."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

import numpy as np

from commands.pilot.forecasting.pace import Pace
from commands.pilot.job import PromptSize
from stages.lib.core.types import Floats
from stages.lib.engines.request import RequestConfig
from stages.lib.generation.costs import Range
from stages.lib.records.responses import UNANSWERED, Turn, count_tokens

MIN_ROWS = 10  # of the sample, in a stratum


class SampledPrompt(NamedTuple):
    """A prompt of the sample, and the turns that were answered."""

    size: PromptSize
    answered: Sequence[Turn]

    @property
    def tokens(self) -> tuple[int, int]:
        """The conversation's tokens in and out, over its turns."""
        return count_tokens(self.answered, "prompt_tokens"), count_tokens(self.answered, "completion_tokens")


class TokenRates(NamedTuple):
    """How texts become tokens: means over a sample."""

    per_byte: float  # of a first prompt, with all that the chat template adds
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


def forecast_tokens(
    sample: Sequence[SampledPrompt], missing: Iterable[PromptSize], config: RequestConfig
) -> tuple[TokenForecast, TokenForecast]:
    """Predict the tokens in and out of missing conversations.

    What each prompt takes is estimated from its bytes and number of turns, and corrected in each stratum of numbers of
    turns by the sample's ratio of tokens to estimates: the separate ratio estimator, with its standard error
    (Cochran 1977, eq. 6.44 and 6.46).
    """
    rates = measure_rates(sample)
    strata = merge_strata(Counter(len(row.size.users) for row in sample))
    observed: dict[int, list[tuple[int, int]]] = {}
    estimated: dict[int, list[tuple[float, float]]] = {}
    for row in sample:
        stratum = find_stratum(len(row.size.users), strata)
        observed.setdefault(stratum, []).append(row.tokens)
        estimated.setdefault(stratum, []).append(estimate_tokens(row.size, rates, config))
    to_do: dict[int, list[tuple[float, float]]] = {}
    for size in missing:
        to_do.setdefault(find_stratum(len(size.users), strata), []).append(estimate_tokens(size, rates, config))
    parts = [scale(observed[each], estimated[each], to_do[each]) for each in sorted(to_do)]
    totals, squares = (sum((part[n] for part in parts), start=np.zeros(2)) for n in range(2))
    prompt, completion = (TokenForecast(float(totals[n]), float(2 * np.sqrt(squares[n]))) for n in range(2))
    return prompt, completion


def scale(
    observed: Sequence[tuple[int, int]], estimated: Sequence[tuple[float, float]], to_do: Sequence[tuple[float, float]]
) -> tuple[Floats, Floats]:
    """Scale the estimates of a stratum by its ratio: return the tokens in and out, and their squared standard errors.

    One conversation tells nothing of the spread: its error counts as half of the tokens.
    """
    tokens, estimates, wanted = (np.array(each, dtype=float) for each in (observed, estimated, to_do))
    ratios = tokens.sum(axis=0) / np.maximum(estimates.sum(axis=0), 1.0)
    totals = ratios * wanted.sum(axis=0)
    if len(tokens) < 2:
        return totals, (totals / 2) ** 2
    residuals = tokens - ratios * estimates
    return totals, len(wanted) ** 2 * (residuals**2).sum(axis=0) / (len(tokens) - 1) / len(tokens)


def merge_strata(counts: Mapping[int, int]) -> list[int]:
    """Return the least number of turns of each stratum, given the rows of the sample by theirs.

    Neighbouring numbers of turns are merged until a stratum has MIN_ROWS rows.
    """
    strata, rows = [0], 0
    for num_turns in sorted(counts):
        if rows >= MIN_ROWS and sum(number for turns, number in counts.items() if turns >= num_turns) >= MIN_ROWS:
            strata.append(num_turns)
            rows = 0
        rows += counts[num_turns]
    return strata


def find_stratum(num_turns: int, strata: Sequence[int]) -> int:
    """Return the stratum of a number of turns."""
    return max(least for least in strata if least <= num_turns)


def measure_rates(sample: Sequence[SampledPrompt]) -> TokenRates:
    """Measure how texts become tokens, on first prompts and on all replies; zero where nothing was answered."""
    first = [row for row in sample if row.answered and is_answered(row.answered[0])]
    replies = [turn["completion_tokens"] for row in sample for turn in row.answered if is_answered(turn)]
    num_bytes = sum(row.size.users[0] for row in first)
    tokens = sum(row.answered[0]["prompt_tokens"] for row in first)
    return TokenRates(tokens / max(num_bytes, 1), fmean(replies) if replies else 0.0)


def is_answered(turn: Turn) -> bool:
    """Tell whether a turn was answered."""
    return turn["finish_reason"] not in UNANSWERED


def estimate_tokens(size: PromptSize, rates: TokenRates, config: RequestConfig) -> tuple[float, float]:
    """Estimate the tokens in and out of a prompt, turn by turn up to the model's window."""
    chat = prompt_tokens = completion_tokens = 0.0
    for user, reference in zip(size.users, size.references, strict=True):
        message = rates.per_byte * user
        chat += message
        if config.trim == "oldest":
            chat = min(chat, max(config.window - config.max_tokens, message))
        if chat >= config.window:
            break
        reply = min(rates.reply, config.window - chat)
        prompt_tokens += chat
        completion_tokens += reply
        chat += reply if config.history == "own" else rates.per_byte * reference
    return prompt_tokens, completion_tokens


def per_1000_kept(cost: Range | None, conversations: int, share: Range) -> Range | None:
    """Return what 1,000 kept conversations take, given what so many take and the share of them that is kept.

    The range is that of both. None for an unknown cost, no conversation, or a share that may be 0.
    """
    if cost is None or not conversations or not share[0]:
        return None
    return 1000 * cost[0] / conversations / share[1], 1000 * cost[1] / conversations / share[0]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the conversations that are not in the store will take."""

    missing: int  # conversations
    conversations: int  # of the full run
    prompt: TokenForecast
    completion: TokenForecast
    hardware: str
    other_hardware: int  # rows of the store from other hardware, which do not count for the speed
    pace: Pace
    replicas: int  # engines side by side
    overall_rate: float  # tokens in and out per second of one engine, over all its time; 0: unknown
    wall: Range | None  # seconds
    gpu_hours: Range | None
    money: Range | None
    store_bytes: float  # of the full run
    responses_bytes: float
