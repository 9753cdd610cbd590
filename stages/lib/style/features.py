"""The style of models' answers: counted answer by answer, described, and set side by side."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import numpy as np

from stages.lib.core.bootstrap import Bootstrap
from stages.lib.core.numbers import round_significant
from stages.lib.core.types import Floats, Ints, Json
from stages.lib.records.responses import UNANSWERED
from stages.lib.settings.sections import Parser
from stages.lib.style.markup import FEATURES, MARKUP, PARSERS
from stages.lib.style.proportional_frequency import (
    compare_frequencies,
    compare_inheritance,
    frequencies,
    shared_answers,
)

Key = tuple[Any, int]  # a question or conversation, and which of its turns, from 1
COLUMNS = (*FEATURES, "markup")  # of what is described: the features, and the sum of MARKUP


@dataclass(frozen=True)
class FeatureCounts:
    """The features of a model's answers, by key, and how many turns were left out, by reason."""

    answers: dict[Key, tuple[int, ...]]
    left_out: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class StyleGrid:
    """Several models on the same turns: values are [turn, feature], NaN where a model has no answer."""

    questions: Ints  # of each turn
    values: dict[str, Floats]


def count_answers(rows: Iterable[dict[str, Any]], name: str, parser: Parser) -> FeatureCounts:
    """Count the features of every turn of rows as in ANSWER or RESPONSE; `name` is the column that names a row.

    Left out are turns without a reply (`unanswered`), with white space only (`empty`), and what `parser` cannot parse
    (`unparsable`).
    """
    count, answers, left_out = PARSERS[parser], dict[Key, tuple[int, ...]](), Counter[str]()
    for row in rows:
        for number_of_turn, turn in enumerate(row["turns"], 1):
            if reason := why_not(turn):
                left_out[reason] += 1
            elif (counts := count(turn["assistant"])) is None:
                left_out["unparsable"] += 1
            else:
                answers[row[name], number_of_turn] = counts
    return FeatureCounts(answers, dict(left_out))


def why_not(turn: dict[str, Any]) -> str:
    """Why a turn has no style; empty when it has."""
    if turn["finish_reason"] in UNANSWERED:
        return "unanswered"
    return "" if (turn["assistant"] or "").strip() else "empty"


def align_answers(counted: Mapping[str, FeatureCounts]) -> StyleGrid:
    """All models' answers on one grid of turns, sorted, so that the order of the rows makes no difference."""
    keys = sorted({key for model in counted.values() for key in model.answers})
    places = {key: place for place, key in enumerate(keys)}
    names = {name: place for place, name in enumerate(dict.fromkeys(question for question, _ in keys))}
    values = {}
    for model, found in counted.items():
        values[model] = np.full((len(keys), len(FEATURES)), np.nan)
        if found.answers:
            values[model][[places[key] for key in found.answers]] = list(found.answers.values())
    return StyleGrid(np.array([names[question] for question, _ in keys], dtype=np.int64), values)


def describe(values: Floats, questions: Ints, left_out: dict[str, int], bootstrap: Bootstrap) -> Json:
    """A model's features per answer and in total, each with its 95 % interval over questions.

    The interval of a total is that of the mean, for as many answers.
    """
    columns = with_markup(values)
    answered = np.isfinite(values[:, 0])
    answers = int(answered.sum())
    ends = bootstrap.mean(columns)
    sums = np.nansum(columns, axis=0)
    return {
        "answers": answers,
        "questions": len(np.unique(questions[answered])),
        "left_out": left_out,
        "features": {
            name: {
                "mean": round_significant(total / answers) if answers else None,
                "ci95": interval(end),
                "total": int(total),
                "total_ci95": interval(end * answers),
            }
            for name, total, end in zip(COLUMNS, sums, ends, strict=True)
        },
    }


def with_markup(values: Floats) -> Floats:
    """The features and the sum of those of MARKUP."""
    chosen = [FEATURES.index(name) for name in MARKUP]
    return np.column_stack([values, values[:, chosen].sum(axis=1)])


def interval(ends: Floats) -> list[float | None] | None:
    """Both ends as they are written; null when there are none."""
    return [round_significant(float(end)) for end in ends] if np.isfinite(ends).all() else None


def pairs(grid: StyleGrid) -> dict[str, Json]:
    """Proportional frequency, one / other, of any two models on the turns that both answered."""
    found = {}
    for one, other in permutations(grid.values, 2):
        chosen = shared_answers(grid.values[one], grid.values[other])
        turns = int(np.isfinite(chosen[0][:, 0]).sum())
        if turns:
            found[f"{one} {other}"] = {"turns": turns, **frequencies(*(np.nansum(values, axis=0) for values in chosen))}
    return found


def fine_tunes(
    grid: StyleGrid, responses: Mapping[str, Json], runs: Mapping[str, Json], bootstrap: Bootstrap
) -> list[Json]:
    """Every DGM with every compared run that learned from it; `runs` are those of metrics/recipes.json.

    A DGM that is not compared is held against its run by its `responses` to the prompts: other questions, so that
    there is no interval and no inheritance.
    """
    found = []
    for run, recipe in sorted(runs.items()):
        dgms = [name for name, source in recipe["sources"].items() if source["kind"] == "dgm"]
        for dgm in sorted(dgms) if run in grid.values else []:
            names = {"dgm": dgm, "run": run, "base": recipe["base"], "alone": len(recipe["sources"]) == 1}
            if dgm in grid.values:
                found.append({**names, "on": "answers", **on_answers(grid, dgm, run, recipe["base"], bootstrap)})
            elif dgm in responses:
                found.append({**names, "on": "responses", **on_responses(grid.values[run], dgm, responses[dgm])})
    return found


def on_answers(grid: StyleGrid, dgm: str, run: str, base: str, bootstrap: Bootstrap) -> Json:
    """A run beside its DGM, and beside what it was before, on the questions that they answered."""
    tuned, taught = grid.values[run], grid.values[dgm]
    turns = turns_of(tuned, taught)
    found: Json = {"turns": turns, "inheritance": None, "why_not": ""}
    if not turns:
        return found | {"why_not": "they answered no common question", **without_intervals(*_nothing())}
    found |= compare_frequencies(tuned, taught, bootstrap)
    if base not in grid.values:
        return found | {"why_not": f"its base {base} is not compared"}
    if not turns_of(tuned, taught, grid.values[base]):
        return found | {"why_not": f"its base {base} answered none of the questions"}
    return found | compare_inheritance(tuned, taught, grid.values[base], bootstrap)


def on_responses(tuned: Floats, dgm: str, style: Json) -> Json:
    """A run's answers beside its DGM's responses to other questions, per answer."""
    answered = np.isfinite(tuned[:, 0])
    own = tuned[answered].mean(axis=0) if answered.any() else _nothing()[0]
    other = np.array([style["features"][name]["mean"] or 0.0 for name in FEATURES])
    why_not = f"{dgm} is not compared: it did not answer the questions"
    return {"turns": 0, "inheritance": None, "why_not": why_not, **without_intervals(own, other)}


def without_intervals(own: Floats, other: Floats) -> Json:
    """Proportional frequency where nothing can be drawn."""
    found = frequencies(own, other)
    return found | {name: {"value": found[name], "ci95": None} for name in ("mean", "median", "factor")}


def turns_of(*models: Floats) -> int:
    """How many turns all the models answered."""
    return int(np.isfinite(shared_answers(*models)[0][:, 0]).sum())


def _nothing() -> tuple[Floats, Floats]:
    return np.zeros(len(FEATURES)), np.zeros(len(FEATURES))
