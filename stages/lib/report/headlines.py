"""The few numbers of each model that are read first, and what DVC's plots draw."""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from io import StringIO

from stages.lib.core.numbers import round_decimals, round_significant
from stages.lib.core.types import Json
from stages.lib.style.markup import FEATURES

Headlines = dict[str, Json]  # the numbers of each model, by id
Rows = list[dict[str, str | float]]

FAMILIES = ("leaderboard_", "demo_")  # so every task of lm-eval's leaderboard begins, and every one of the demo
OWN = ("judge", "kept", "loss", "markup", "rouge1", "rows", "tokens")  # columns besides the benchmarks'
COLUMNS = ("model", "measure", "value")  # of a plot's table


def columns_of(names: Iterable[str]) -> dict[str, str]:
    """The column of each task and average: without its family, unless that is the name of another column."""
    named = list(dict.fromkeys(names))
    short = {name: next((name[len(start) :] for start in FAMILIES if name.startswith(start)), name) for name in named}
    whole = (name for name in named if name != short[name])
    times = Counter([*short.values(), *whole, *OWN])
    column = {name: short[name] if times[short[name]] == 1 else name for name in named}
    return {name: f"evaluate.{column[name]}" if column[name] in OWN else column[name] for name in named}


def headlines(
    dgms: Mapping[str, Json], runs: Mapping[str, Json], compared: Mapping[str, Json], similarity: Json, styling: Json
) -> Headlines:
    """Every DGM, run and compared model, with the numbers that it has; null where a number should be and is not.

    By id, `dgms` holds the counts of `gate`, `runs` the summaries of `mix` and `train`, `compared` those of `evaluate`
    and `judge`; `similarity` and `styling` are the summaries of these stages.
    """
    column = columns_of(names_of({id_: found["evaluate"] for id_, found in compared.items()}))
    parts = (
        {id_: of_dgm(found, similarity["dgms"][id_] if similarity else None) for id_, found in dgms.items()},
        {id_: of_run(found) for id_, found in runs.items()},
        {id_: of_compared(found, styling["answers"][id_], column) for id_, found in compared.items()},
    )
    ids = dict.fromkeys(id_ for part in parts for id_ in part)
    return {id_: round_significant({name: x for part in parts for name, x in part.get(id_, {}).items()}) for id_ in ids}


def of_dgm(gate: Json, alike: Json | None) -> Json:
    """A DGM: conversations that are kept, and its mean ROUGE-1 with the others where there are others."""
    return {"kept": gate["kept"]} | ({"rouge1": alike["rouge1"]["mean"]} if alike else {})


def of_run(found: Json) -> Json:
    """A run: rows and tokens of its mix, and the loss with which its training ended."""
    return {name: found["mix"][name] for name in ("rows", "tokens")} | {
        "loss": round_decimals(found["train"]["last_loss"])
    }


def of_compared(found: Json, style: Json, column: Mapping[str, str]) -> Json:
    """A compared model: its scores, the judge's, and Markdown elements per answer."""
    scores = {column[name]: value for name, value in found["evaluate"].items()}
    return scores | {"judge": found["judge"]["score"], "markup": style["markup"]}


def plotted(
    numbers: Headlines, dgms: Iterable[str], compared: Iterable[str], similarity: Json, styling: Json
) -> dict[str, Rows]:
    """The tables of the plots, by name, in the order of the ids; what has no value has no row.

    Of compared models: `scores` (benchmarks and the judge's) and `styling` (features per answer; of the DGMs besides,
    per response). Of DGMs: `similarity` (each one's mean with all others). `numbers` is what `headlines` gives.
    """
    scores = {id_: numbers[id_] for id_ in compared}
    answers = {id_: styling["answers"][id_] for id_ in scores}
    responses = {f"{id_} (responses)": styling["responses"][id_] for id_ in dgms}
    alike = {id_: similarity["dgms"][id_] for id_ in dgms if similarity}
    means = {id_: {name: cell["mean"] for name, cell in found.items()} for id_, found in alike.items()}
    return {
        "scores": to_rows(scores, [*(name for name in names_of(scores) if name not in OWN), "judge"]),
        "similarity": to_rows(means, names_of(means)),
        "styling": to_rows(answers | responses, ["markup", *FEATURES]),
    }


def names_of(values: Mapping[str, Json]) -> list[str]:
    """The names of all numbers, in the order in which they come."""
    return list(dict.fromkeys(name for found in values.values() for name in found))


def to_rows(values: Mapping[str, Json], measures: Iterable[str]) -> Rows:
    """One row for each measure and model that has a value."""
    return [
        dict(zip(COLUMNS, (model, measure, round_significant(found[measure])), strict=True))
        for measure in measures
        for model, found in values.items()
        if found.get(measure) is not None
    ]


def to_csv(rows: Rows) -> str:
    """A plot's table as CSV; without rows, its head."""
    text = StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
