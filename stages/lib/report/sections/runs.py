"""Runs: what each was made of, which sources had too few rows, and how the training went."""

import csv
from collections.abc import Mapping
from pathlib import Path

from stages.lib.core.types import Json
from stages.lib.report.files import Files
from stages.lib.report.findings import join_names
from stages.lib.report.inputs import Inputs
from stages.lib.report.section import Chart, Content, Section
from stages.lib.report.svg import plot_curves, plot_stacked_bars

NOT_ANALYSED = "nothing was mixed or trained"
FACTS = (  # of a run's training, the columns of the table
    "rows", "dropped_control_string", "dropped_placeholder", "dropped_too_long", "tokens", "trained_share", "steps",
    "epochs", "first_loss", "last_loss", "mean_loss",
)  # fmt: skip

DECIMALS = 3  # of shares, epochs and losses

Curve = list[tuple[float, float]]  # step and loss


def build(inputs: Inputs) -> Content:
    """Read the mix, the training and the loss of every run."""
    files = inputs.files
    mixes = files.read_json_of(inputs.runs, files.metrics / "mix")
    trainings = files.read_json_of(inputs.runs, files.metrics / "train")
    losses = {run: read_loss(files.metrics / "loss" / f"{run}.csv", files) for run in inputs.runs}
    shortages = find_shortages(mixes)
    skipped = "" if mixes else "`mix.runs` in params.yaml lists no run"
    return Content(
        values={
            "facts": [name for name in FACTS if any(name in training for training in trainings.values())],
            "decimals": count_decimals(trainings),
            "trainings": trainings,
            "losses": losses,
            "shortages": shortages,
        },
        charts=draw_mixes(mixes, inputs.colours) | draw_losses(losses, inputs.colours),
        numbers={"shortages": shortages},
        finding=describe_sizes(mixes),
        skipped=NOT_ANALYSED if inputs.is_analysis else skipped,
    )


def describe_sizes(mixes: Mapping[str, Json]) -> str:
    """Say which runs were trained on the most rows and which on the fewest; empty without a run."""
    runs: dict[int, list[str]] = {}
    for run, mix in mixes.items():
        runs.setdefault(int(mix["rows"]), []).append(run)
    if not runs:
        return ""
    least, most = min(runs), max(runs)
    if least == most:
        return f"Every run has {most:,} rows."
    verb = "has" if len(runs[most]) == 1 else "have"
    return f"{join_names(runs[most])} {verb} the most rows, {most:,}; {join_names(runs[least])} the fewest, {least:,}."


def count_decimals(trainings: Mapping[str, Json]) -> dict[str, int]:
    """Return the decimals of the columns that are no counts: all numbers of a column have as many."""
    values = {name: [training.get(name) for training in trainings.values()] for name in FACTS}
    return {name: DECIMALS for name, column in values.items() if any(isinstance(value, float) for value in column)}


def read_loss(path: Path, files: Files) -> Curve:
    """Read step and loss of every step that logged one; none when there is no curve."""
    if not path.exists():
        return []
    files.add_digest(path)
    with path.open(encoding="utf-8", newline="") as file:
        return [(float(row["step"]), float(row["loss"])) for row in csv.DictReader(file) if row.get("loss")]


def find_shortages(mixes: Mapping[str, Json]) -> list[Json]:
    """Return every source that had fewer rows than a run asked of it."""
    return [
        {"run": run, "source": source, "asked": asked["rows"], "taken": taken}
        for run, mix in mixes.items()
        for source, asked in mix["asked"].items()
        for taken in [int(mix["sources"].get(source, {}).get("rows", 0))]
        if taken < asked.get("rows", 0)
    ]


def draw_mixes(mixes: Mapping[str, Json], colours: Mapping[str, str]) -> dict[str, Chart]:
    """Draw the rows of every run by source."""
    if not mixes:
        return {}
    taken = {
        run: {name: int(mix["sources"][name]["rows"]) for name in colours if name in mix["sources"]}
        for run, mix in mixes.items()
    }
    return {"runs-mix": Chart(plot_stacked_bars(taken, colours, "rows of every run by source"), title="Rows by source")}


def draw_losses(losses: Mapping[str, Curve], colours: Mapping[str, str]) -> dict[str, Chart]:
    """Draw the training loss of every run that has a curve."""
    drawn = {run: curve for run, curve in losses.items() if curve}
    if not drawn:
        return {}
    return {"runs-loss": Chart(plot_curves(drawn, colours, "training loss of every run"), title="Training loss")}


SECTION = Section(
    name="runs",
    title="Runs",
    question="What was each run trained on?",
    sources={"mix": "rows and shortages", "train": "the summary of the training", "loss": "the loss curve"},
    build=build,
)
