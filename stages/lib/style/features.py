"""The style of models' answers: counted answer by answer, described, and aligned on the same turns."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stages.lib.core.numbers import round_significant
from stages.lib.core.types import Floats, Ints, Json
from stages.lib.records.responses import UNANSWERED
from stages.lib.settings.sections import Parser
from stages.lib.statistics.bootstrap import Bootstrap
from stages.lib.style.markup import FEATURES, MARKUP, PARSERS

TurnKey = tuple[Any, int]  # a question or conversation, and the number of its turn, from 1
DESCRIBED = (*FEATURES, "markup")  # the features, and the sum of those of MARKUP


@dataclass(frozen=True)
class FeatureCounts:
    """The features of a model's answers, and how many turns were left out, by reason."""

    answers: dict[TurnKey, tuple[int, ...]]
    left_out: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class StyleGrid:
    """The features of several models on the same turns."""

    questions: Ints  # [turn]
    values: dict[str, Floats]  # of each model, [turn, feature]; NaN: no answer


def count_answers(rows: Iterable[dict[str, Any]], key: str, parser: Parser) -> FeatureCounts:
    """Count the features of every turn of rows of ANSWER or RESPONSE; `key` is the column that names a row.

    Turns without a reply (`unanswered`), with white space only (`empty`), and texts that `parser` cannot parse
    (`unparsable`) are left out.
    """
    count = PARSERS[parser]
    answers: dict[TurnKey, tuple[int, ...]] = {}
    left_out = Counter[str]()
    for row in rows:
        for number, turn in enumerate(row["turns"], 1):
            if reason := find_left_out_reason(turn):
                left_out[reason] += 1
            elif (counts := count(turn["assistant"])) is None:
                left_out["unparsable"] += 1
            else:
                answers[row[key], number] = counts
    return FeatureCounts(answers, dict(left_out))


def find_left_out_reason(turn: dict[str, Any]) -> str:
    """Return why a turn has no style; empty if it has one."""
    if turn["finish_reason"] in UNANSWERED:
        return "unanswered"
    return "" if (turn["assistant"] or "").strip() else "empty"


def align_answers(counts: Mapping[str, FeatureCounts]) -> StyleGrid:
    """Align all models' answers by turn; turns are sorted, so that the order of the rows makes no difference."""
    keys = sorted({key for model in counts.values() for key in model.answers})
    places = {key: place for place, key in enumerate(keys)}
    numbers = {question: number for number, question in enumerate(dict.fromkeys(question for question, _ in keys))}
    values = {}
    for model, counted in counts.items():
        values[model] = np.full((len(keys), len(FEATURES)), np.nan)
        if counted.answers:
            values[model][[places[key] for key in counted.answers]] = list(counted.answers.values())
    return StyleGrid(np.array([numbers[question] for question, _ in keys], dtype=np.int64), values)


def describe_style(values: Floats, questions: Ints, left_out: dict[str, int], bootstrap: Bootstrap) -> Json:
    """Describe a model's features, [turn, feature], per answer and in total, with 95 % intervals over questions.

    The interval of a total is that of the mean, times the number of answers.
    """
    columns = add_markup(values)
    is_answered = np.isfinite(values[:, 0])
    num_answers = int(is_answered.sum())
    intervals = bootstrap.mean_interval(columns)
    totals = np.nansum(columns, axis=0)
    return {
        "answers": num_answers,
        "questions": len(np.unique(questions[is_answered])),
        "left_out": left_out,
        "features": {
            name: {
                "mean": round_significant(total / num_answers) if num_answers else None,
                "ci95": to_interval(ends),
                "total": int(total),
                "total_ci95": to_interval(ends * num_answers),
            }
            for name, total, ends in zip(DESCRIBED, totals, intervals, strict=True)
        },
    }


def add_markup(values: Floats) -> Floats:
    """Add the sum of the features of MARKUP as a last column."""
    columns = [FEATURES.index(name) for name in MARKUP]
    return np.column_stack([values, values[:, columns].sum(axis=1)])


def to_interval(ends: Floats) -> list[float | None] | None:
    """Round both ends of an interval; None when one is NaN."""
    return [round_significant(float(end)) for end in ends] if np.isfinite(ends).all() else None
