"""What is read first: a few numbers of each model for `dvc metrics`, and the tables that `dvc plots` draws.

In:  what git keeps of every DGM, run and compared model and of the comparisons, all of it in metrics/
Out: metrics/headlines/<id>.json, metrics/comparisons.json, metrics/scores.csv, similarity.csv, styling.csv
"""

from pathlib import Path
from typing import Any

from stages.lib.core.files import new_folder, read_json, write_json, write_text
from stages.lib.report.headlines import headlines, plotted, to_csv
from stages.lib.settings.reading import load, load_value, run
from stages.lib.settings.sections import Mix

METRICS = Path("metrics")


def read(kinds: tuple[str, ...], ids: list[str]) -> dict[str, dict[str, Any]]:
    """What the folders of these kinds hold of each id."""
    return {id_: {kind: read_json(METRICS / kind / f"{id_}.json") for kind in kinds} for id_ in ids}


READS = ("dgms", "compare", "mix.runs")


def main() -> None:
    """Write the headlines and the tables of the plots."""
    agreement, similarity, styling = (read_json(METRICS / f"{x}.json") for x in ("agreement", "similarity", "styling"))
    dgms = {id_: found["gate"] for id_, found in read(("gate",), load_value("dgms")).items()}
    runs = read(("mix", "train"), list(load(Mix).runs))
    compared = read(("evaluate", "judge"), load_value("compare"))
    numbers = headlines(dgms, runs, compared, similarity, styling)
    with new_folder(METRICS / "headlines") as folder:
        for id_, found in numbers.items():
            write_json(folder / f"{id_}.json", found)
    write_json(METRICS / "comparisons.json", {"agreement": agreement["agreement"]["rate"]})
    for name, rows in plotted(numbers, dgms, compared, similarity, styling).items():
        write_text(METRICS / f"{name}.csv", to_csv(rows))


if __name__ == "__main__":
    run(main)
