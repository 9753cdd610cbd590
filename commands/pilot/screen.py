"""The pilot on the screen: a block for each DGM, a table of all, and what the numbers mean."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap

from commands.pilot.forecasting.forecast import MIN_ROWS, Forecast, TokenForecast, per_1000_kept
from commands.pilot.quality import Quality, distinct
from stages.lib.console.formats import (
    align_columns,
    format_bytes,
    format_count,
    format_digits,
    format_duration,
    format_range,
    format_shares,
)
from stages.lib.core.text import escape_unprintable
from stages.lib.generation.costs import Range
from stages.lib.settings.runtime import Runtime
from stages.lib.statistics.intervals import share_interval
from stages.lib.suitability.kept_chats import Chats

LINE_CHARS = 112
MOST_PERCENT = 15  # off by chance, above which the pilot asks for more conversations


@dataclass(frozen=True, slots=True)
class PilotResult:
    """The result of the pilot of one DGM."""

    dgm: str
    name: str
    quality: Quality
    kept: int  # conversations
    reasons: Counter[str]  # of the verdicts
    dropping: set[str]  # the reasons that drop a conversation
    examples: dict[str, list[str]]  # conversation hashes by reason
    gate: str  # why it would stop the pipeline; empty: it would not
    forecast: Forecast
    warnings: list[str]
    example: list[str]  # the first conversation, as lines
    chats: Chats  # those that are kept


def reason_lines(result: PilotResult) -> Iterator[str]:
    """Yield each reason with its count and three examples, the most frequent first."""
    for reason, number in result.reasons.most_common():
        examples = ", ".join(name[:12] for name in result.examples[reason][:3])
        note = "" if reason in result.dropping else "; reported only"
        yield f"{reason} {number} ({examples}{note})"


def format_block(result: PilotResult) -> list[str]:
    """Format the result of one DGM as lines."""
    lines = [
        *quality_lines(result),
        *forecast_lines(result.forecast),
        *kept_lines(result),
        *(("warning", line) for line in result.warnings),
        *(("example" if number == 0 else "", line) for number, line in enumerate(result.example)),
    ]
    block = [f"{result.dgm}: {result.name}", *(f"  {label:<10}{line}".rstrip() for label, line in lines)]
    return [escape_unprintable(line, len(line)) for line in block]  # names and languages are other people's data


def quality_lines(result: PilotResult) -> Iterator[tuple[str, str]]:
    """Yield verdicts, replies and languages as labelled lines."""
    quality, gate = result.quality, "stop" if result.gate else "pass"
    yield "verdicts", f"{result.kept} of {quality.conversations} kept; `gate` would {gate}"
    yield from (("", line) for line in reason_lines(result))
    tokens, chars = quality.share(quality.tokens), quality.share(quality.chars)
    yield "replies", f"{tokens:.0f} tokens, {chars:.0f} characters on average"
    yield "", f"{quality.share(quality.cut):.1%} cut at the limit, {quality.share(quality.refusals):.1%} refusals"
    prompts, replies = format_shares(quality.prompt_languages), format_shares(quality.reply_languages)
    yield "languages", f"prompts: {prompts}; replies: {replies}"


def forecast_lines(forecast: Forecast) -> Iterator[tuple[str, str]]:
    """Yield what the missing conversations will take, as labelled lines."""
    total = forecast.conversations
    if not forecast.missing:
        yield "to do", f"nothing: the store holds all {total} conversations"
    else:
        yield "to do", f"{forecast.missing} of {total} conversations; the others are in the store"
        yield "tokens", f"{format_tokens(forecast.prompt)} in, {format_tokens(forecast.completion)} out"
        if (worst := max(forecast.prompt.percent, forecast.completion.percent)) > MOST_PERCENT:
            yield "", f"± is above {MOST_PERCENT} %: ask {(worst / MOST_PERCENT) ** 2:.1f} times as many with -n"
        hardware = forecast.hardware or "unknown hardware"
        hardware = f"{forecast.replicas} replicas, each on {hardware}" if forecast.replicas > 1 else hardware
        yield "time", f"{format_range(forecast.wall, format_duration)} on {hardware}"
        yield from (("", line) for line in speed_lines(forecast))
        if forecast.gpu_hours:
            yield "GPU-hours", format_range(forecast.gpu_hours, format_digits)
        if forecast.money:
            yield "money", format_range(forecast.money, format_digits)
    store, responses = format_bytes(forecast.store_bytes), format_bytes(forecast.responses_bytes)
    yield "disk", f"{store} in the store, {responses} in data/, for all {total}"


def kept_lines(result: PilotResult) -> Iterator[tuple[str, str]]:
    """Yield what 1,000 kept conversations will take, as a labelled line, where a time is known."""
    forecast = result.forecast
    low, high = share_interval(result.kept, result.quality.conversations) or (0.0, 1.0)
    share = (low, high)
    wall, price = (per_1000_kept(cost, forecast.missing, share) for cost in (forecast.wall, forecast.money))
    if wall:
        costs = [
            format_range(wall, format_duration),
            *([f"money {format_range(price, format_digits)}"] if price else []),
        ]
        shares = format_range(share, "{:.1%}".format)
        yield "valid", f"{', '.join(costs)} for 1,000 kept conversations, as {shares} are kept"


def format_tokens(forecast: TokenForecast) -> str:
    """Format a predicted number of tokens with its error."""
    return f"{format_count(forecast.tokens)} (± {forecast.percent:.0f} %)"


def speed_lines(forecast: Forecast) -> Iterator[str]:
    """Yield what the time is made of."""
    if forecast.wall and sum(forecast.wall):
        predicted = 2 * (forecast.prompt.tokens + forecast.completion.tokens) / sum(forecast.wall)
        yield f"at {format_count(predicted)} tokens/s, in and out, over all of the run"
    if forecast.pace.start_seconds:
        yield f"the engine's start took {format_duration(forecast.pace.start_seconds)} and comes on top"
    if forecast.overall_rate:
        rate = format_count(forecast.overall_rate)
        each = " of each replica" if forecast.replicas > 1 else ""
        yield f"{rate} tokens/s{each} over all that is in the store, slow ends of runs included"
    if forecast.other_hardware:
        yield f"{forecast.other_hardware} conversations of the store ran on other hardware and do not count here"


HEAD = (
    "DGM",
    "kept",
    "gate",
    "refusals",
    "cut",
    "tokens/reply",
    "distinct-1",
    "distinct-2",
    "to do",
    "time",
    "GPU-hours",
    "money",
    "disk",
)


def format_table(results: Sequence[PilotResult]) -> list[str]:
    """Format all DGMs as one table with their sums."""
    num_words = min(result.quality.num_words for result in results)
    rows = [HEAD, *(table_row(result, num_words) for result in results)]
    if len(results) > 1:
        rows.append(sum_row([result.forecast for result in results]))
    return [
        *align_columns(rows),
        f"distinct-1 and -2: different words and pairs of words, as shares of the first {num_words} words of each DGM",
    ]


def table_row(result: PilotResult, num_words: int) -> tuple[str, ...]:
    """Format one DGM as a row of the table."""
    quality, forecast = result.quality, result.forecast
    return (
        result.dgm,
        f"{result.kept / quality.conversations:.1%}",
        "stop" if result.gate else "pass",
        f"{quality.share(quality.refusals):.1%}",
        f"{quality.share(quality.cut):.1%}",
        f"{quality.share(quality.tokens):.0f}",
        f"{distinct(quality.words, 1, num_words):.3f}",
        f"{distinct(quality.words, 2, num_words):.3f}",
        format_count(forecast.missing),
        *cost_cells([forecast]),
    )


def sum_row(forecasts: Sequence[Forecast]) -> tuple[str, ...]:
    """Format the last row: all DGMs, one after the other."""
    return ("all", *[""] * 7, format_count(sum(forecast.missing for forecast in forecasts)), *cost_cells(forecasts))


def cost_cells(forecasts: Sequence[Forecast]) -> list[str]:
    """Format time, GPU-hours, money and disk of some forecasts together; one unknown makes the sum unknown."""
    wall = add_ranges([forecast.wall for forecast in forecasts])
    hours = add_ranges([forecast.gpu_hours for forecast in forecasts])
    price = add_ranges([forecast.money for forecast in forecasts])
    disk = sum(forecast.store_bytes + forecast.responses_bytes for forecast in forecasts)
    return [
        format_range(wall, format_duration),
        format_range(hours, format_digits),
        format_range(price, format_digits),
        format_bytes(disk),
    ]


def add_ranges(ranges: Sequence[Range | None]) -> Range | None:
    """Add ranges; None when one is unknown."""
    known = [each for each in ranges if each]
    return (sum(low for low, _ in known), sum(high for _, high in known)) if len(known) == len(ranges) else None


def explanation(num_conversations: int, runtime: Runtime) -> list[str]:
    """Return what the numbers mean, as lines."""
    sections = (
        f"The pilot takes the first {num_conversations} of data/prompts, which are in keyed-hash order: a random "
        "sample.",
        "Tokens: estimated for each missing prompt from its bytes and turns, corrected by what the pilot's "
        f"conversations took, by number of turns (at least {MIN_ROWS} conversations together); ± is two standard "
        "errors. A prompt that never fits the window, or fails, counts nothing.",
        "Time: the missing conversations, played at the pilot's pace with "
        f"{runtime.max_concurrent} under way, to the slow end when the last long ones run alone; the range is that of "
        "the tokens. The pilot tells how the engine's speed grows with their number. The engine's start comes on top.",
        "GPU-hours: time times replicas times tensor_parallel; none on a CPU.",
        "Money: GPU-hours times throughput.price_per_gpu_hour, in the price's currency.",
        "Valid: time and money of the missing conversations for each 1,000 that are kept; the range is that of the "
        "tokens and of the share that is kept (95 %).",
        "Disk: .dvc/store, and data/responses with data/ledger, for all prompts. DVC's cache shares the bytes of data/ "
        "where the file system has reflinks or hard links; elsewhere count data/ twice. Verdicts and mixes are "
        "not included.",
    )
    return [line for section in sections for line in wrap(section, LINE_CHARS)]
