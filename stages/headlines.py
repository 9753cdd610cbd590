"""The numbers to read first: a few of each model for `dvc metrics`, and the tables for `dvc plots`.

In:  the metrics of every DGM, run and compared model, and of the comparisons: all of it is in metrics/, which git keeps
Out: metrics/headlines/<id>.json, metrics/comparisons.json, metrics/scores.csv, similarity.csv, styling.csv
"""

from collections.abc import Collection
from pathlib import Path

from stages.lib.core.files import new_folder, read_json, write_json, write_text
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


def main() -> None:
    """Write the headlines and the tables of the plots."""
    similarity = read_json(METRICS / "similarity.json")
    styling = read_json(METRICS / "styling.json")
    dgms = read_metrics("gate", load_value("dgms"))
    runs = read_all(("mix", "train"), list(load(Mix).runs))
    compared = read_all(("evaluate", "judge"), load_value("compare"))
    for stages in compared.values():
        stages["evaluate"] = stages["evaluate"]["scores"]
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
