"""The headlines, a few numbers of each model to read first, and the tables that DVC plots."""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from io import StringIO

from stages.lib.core.numbers import round_decimals, round_significant
from stages.lib.core.types import Json
from stages.lib.style.markup import FEATURES

Headlines = dict[str, Json]  # the numbers of each model, by id
Rows = list[dict[str, str | float]]

TASK_PREFIXES = ("leaderboard_", "demo_")  # of the tasks of lm-eval's leaderboard, and of the demo's
OWN_COLUMNS = ("judge", "kept", "loss", "markup", "rouge1", "rows", "tokens")  # all others are benchmarks
PLOT_COLUMNS = ("model", "measure", "value")


def name_columns(names: Iterable[str]) -> dict[str, str]:
    """Return the column of each task and average: its name without the prefix, unless that names another column."""
    full = list(dict.fromkeys(names))
    short = {name: name.removeprefix(find_prefix(name)) for name in full}
    shortened = (name for name in full if name != short[name])
    uses = Counter([*short.values(), *shortened, *OWN_COLUMNS])
    columns = {name: short[name] if uses[short[name]] == 1 else name for name in full}
    return {name: f"evaluate.{column}" if column in OWN_COLUMNS else column for name, column in columns.items()}


def find_prefix(task: str) -> str:
    """Return the prefix that tells the family of a task; empty when it has none."""
    return next((prefix for prefix in TASK_PREFIXES if task.startswith(prefix)), "")


def build_headlines(
    dgms: Mapping[str, Json], runs: Mapping[str, Json], compared: Mapping[str, Json], similarity: Json, styling: Json
) -> Headlines:
    """Return the numbers of every DGM, run and compared model; null where a number should be and is not.

    By id, `dgms` holds the counts of `gate`, `runs` the summaries of `mix` and `train`, `compared` the scores of
    `evaluate` and the summary of `judge`; `similarity` and `styling` are the summaries of these stages.
    """
    columns = name_columns(list_names({id_: stages["evaluate"] for id_, stages in compared.items()}))
    parts = (
        {id_: summarise_dgm(gate, similarity["dgms"][id_] if similarity else None) for id_, gate in dgms.items()},
        {id_: summarise_run(stages) for id_, stages in runs.items()},
        {id_: summarise_compared(stages, styling["answers"][id_], columns) for id_, stages in compared.items()},
    )
    ids = dict.fromkeys(id_ for part in parts for id_ in part)
    return {id_: round_significant({name: x for part in parts for name, x in part.get(id_, {}).items()}) for id_ in ids}


def summarise_dgm(gate: Json, scores: Json | None) -> Json:
    """Return a DGM's number of kept conversations, and its mean ROUGE-1 with the other DGMs, if there are others."""
    return {"kept": gate["kept"]} | ({"rouge1": scores["rouge1"]["mean"]} if scores else {})


def summarise_run(stages: Json) -> Json:
    """Return rows and tokens of a run's mix, and the last loss of its training."""
    size = {name: stages["mix"][name] for name in ("rows", "tokens")}
    return size | {"loss": round_decimals(stages["train"]["last_loss"])}


def summarise_compared(stages: Json, style: Json, columns: Mapping[str, str]) -> Json:
    """Return a compared model's benchmark scores, its judge's score, and its Markdown elements per answer."""
    scores = {columns[name]: value for name, value in stages["evaluate"].items()}
    return scores | {"judge": stages["judge"]["score"], "markup": style["markup"]}


def build_plot_tables(
    headlines: Headlines, dgms: Iterable[str], compared: Iterable[str], similarity: Json, styling: Json
) -> dict[str, Rows]:
    """Return the tables of the plots, by name, in the order of the ids; there is no row without a value.

    `scores` has the benchmarks and the judge's score of compared models; `styling` the features per answer of compared
    models and per response of DGMs; `similarity` each DGM's mean with all others.
    """
    scores = {id_: headlines[id_] for id_ in compared}
    answers = {id_: styling["answers"][id_] for id_ in scores}
    responses = {f"{id_} (responses)": styling["responses"][id_] for id_ in dgms}
    cells = {id_: similarity["dgms"][id_] for id_ in dgms if similarity}
    means = {id_: {metric: cell["mean"] for metric, cell in metrics.items()} for id_, metrics in cells.items()}
    return {
        "scores": list_rows(scores, [*(name for name in list_names(scores) if name not in OWN_COLUMNS), "judge"]),
        "similarity": list_rows(means, list_names(means)),
        "styling": list_rows(answers | responses, ["markup", *FEATURES]),
    }


def list_names(numbers: Mapping[str, Json]) -> list[str]:
    """Return the names of the numbers of all models, in order of first appearance."""
    return list(dict.fromkeys(name for model in numbers.values() for name in model))


def list_rows(numbers: Mapping[str, Json], measures: Iterable[str]) -> Rows:
    """Return one row for each measure and model that has a value."""
    return [
        dict(zip(PLOT_COLUMNS, (model, measure, round_significant(values[measure])), strict=True))
        for measure in measures
        for model, values in numbers.items()
        if values.get(measure) is not None
    ]


def format_csv(rows: Rows) -> str:
    """Return a plot's table as CSV; without rows, only its header."""
    text = StringIO()
    writer = csv.DictWriter(text, PLOT_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
