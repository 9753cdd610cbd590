"""The numbers to read first: a few of each model for `dvc metrics`, and the tables for `dvc plots`.

In:  the metrics of every DGM, run and compared model, and of the comparisons: all of it is in metrics/, which git keeps
Out: metrics/headlines/<id>.json, metrics/comparisons.json, metrics/scores.csv, similarity.csv, styling.csv
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from statistics import fmean

from stages.lib.core.files import new_folder, read_json, write_json, write_text
from stages.lib.core.seeds import seed_models
from stages.lib.core.types import Json
from stages.lib.report.headlines import build_headlines, build_plot_tables, format_csv
from stages.lib.settings.reading import load, load_value, run
from stages.lib.settings.sections import Mix

METRICS = Path("metrics")
READS = ("dgms", "compare", "mix.runs")


def read_metrics(stage: str, ids: Collection[str]) -> dict[str, Json]:
    """Read the metrics of a stage for each id."""
    return {id_: read_json(METRICS / stage / f"{id_}.json") for id_ in ids}


def read_all(stages: Collection[str], ids: Collection[str]) -> dict[str, dict[str, Json]]:
    """Read the metrics of several stages for each id."""
    metrics = {stage: read_metrics(stage, ids) for stage in stages}
    return {id_: {stage: metrics[stage][id_] for stage in metrics} for id_ in ids}


def read_scores(id_: str, seeds: Sequence[int]) -> dict[str, float | None]:
    """Read the scores of a model, or of a run with several seeds their means; null where a seed has no score."""
    scores = [metrics["scores"] for metrics in read_metrics("evaluate", seed_models(id_, seeds)).values()]
    known = {name: [each.get(name) for each in scores] for name in scores[0]}
    return {name: None if None in values else fmean(values) for name, values in known.items()}


def main() -> None:
    """Write the headlines and the tables of the plots."""
    similarity = read_json(METRICS / "similarity.json")
    styling = read_json(METRICS / "styling.json")
    dgms = read_metrics("gate", load_value("dgms"))
    entries = load(Mix).runs
    runs = read_all(("mix", "train"), list(entries))
    judged = read_metrics("judge", load_value("compare"))
    compared = {
        id_: {"evaluate": read_scores(id_, entries[id_].seeds if id_ in entries else []), "judge": judge}
        for id_, judge in judged.items()
    }
    headlines = build_headlines(dgms, runs, compared, similarity, styling)
    with new_folder(METRICS / "headlines") as folder:
        for id_, numbers in headlines.items():
            write_json(folder / f"{id_}.json", numbers)
    agreement = read_json(METRICS / "agreement.json")["agreement"]["rate"]
    write_json(METRICS / "comparisons.json", {"agreement": agreement})
    for name, rows in build_plot_tables(headlines, dgms, compared, similarity, styling).items():
        write_text(METRICS / f"{name}.csv", format_csv(rows))


if __name__ == "__main__":
    run(main)
