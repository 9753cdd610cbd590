"""One line of a comparison: a measure, its value of A and of B, and the difference with its verdict."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stages.lib.comparison.contrasts import contrast
from stages.lib.comparison.differences import add_verdict, compare_rows, correct
from stages.lib.comparison.score_rows import ScoreRows
from stages.lib.comparison.scores import bounded_score
from stages.lib.core.pairs import Pair, pair_key
from stages.lib.core.types import Json
from stages.lib.settings.sections import Differences
from stages.lib.statistics.intervals import SHARE
from stages.lib.statistics.verdicts import Verdict

Unit = Literal["share", "points", "number"]
Key = tuple[str, int]  # a question or conversation, and its turn, from 1
Values = Mapping[Key, float]


@dataclass(frozen=True)
class Line:
    """A measure of both models. Cells have `value` and `ci95`; that of the difference has the verdict too."""

    name: str
    unit: Unit
    one: Json
    other: Json
    difference: Json  # one less other; without a value where `reason` says why
    margin: float  # within which both are equivalent, in the measure's own unit
    family: str  # of the tests whose p values were corrected together
    counted: str = "rows"  # what would decide
    reason: str = ""

    @property
    def verdict(self) -> Verdict:
        """What the rows say of A."""
        return Verdict(self.difference.get("verdict", Verdict.NOT_DECIDED))

    @property
    def needed(self) -> int | None:
        """How many rows would decide; None where one cannot tell."""
        number: int | None = self.difference.get("rows_to_decide")
        return number if number and number > self.difference.get("n", 0) else None


def no_line(name: str, unit: Unit, reason: str, family: str) -> Line:
    """Build the line of a measure that has no difference, for a reason."""
    empty: Json = {"value": None, "ci95": None}
    return Line(name, unit, empty, empty, empty, 0.0, family, reason=reason)


def align_values(pair: Pair, one: Values, other: Values, *, is_share: bool = False, scale: float = 1.0) -> ScoreRows:
    """Align the values of two models on the turns that both have; turns of one question are a cluster."""
    keys = sorted(one.keys() & other.keys())
    questions = {question: number for number, question in enumerate(dict.fromkeys(key[0] for key in keys))}
    scores = np.array([[one[key], other[key]] for key in keys], float).reshape(-1, 2)
    return ScoreRows(
        pair,
        scores,
        np.full(len(keys), 1 / max(len(keys), 1)),
        np.array([questions[key[0]] for key in keys], np.int64),
        np.zeros(len(keys), np.int64),
        SHARE if is_share else (-1.0, float(scores.max(initial=0.0)) + 1),  # a count is never right or wrong
        scale,
    )


def mean_cell(rows: ScoreRows, model: str, unit: Unit) -> Json:
    """Return a model's mean over rows with its interval, which for shares and points lies within their scale."""
    made = contrast(rows, [model], np.ones((1, 1)), {})
    value, clusters = float(made.values[0]), float(made.clusters[0])
    if clusters < 2:
        return {"value": value, "ci95": None}
    if unit != "number":
        return {"value": value, "ci95": bounded_score(value, float(made.stderrs[0]), clusters, rows.bounds).ci95}
    return {"value": value, "ci95": [float(end) for end in made.ends[0]]}


def compare_values(rows: Mapping[str, ScoreRows], pair: Pair, settings: Differences) -> dict[str, Json]:
    """Compare two models in several measures, whose tests are one family; cells are without a verdict."""
    cells = {name: compare_rows(aligned, [pair], {}, settings)[pair_key(pair)] for name, aligned in rows.items()}
    correct(list(cells.values()))
    return cells


def lines_of(
    rows: Mapping[str, ScoreRows],
    pair: Pair,
    margins: Mapping[str, float],
    units: Mapping[str, Unit],
    settings: Differences,
    family: str,
    counted: Mapping[str, str],
) -> list[Line]:
    """Compare two models in several measures, whose tests are one family, each with its margin and what it counts."""
    cells = compare_values({name: aligned for name, aligned in rows.items() if len(aligned.scores)}, pair, settings)
    lines = []
    for name, unit in units.items():
        if name not in cells:
            lines.append(no_line(name, unit, "no row has a value of both", family))
            continue
        one, other = (mean_cell(rows[name], model, unit) for model in pair)
        cell = add_verdict(cells[name], margins[name])
        lines.append(Line(name, unit, one, other, cell, margins[name], family, counted[name]))
    return lines


FORMATS: dict[Unit, Callable[[float], str]] = {
    "share": lambda value: f"{value:.3f}",
    "points": lambda value: f"{value:.2f}",
    "number": lambda value: f"{value:,.{0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2}f}",
}


def format_value(value: float | None, unit: Unit, *, signed: bool = False) -> str:
    """Format a value; signed, with + or a minus sign before what is not 0."""
    if value is None:
        return "-"
    text = FORMATS[unit](value)
    if float(text.replace(",", "")) == 0:
        return text.removeprefix("-")
    return f"+{text}" if signed and value > 0 else text


def format_interval(ci95: Sequence[float] | None, unit: Unit, *, signed: bool = False) -> str:
    """Format an interval in brackets; empty where there is none."""
    if ci95 is None:
        return ""
    return f"[{', '.join(format_value(end, unit, signed=signed) for end in ci95)}]"


def format_with_interval(cell: Json, unit: Unit) -> str:
    """Format the value of a cell with its interval, where it has one."""
    return f"{format_value(cell['value'], unit)} {format_interval(cell['ci95'], unit)}".strip()


def format_p(p: float | None) -> str:
    """Format a p or q value."""
    return "-" if p is None else "<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def describe_better(line: Line, names: Sequence[str]) -> str:
    """Say in words which model is better in a measure."""
    if line.reason:
        return line.reason
    words = {
        Verdict.BETTER: f"{names[0]} is better",
        Verdict.WORSE: f"{names[1]} is better",
        Verdict.EQUIVALENT: "equivalent",
        Verdict.NOT_DECIDED: "not decided",
    }
    return words[line.verdict]


def describe_equal(line: Line) -> str:
    """Say in words whether two models differ in a measure that is neither good nor bad."""
    if line.reason:
        return line.reason
    return {Verdict.BETTER: "differs", Verdict.WORSE: "differs"}.get(line.verdict, str(line.verdict))
