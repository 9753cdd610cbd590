"""Style, length and cost of two compared models."""

from collections.abc import Iterator
from pathlib import Path

from commands.compare.lines import Line, Unit, align_values, lines_of
from commands.compare.replies import count_replies
from commands.compare.sides import Side
from stages.lib.core.pairs import Pair
from stages.lib.core.types import Floats, Json, Row
from stages.lib.records.shards import read_rows
from stages.lib.settings.sections import Differences, Parser

MARKUP, WORDS = "Markdown per answer", "words per answer"
FAMILY = "style"
COSTS = {  # of metrics/throughput.json: names on the page
    "tokens_per_second": "tokens per second",
    "valid_tokens_per_second": "tokens of kept replies per second",
    "seconds_per_1000_conversations": "seconds per 1,000 conversations",
    "seconds_per_1000_kept": "seconds per 1,000 kept conversations",
    "money_per_1000_kept": "money per 1,000 kept conversations",
}


def read_answers(sides: tuple[Side, Side]) -> tuple[list[list[Row]], int]:
    """Read the answers of both sides to the same questions; return them and how many questions were left out.

    Questions that only one side has, or that ask something else on the other, are left out.
    """
    rows = [
        {row["question_id"]: row for row in read_rows(side.out("models", "answers"), ["question_id", "turns"])}
        for side in sides
    ]
    one, other = rows
    same = [key for key in one if key in other and asks(one[key]) == asks(other[key])]
    return [[answers[key] for key in same] for answers in rows], len({**one, **other}) - len(same)


def asks(row: Row) -> str:
    """Return the first message of the user."""
    return row["turns"][0]["user"] if row["turns"] else ""


def compare_style(pair: Pair, answers: list[list[Row]], parser: Parser, settings: Differences) -> list[Line]:
    """Compare the Markdown elements and the words of answers to the same questions."""
    one, other = (count_replies(rows, "question_id", parser) for rows in answers)
    rows = {
        MARKUP: align_values(pair, one.markup, other.markup),
        WORDS: align_values(pair, one.words, other.words),
    }
    margins = {MARKUP: settings.margin_markup, WORDS: settings.margin_length * mean_of(rows[WORDS].scores)}
    units: dict[str, Unit] = dict.fromkeys(rows, "number")
    return lines_of(rows, pair, margins, units, settings, FAMILY, dict.fromkeys(rows, "questions"))


def mean_of(scores: Floats) -> float:
    """Return the mean over both models, of which a margin is a share; 0 for none."""
    return float(scores.mean()) if scores.size else 0.0


def read_costs(sides: tuple[Side, Side]) -> list[Json]:
    """Return what the conversations of each side took, as cells with `value` and `ci95`; without it, where unknown.

    Only DGMs whose throughput was measured have costs. Of a number that is not a mean there is no interval.
    """
    one, other = (read_throughput(side) for side in sides)
    costs: list[Json] = [
        {"name": title, "one": to_cost(one.get(name)), "other": to_cost(other.get(name))}
        for name, title in COSTS.items()
    ]
    return [cost for cost in costs if cost["one"]["value"] is not None or cost["other"]["value"] is not None]


def to_cost(cost: float | Json | None) -> Json:
    """Return a number of metrics/throughput.json as a cell."""
    return cost if isinstance(cost, dict) else {"value": cost, "ci95": None}


def describe_hardware(sides: tuple[Side, Side]) -> Iterator[str]:
    """Say on which hardware the conversations of each side were generated, where it is known."""
    names = {side.name: ", ".join(read_throughput(side).get("hardware") or []) for side in sides}
    known = {name: hardware for name, hardware in names.items() if hardware}
    if len(set(known.values())) == 1 and len(known) == len(names):
        yield f"Both were generated on {next(iter(known.values()))}."
    elif known:
        yield f"Generated on {'; '.join(f'{hardware} ({name})' for name, hardware in known.items())}."


def read_throughput(side: Side) -> Json:
    """Return the entry of a side in metrics/throughput.json; empty where it is not a DGM that was measured."""
    metrics: Json = side.source.metric(Path("metrics/throughput.json")) or {}
    return (metrics.get("dgms") or {}).get(side.model) or {}
