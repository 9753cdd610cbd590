"""The pilot on the screen: a block for each DGM, a table of all, and what the numbers mean."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from commands.pilot.forecast import MIN_ROWS, Forecast, Total
from commands.pilot.quality import Quality, distinct
from commands.pilot.throughput_sample import BUSY_SHARE
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


@dataclass(frozen=True, slots=True)
class Piloted:
    """What the pilot of one DGM found."""

    dgm: str
    name: str
    quality: Quality
    kept: int  # conversations
    reasons: Counter[str]  # of the verdicts
    dropping: set[str]  # those of them that drop a conversation
    examples: dict[str, list[str]]  # conversations by reason
    gate: str  # why it would stop the pipeline; empty: it would not
    forecast: Forecast
    warnings: list[str]
    example: list[str]  # the first conversation, as lines


def reasons(found: Piloted) -> Iterator[str]:
    """Every reason with its count and three examples, the most frequent first."""
    for reason, number in found.reasons.most_common():
        named = ", ".join(name[:12] for name in found.examples[reason][:3])
        kept = "" if reason in found.dropping else "; reported only"
        yield f"{reason} {number} ({named}{kept})"


def block(found: Piloted) -> list[str]:
    """What a pilot found, as lines."""
    quality = found.quality
    lines = [
        ("verdicts", f"{found.kept} of {quality.conversations} kept; `gate` would {'stop' if found.gate else 'pass'}"),
        *(("", line) for line in reasons(found)),
        (
            "replies",
            f"{quality.share(quality.tokens):.0f} tokens, {quality.share(quality.chars):.0f} characters on average",
        ),
        ("", f"{quality.share(quality.cut):.1%} cut at the limit, {quality.share(quality.refusals):.1%} refusals"),
        ("languages", f"prompts: {format_shares(quality.asked)}; replies: {format_shares(quality.answered)}"),
        *forecast_lines(found.forecast),
        *(("warning", line) for line in found.warnings),
        *(("example" if number == 0 else "", line) for number, line in enumerate(found.example)),
    ]
    page = [f"{found.dgm}: {found.name}", *(f"  {label:<10}{line}".rstrip() for label, line in lines)]
    return [escape_unprintable(line, len(line)) for line in page]  # names and languages are data of others too


def forecast_lines(forecast: Forecast) -> Iterator[tuple[str, str]]:
    """What the rest will take, as labelled lines."""
    if not forecast.todo:
        yield "to do", f"nothing: the store holds all {forecast.of} conversations"
    else:
        yield "to do", f"{forecast.todo} of {forecast.of} conversations; the others are in the store"
        yield "tokens", f"{tokens(forecast.prompt)} in, {tokens(forecast.completion)} out"
        if forecast.grown:
            yield "", f"{forecast.grown} of them ask for a number of turns that fewer than {MIN_ROWS} here asked for"
        yield (
            "time",
            f"{format_range(forecast.wall, format_duration)} on {forecast.hardware or 'a machine without a name'}",
        )
        yield from (("", line) for line in speeds(forecast))
        if forecast.gpu_hours:
            yield "GPU-hours", format_range(forecast.gpu_hours, format_digits)
        if forecast.money:
            yield "money", format_range(forecast.money, format_digits)
    yield (
        "disk",
        f"{format_bytes(forecast.store_bytes)} in the store, {format_bytes(forecast.responses_bytes)} in data/, "
        f"for all {forecast.of}",
    )


def tokens(total: Total) -> str:
    """A predicted number of tokens, with its error."""
    return f"{format_count(total.tokens)} (± {total.percent:.0f} %)"


def speeds(forecast: Forecast) -> Iterator[str]:
    """The tokens per second behind a range of times."""
    if forecast.pace.tokens_per_second:
        yield (
            f"at {format_count(forecast.pace.tokens_per_second)} tokens/s, in and out, while at least "
            f"{BUSY_SHARE:.0%} of {forecast.pace.at_once} requests were under way"
        )
    if forecast.whole_rate:
        rate = format_count(forecast.whole_rate)
        yield f"at {rate} tokens/s over all that is in the store, slow ends of runs included"
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


def compare(pilots: Sequence[Piloted]) -> list[str]:
    """All DGMs in one table, and their sums."""
    number = min(found.quality.num_words for found in pilots)
    rows = [HEAD, *(table_row(found, number) for found in pilots)]
    if len(pilots) > 1:
        rows.append(sums([found.forecast for found in pilots]))
    return [
        *align_columns(rows),
        f"distinct-1 and -2: different words and pairs of words, as shares of the first {number} words of each DGM",
    ]


def table_row(found: Piloted, number: int) -> tuple[str, ...]:
    """One DGM's row of the table."""
    quality, forecast = found.quality, found.forecast
    return (
        found.dgm,
        f"{found.kept / quality.conversations:.1%}",
        "stop" if found.gate else "pass",
        f"{quality.share(quality.refusals):.1%}",
        f"{quality.share(quality.cut):.1%}",
        f"{quality.share(quality.tokens):.0f}",
        f"{distinct(quality.words, 1, number):.3f}",
        f"{distinct(quality.words, 2, number):.3f}",
        format_count(forecast.todo),
        *spent([forecast]),
    )


def sums(forecasts: Sequence[Forecast]) -> tuple[str, ...]:
    """The last row: all DGMs, one after the other."""
    return ("all", *[""] * 7, format_count(sum(forecast.todo for forecast in forecasts)), *spent(forecasts))


def spent(forecasts: Sequence[Forecast]) -> list[str]:
    """Time, GPU-hours, money and disk of some forecasts together; what is not known of one is not known of all."""
    walls, hours, prices = (
        added([getattr(forecast, name) for forecast in forecasts]) for name in ("wall", "gpu_hours", "money")
    )
    disk = sum(forecast.store_bytes + forecast.responses_bytes for forecast in forecasts)
    return [
        format_range(walls, format_duration),
        format_range(hours, format_digits),
        format_range(prices, format_digits),
        format_bytes(disk),
    ]


def added(ranges: Sequence[Range | None]) -> Range | None:
    """The sum of ranges."""
    known = [found for found in ranges if found]
    return (sum(low for low, _ in known), sum(high for _, high in known)) if len(known) == len(ranges) else None


def notes(number: int, runtime: Runtime) -> list[str]:
    """What the numbers mean."""
    return [
        f"The pilot asks the first {number} of data/prompts, which are in the order of a keyed hash: a random sample.",
        "Tokens: the pilot's mean for each number of turns, times the prompts with so many; ± is two standard errors.",
        f"A number of turns with fewer than {MIN_ROWS} conversations here is grown turn by turn from the means of all",
        "turns, up to the window, and has no part in ±.",
        "Time: from the speed of the busy part to that with the slow end of each run, when the last long replies run",
        f"alone. A GPU that is kept full ({runtime.max_concurrent} conversations at once) can be faster than a pilot",
        "shows: the time of a long run is nearer to the first number, or under it. The engine's start is not in it.",
        "GPU-hours: time times tensor_parallel; none on a CPU.",
        "Money: GPU-hours times throughput.price_per_gpu_hour, in the price's currency.",
        "Disk: .dvc/store, and data/responses with data/ledger, for all prompts. DVC's cache shares the bytes of data/",
        "where the file system has reflinks or hard links; elsewhere count data/ twice. Verdicts and mixes are not in.",
    ]
