"""Markdown elements and length per model: is style inherited? (paper, sec. 3.2, Tab. 3)

In:  data/answers/<model>/ of every compared model, data/responses/<dgm>/ of every DGM, metrics/recipes.json
Out: data/styling/: tables.json (all, for the page), summary.json (the numbers of it that git keeps)
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from stages.lib.console.shell import progress
from stages.lib.core.artifacts import require_compared, require_folder
from stages.lib.core.files import SUMMARY, new_folder, read_json, write_json
from stages.lib.core.types import Json
from stages.lib.records.shards import read_rows
from stages.lib.settings.reading import load, load_value, run
from stages.lib.settings.sections import Styling
from stages.lib.statistics.bootstrap import Bootstrap
from stages.lib.style.comparisons import compare_fine_tunes, compare_pairs
from stages.lib.style.features import DESCRIBED, FeatureCounts, align_answers, count_answers, describe_style

KEPT_OF_FINE_TUNES = ("inheritance", "direction", "distance", "mean", "median", "factor")  # in summary.json


def measure_style(
    answers: Mapping[str, FeatureCounts],
    responses: Iterable[tuple[str, FeatureCounts]],
    runs: Mapping[str, Any],
    styling: Styling,
) -> Json:
    """Compute all numbers: of compared models on the same questions, and of DGMs on their first conversations.

    `runs` are those of metrics/recipes.json. `responses` are taken one DGM at a time, so that only one is in memory.
    """
    grid = align_answers(answers)
    bootstrap = Bootstrap(grid.questions, styling.resamples, styling.seed)
    response_styles = {dgm: describe_alone(counts, styling) for dgm, counts in responses}
    return {
        "parser": styling.parser,
        "answers": {
            model: describe_style(values, grid.questions, answers[model].left_out, bootstrap)
            for model, values in grid.values.items()
        },
        "responses": response_styles,
        "pairs": compare_pairs(grid),
        "fine_tunes": compare_fine_tunes(grid, response_styles, runs, bootstrap),
    }


def describe_alone(counts: FeatureCounts, styling: Styling) -> Json:
    """Describe the style of one model on its own conversations."""
    grid = align_answers({"": counts})
    bootstrap = Bootstrap(grid.questions, styling.resamples, styling.seed)
    return describe_style(grid.values[""], grid.questions, counts.left_out, bootstrap)


def summarize(tables: Json) -> Json:
    """Select the numbers that git keeps: means per answer, and how much each fine-tune inherits."""
    return {
        "answers": {model: select_means(style) for model, style in tables["answers"].items()},
        "responses": {dgm: select_means(style) for dgm, style in tables["responses"].items()},
        "fine_tunes": {
            f"{compared['run']} {compared['dgm']}": {
                name: compared[name] for name in KEPT_OF_FINE_TUNES if compared.get(name) is not None
            }
            for compared in tables["fine_tunes"]
        },
    }


def select_means(style: Json) -> Json:
    """Select a style's means, and over how many answers they are."""
    means = {name: style["features"][name]["mean"] for name in DESCRIBED}
    return {**means, "num_answers": style["answers"], "left_out": style["left_out"]}


def read_responses(folders: Mapping[str, Path], styling: Styling) -> Iterator[tuple[str, FeatureCounts]]:
    """Yield every DGM, given by its folder of responses, with the features of its first conversations."""
    for dgm, folder in progress(folders.items(), desc="styling", unit="DGMs"):
        rows = islice(read_rows(folder, ["conversation_hash", "turns"]), styling.num_responses)
        yield dgm, count_answers(rows, "conversation_hash", styling.parser)


def read_answers(model: str, styling: Styling) -> FeatureCounts:
    """Read the features of a compared model's answers."""
    rows = read_rows(require_compared(model, "answers"), ["question_id", "turns"])
    return count_answers(rows, "question_id", styling.parser)


READS = ("styling", "compare")


def main() -> None:
    """Measure the style of every compared model and every DGM."""
    styling = load(Styling)
    recipes = read_json(Path("metrics/recipes.json"))
    answers = {model: read_answers(model, styling) for model in load_value("compare")}
    folders = {
        dgm: require_folder(Path("data/responses") / dgm, digests["responses"], f"generate@{dgm}")
        for dgm, digests in recipes["dgms"].items()
    }
    write_style(Path("data"), measure_style(answers, read_responses(folders, styling), recipes["runs"], styling))


def write_style(data: Path, tables: Json) -> None:
    """Write the folder `styling` of `data`."""
    with new_folder(data / "styling") as folder:
        write_json(folder / "tables.json", tables)
        write_json(folder / SUMMARY, summarize(tables))


if __name__ == "__main__":
    run(main)
