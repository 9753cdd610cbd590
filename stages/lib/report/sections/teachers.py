"""Teachers: fine-tunes that differ in one thing only, compared: DGM, size, blend, family (paper, Fig. 2 and sec. 3)."""

from collections.abc import Mapping
from typing import Any

from stages.lib.core.numbers import num_decimals
from stages.lib.core.types import Json
from stages.lib.report.findings import capitalize, find_change, show_cell, to_sentence
from stages.lib.report.inputs import Inputs
from stages.lib.report.section import Chart, Content, Section, describe_scores
from stages.lib.report.svg import plot_scaling

ABSENT = {  # by kind of comparison: its question, and why there may be nothing to compare
    "agreement": (
        "Are strengths inherited?",
        "no two compared DGMs have runs on each alone, of the same base and size",
    ),
    "scaling": ("Does more data help?", "no two compared runs differ only in size"),
    "blends": (
        "Do blends help?",
        "no compared run on several DGMs has runs on each of them alone, of the same total",
    ),
    "on_policy": (
        "Does a model learn better from its own family?",
        "no compared runs of the same base and size differ in whether their DGM is of the base's family",
    ),
}
MOST_CHANGES = 3  # of one kind that the finding names
NOT_ANALYSED = "nothing was fine-tuned, so there is no teacher"


def build(inputs: Inputs) -> Content:
    """Read the comparisons of the fine-tunes."""
    if inputs.is_analysis:
        return Content(skipped=NOT_ANALYSED)
    tables = inputs.files.read_json(inputs.files.data / "agreement" / "tables.json")
    families = tables.get("scaling", [])
    colours = {family["label"]: inputs.colours[find_largest(family["runs"])] for family in families}
    return Content(
        values={
            "tables": tables,
            "colours": colours,
            "decimals": count_decimals(tables),
            "conditions": describe_scores(inputs.evaluations),
        },
        charts=draw_scaling(tables.get("names", []), families, colours),
        skipped=explain_absence(tables),
        finding=find_teacher(tables) if tables else "",
        absent={title: why for name, (title, why) in ABSENT.items() if tables and not content_of(tables, name)},
    )


def count_decimals(tables: Json) -> dict[str, int]:
    """Return, by benchmark and average, how many decimals the intervals of the differences in it support."""
    if not tables:
        return {}
    columns: dict[str, list[Json]] = {name: [] for name in (*tables["names"], *tables["benchmarks"])}
    for name, cells in columns.items():
        cells += [family["curves"].get(name, {}).get("per_doubling") or {} for family in tables["scaling"]]
        compared = [*tables["blends"]["runs"].values(), *tables["on_policy"]["groups"]]
        cells += [each["cells"].get(name, {}).get("difference") or {} for each in compared]
        pairs = [pair["cells"].get(name, {}) for pair in tables["agreement"]["pairs"]]
        cells += [pair.get(side) or {} for pair in pairs for side in ("dgms", "runs")]
    return {name: num_decimals(cells) for name, cells in columns.items()}


def explain_absence(tables: Json) -> str:
    """Say why nothing is compared; empty where something is."""
    if not tables:
        return "no model was compared"
    return "" if any(content_of(tables, name) for name in ABSENT) else "no two compared runs differ in one thing only"


def content_of(tables: Json, name: str) -> Any:
    """Return the comparisons of one kind."""
    inner = {"agreement": "pairs", "blends": "runs", "on_policy": "groups"}
    return tables[name][inner[name]] if name in inner else tables[name]


def find_teacher(tables: Json) -> str:
    """Say whether a better DGM makes a better fine-tune, and what more data, a blend and the own family change."""
    slopes = {family["label"]: family["curves"].get("average", {}).get("per_doubling") for family in tables["scaling"]}
    blends = {run: difference_of(blend) for run, blend in tables["blends"]["runs"].items()}
    groups = {group["label"]: difference_of(group) for group in tables["on_policy"]["groups"]}
    sentence = to_sentence(
        describe_rate(tables["agreement"]),
        describe_changes("twice the conversations ({}) change the average by", "with twice the conversations", slopes),
        describe_changes("the blend {} differs from the mean of its parts by", "with a blend", blends),
        describe_changes(
            "runs on the base's own family ({}) lead those on others by", "with the base's own family", groups
        ),
    )
    return capitalize(sentence)


def describe_changes(each: str, together: str, changes: Mapping[str, Json | None]) -> str:
    """Say of a few changes how much each does to the average; of many, how often it is higher, lower or not decided.

    `each` has a place for the name of a change; `together` begins the sentence on many.
    """
    known = {name: cell for name, cell in changes.items() if cell and cell["value"] is not None}
    if len(known) <= MOST_CHANGES:
        return "; ".join(find_change(each.format(name), cell) for name, cell in known.items())
    ends = [cell["ci95"] for cell in known.values() if cell["ci95"]]
    more, less = sum(low > 0 for low, _ in ends), sum(high < 0 for _, high in ends)
    counts = f"higher in {more} of {len(known)} comparisons, lower in {less}, not decided in {len(known) - more - less}"
    return f"{together} the average is {counts}"


def difference_of(comparison: Json) -> Json | None:
    """Return the difference in the average that a comparison found; None without one."""
    found: Json | None = comparison["cells"].get("average", {}).get("difference")
    return found


def describe_rate(agreement: Json) -> str:
    """Say how often the better DGM has the better fine-tune; empty where nothing was compared without a tie."""
    compared = agreement["agree"] + agreement["disagree"]
    if not compared:
        return ""
    rate = show_cell({"value": agreement["rate"], "ci95": agreement["ci95"]})
    counts = f"{agreement['agree']} of {compared} comparisons"
    return f"the better DGM has the better fine-tune in {counts}, a rate of {rate}, where chance is 0.5"


def draw_scaling(names: list[str], families: list[Json], colours: Mapping[str, str]) -> dict[str, Chart]:
    """Draw each score over the number of conversations, a line for each family of runs (paper, Fig. 2)."""
    lines = {
        name: {family["label"]: list_points(family, family["curves"][name]) for family in families} for name in names
    }
    return {
        f"scaling-{name}": Chart(plot_scaling(curves, colours, f"{name} by number of conversations"), title=name)
        for name, curves in lines.items()
        if any(point["value"] is not None for curve in curves.values() for point in curve)
    }


def find_largest(runs: Mapping[str, int]) -> str:
    """Return the run with the most rows, whose colour its family has."""
    return max(runs, key=lambda run: (runs[run], run))


def list_points(family: Mapping[str, Any], curve: Mapping[str, Any]) -> list[Json]:
    """Return the points (rows, value, ci95, paper) of a curve, the fewest rows first."""
    return [
        {"rows": rows, "paper": curve["paper"].get(run), **curve["points"][run]}
        for run, rows in sorted(family["runs"].items(), key=lambda pair: (pair[1], pair[0]))
    ]


SECTION = Section(
    name="teachers",
    title="Teachers",
    question="What makes a good teacher?",
    sources={"agreement": "all numbers"},
    build=build,
)
