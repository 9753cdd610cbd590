"""Runs and models compared with one another and with the paper (sec. 3.2, Fig. 2, App. B, App. D, Tab. 2, 4, 6, 7).

In:  data/evaluations/<model>/ of every compared model (of all seeds of a run), data/preference/ (Tab. 4),
     metrics/recipes.json, metrics/mix/ (the rows of every run), the families that the catalogue names
Out: data/agreement/: tables.json (all, for the page), summary.json (the numbers of it that git keeps)
"""

from pathlib import Path

from stages.lib.comparison.agreement import compare_agreement
from stages.lib.comparison.blends import compare_blends
from stages.lib.comparison.evaluations import Evaluations, read_compared
from stages.lib.comparison.fine_tunes import FineTune, read_fine_tunes
from stages.lib.comparison.on_policy import compare_on_policy
from stages.lib.comparison.paper import recompute_averages
from stages.lib.comparison.paper_comparison import add_printed_scores, compare_rows, compare_stated_averages
from stages.lib.comparison.scaling import compare_sizes
from stages.lib.core.files import SUMMARY, new_folder, read_json, write_json
from stages.lib.core.numbers import round_decimals
from stages.lib.core.types import Json
from stages.lib.settings.reading import load, load_value, run
from stages.lib.settings.sections import Mix

FAMILIES = Path("data/checked/families.json")  # of each model of the profile, from the catalogue
PREFERENCE = Path("data/preference/tables.json")


def build_tables(
    evaluations: Evaluations,
    results: dict[str, Json],
    preference: Json,
    runs: list[FineTune],
    families: dict[str, str],
) -> Json:
    """Make all comparisons.

    `results` are results.json by compared model, of a run its first seed's; `preference` is
    data/preference/tables.json; `families` names the family of each DGM and base.
    """
    compared = [run for run in runs if run.id in evaluations.scores]
    return {
        "names": evaluations.measures,
        "benchmarks": evaluations.benchmarks,
        "agreement": compare_agreement(evaluations, compared),
        "blends": compare_blends(evaluations, compared),
        "on_policy": compare_on_policy(evaluations, compared, families),
        "paper": compare_rows(results, preference),
        "published": recompute_averages(),
        "stated": compare_stated_averages(results),
        "scaling": [add_printed_scores(family, results) for family in compare_sizes(evaluations, compared)],
    }


def summarize(tables: Json) -> Json:
    """Select the numbers that git keeps, by name; a cell that two tables of the paper print counts once."""
    counts = {name: value for name, value in tables["agreement"].items() if name not in {"pairs", "left_out", "ci95"}}
    cells = {(row["id"], name, cell["paper"]): cell for row in tables["paper"] for name, cell in row["cells"].items()}
    measured = [cell for cell in cells.values() if cell["ours"] is not None]
    return {
        "agreement": counts,
        "blends": {name: select_differences(blend) for name, blend in tables["blends"]["runs"].items()},
        "on_policy": {group["label"]: select_differences(group) for group in tables["on_policy"]["groups"]},
        "paper": {"cells": len(measured), "outside": sum(bool(cell["outside"]) for cell in measured)},
        "scaling": {family["label"]: select_slopes(family) for family in tables["scaling"]},
    }


def select_slopes(family: Json) -> dict[str, float]:
    """Select the slope per doubling of every measure that has one."""
    slopes = {name: curve["per_doubling"] for name, curve in family["curves"].items()}
    return {name: slope["value"] for name, slope in slopes.items() if slope}


def select_differences(comparison: Json) -> dict[str, float | None]:
    """Select the difference in every measure."""
    return {name: cell["difference"]["value"] for name, cell in comparison["cells"].items()}


READS = ("compare", "mix.runs")


def main() -> None:
    """Compare all that was evaluated."""
    entries = load(Mix).runs
    runs = read_fine_tunes(entries)
    compare = load_value("compare")
    evaluations = read_compared(compare, entries)
    models = {model for run in runs for model in (run.base, *run.weights)}
    known = read_json(FAMILIES)
    families = {model: known[model] for model in sorted(models)}
    results = {model: evaluations.results[model] for model in compare}
    tables = build_tables(evaluations, results, read_json(PREFERENCE), runs, families)
    with new_folder(Path("data/agreement")) as folder:
        write_json(folder / "tables.json", round_decimals(tables))
        write_json(folder / SUMMARY, round_decimals(summarize(tables)))


if __name__ == "__main__":
    run(main)
