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
from stages.lib.core.bootstrap import Bootstrap
from stages.lib.core.files import SUMMARY, new_folder, read_json, write_json
from stages.lib.core.types import Json
from stages.lib.records.shards import read_rows
from stages.lib.settings.reading import load, load_value, run
from stages.lib.settings.sections import Styling
from stages.lib.style.features import FeatureCounts, align_answers, count_answers, describe, fine_tunes, pairs
from stages.lib.style.markup import FEATURES

NUMBERS = ("inheritance", "direction", "distance", "mean", "median", "factor")  # of a fine-tune, that git keeps


def measure_style(
    answers: Mapping[str, FeatureCounts],
    responses: Iterable[tuple[str, FeatureCounts]],
    runs: Mapping[str, Any],
    styling: Styling,
) -> Json:
    """All numbers: of compared models on the same questions, and of DGMs on the first of their conversations.

    `responses` are taken one DGM at a time, so that no more is in memory.
    """
    grid = align_answers(answers)
    bootstrap = Bootstrap(grid.questions, styling.resamples, styling.seed)
    of_responses = {dgm: describe_alone(found, styling) for dgm, found in responses}
    return {
        "parser": styling.parser,
        "answers": {
            model: describe(values, grid.questions, answers[model].left_out, bootstrap)
            for model, values in grid.values.items()
        },
        "responses": of_responses,
        "pairs": pairs(grid),
        "fine_tunes": fine_tunes(grid, of_responses, runs, bootstrap),
    }


def describe_alone(counted: FeatureCounts, styling: Styling) -> Json:
    """The style of one model on its own conversations."""
    grid = align_answers({"": counted})
    bootstrap = Bootstrap(grid.questions, styling.resamples, styling.seed)
    return describe(grid.values[""], grid.questions, counted.left_out, bootstrap)


def summarize(tables: Json) -> Json:
    """The numbers that git keeps: means per answer, and what each fine-tune has of its DGM."""
    return {
        **{
            kind: {model: per_answer(style) for model, style in tables[kind].items()}
            for kind in ("answers", "responses")
        },
        "fine_tunes": {
            f"{found['run']} {found['dgm']}": {name: found[name] for name in NUMBERS if found.get(name) is not None}
            for found in tables["fine_tunes"]
        },
    }


def per_answer(style: Json) -> Json:
    """A style's means, and how many answers they are of."""
    means = {name: style["features"][name]["mean"] for name in (*FEATURES, "markup")}
    return {**means, "num_answers": style["answers"], "left_out": style["left_out"]}


def read_responses(folders: Mapping[str, Path], styling: Styling) -> Iterator[tuple[str, FeatureCounts]]:
    """Every DGM, by its folder of responses, with the features of its first conversations."""
    for dgm, folder in progress(folders.items(), desc="styling", unit="DGMs"):
        rows = islice(read_rows(folder, ["conversation_hash", "turns"]), styling.num_responses)
        yield dgm, count_answers(rows, "conversation_hash", styling.parser)


def read_answers(model: str, styling: Styling) -> FeatureCounts:
    """The features of a compared model's answers."""
    return count_answers(
        read_rows(require_compared(model, "answers"), ["question_id", "turns"]), "question_id", styling.parser
    )


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
    write(Path("data"), measure_style(answers, read_responses(folders, styling), recipes["runs"], styling))


def write(data: Path, tables: Json) -> None:
    """Write data/styling."""
    with new_folder(data / "styling") as folder:
        write_json(folder / "tables.json", tables)
        write_json(folder / SUMMARY, summarize(tables))


if __name__ == "__main__":
    run(main)
