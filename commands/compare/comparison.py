"""Makes a whole comparison of two sides: every part that both have the outs for, and the answers in words."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from commands.compare import mixing, rows, style
from commands.compare.lines import Line, describe_better, format_interval, format_value
from commands.compare.scores import (
    CHOICES,
    JUDGE,
    compare_benchmarks,
    compare_scores,
    compare_side_by_side,
    find_changed_rows,
    find_changed_settings,
    read_grid,
    read_scores,
)
from commands.compare.sides import Kind, Side, describe_missing, kinds_in_common
from stages.lib.comparison.evaluations import Evaluations
from stages.lib.core.pairs import Pair
from stages.lib.core.types import Json, Row
from stages.lib.judging.judgment_grid import JudgmentGrid
from stages.lib.report.section import describe_conditions
from stages.lib.settings.reading import load
from stages.lib.settings.sections import Differences, Preference, Styling

NUM_PROMPTS = 2000  # of which the replies of two DGMs are compared


@dataclass(frozen=True)
class Settings:
    """The sections of params.yaml that say how models are compared."""

    differences: Differences
    preference: Preference
    styling: Styling


@dataclass(frozen=True)
class Answer:
    """One measure's answer to whether A is better than B."""

    by: str
    verdict: str
    numbers: str


@dataclass(frozen=True)
class Comparison:
    """All that was found out about two models; a part that they do not have is empty."""

    pair: Pair
    scores: list[Line] = field(default_factory=list)  # averages, benchmarks, and by the judge
    style: list[Line] = field(default_factory=list)
    costs: list[Json] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)  # to read
    mixing: list[Line] = field(default_factory=list)
    num_prompts: int = 0  # of `mixing`
    likeness: Json = field(default_factory=dict)
    better: list[Answer] = field(default_factory=list)  # to whether A is better than B
    mixable: str = ""  # the answer to whether the rows of both may be mixed
    notices: list[str] = field(default_factory=list)  # what limits the comparison


def read_settings() -> Settings:
    """Read the settings of params.yaml."""
    return Settings(load(Differences), load(Preference), load(Styling))


def compare(sides: tuple[Side, Side], num_prompts: int, settings: Settings) -> Comparison:
    """Compare two sides in all that both are and have made."""
    kinds = kinds_in_common(sides)
    pair = (sides[0].name, sides[1].name)
    both: list[Kind] = [kind for kind in sides[0].kinds if kind in sides[1].kinds]
    notices = describe_missing([kind for kind in both if kind not in kinds], sides)
    costs = style.read_costs(sides)
    notices += style.describe_hardware(sides) if costs else []
    comparison = Comparison(pair, notices=notices, costs=costs)
    grid = read_grid(sides) if "models" in kinds else None
    if grid:
        comparison = add_scores(comparison, sides, grid, settings)
    if "dgms" in kinds:
        comparison = add_mixing(comparison, sides, grid, num_prompts, settings)
    return comparison


def add_scores(comparison: Comparison, sides: tuple[Side, Side], grid: JudgmentGrid, settings: Settings) -> Comparison:
    """Add the verdicts of benchmarks and judge, the style of answers, and the rows to read."""
    pair, differences = comparison.pair, settings.differences
    evaluations, results = read_scores(sides)
    changed = find_changed_rows(results)
    choices = compare_side_by_side(sides, grid, differences, settings.preference)
    scores = [*compare_benchmarks(evaluations, pair, differences), compare_scores(grid, differences)]
    scores += [choices] if choices else []
    answers, num_left_out = style.read_answers(sides)
    folders = (sides[0].out("models", "evaluations"), sides[1].out("models", "evaluations"))
    tasks = [task for task in evaluations.benchmarks if task not in changed]
    notices = [
        *describe_changes(changed, find_changed_settings(results)),
        *describe_seeds(evaluations),
        *describe_choices(sides),
        *describe_equal_files(sides),
        *list_conditions(results),
        *([describe_left_out(num_left_out)] if num_left_out else []),
    ]
    return replace(
        comparison,
        scores=scores,
        style=style.compare_style(pair, answers, settings.styling.parser, differences),
        rows=rows.find_rows(folders, (results[pair[0]], results[pair[1]]), tasks, differences.seed),
        better=answer_better(scores, pair),
        notices=[*comparison.notices, *notices],
    )


def add_mixing(
    comparison: Comparison, sides: tuple[Side, Side], grid: JudgmentGrid | None, num_prompts: int, settings: Settings
) -> Comparison:
    """Add what says whether the rows of two DGMs may be mixed."""
    one, other = mixing.read_conversations(sides, num_prompts, settings.styling.parser)
    lines = mixing.compare_replies(comparison.pair, one, other, grid, settings.differences)
    likeness = mixing.measure_likeness(comparison.pair, one.replies, other.replies)
    return replace(
        comparison,
        mixing=lines,
        num_prompts=len(one.kept),
        likeness=likeness | {"others": mixing.read_other_likeness(sides)},
        mixable=mixing.answer(lines, len(one.kept)),
    )


def describe_changes(changed: list[str], settings: list[str]) -> Iterator[str]:
    """Say what is not the same on both sides, so that it may explain a difference."""
    if changed:
        yield f"The rows of {mixing.join(changed)} are not the same on both sides: they are compared as independent."
    if settings:
        yield f"The models were not evaluated with the same {mixing.join(settings)}, which may explain a difference."


def describe_choices(sides: tuple[Side, Side]) -> Iterator[str]:
    """Say why there are no choices of the judge, where these would be."""
    if sides[0].source is not sides[1].source:
        yield "The judge's choices are of one state of the project, so between two commits there are none."
        return
    pairs = (sides[0].source.params().get("pairwise") or {}).get("pairs", "none")
    if pairs != "none" and sides[0].source.shared_out("pairwise") is None:
        yield "The judge's choices are left out, as data/pairwise is not here: `dvc checkout data/pairwise` brings it."


def describe_equal_files(sides: tuple[Side, Side]) -> Iterator[str]:
    """Say which outs are the same files on both sides."""
    one, other = (side.digests("models") or {} for side in sides)
    if equal := [name for name in one if one[name] == other.get(name)]:
        yield f"The same files on both sides: {mixing.join(equal)}."


def describe_left_out(number: int) -> str:
    """Say how many questions are not in the comparison of style."""
    return f"Style: {number} question{'s' if number > 1 else ''} that only one side answered left out."


def list_conditions(results: dict[str, Json]) -> list[str]:
    """Say under which conditions the scores stand, where not every task has all of its rows and its own limits."""
    conditions = {name: {"conditions": content.get("conditions", [])} for name, content in results.items()}
    return describe_conditions(conditions) if any(each["conditions"] for each in conditions.values()) else []


def describe_seeds(evaluations: Evaluations) -> Iterator[str]:
    """Say of a run with several seeds what is of all of them, and what of the first."""
    for run, models in evaluations.seeds.items():
        yield (
            f"The scores of {run} are means of {len(models)} training seeds, whose spread is in the intervals; "
            "what the judge saw, the style and the rows to read are of the first."
        )


def answer_better(lines: list[Line], pair: Pair) -> list[Answer]:
    """Answer whether A is better than B: by each average, and by the judge."""
    asked = [line for line in lines if line.family == "averages" or line.name in {JUDGE, CHOICES}]
    return [
        Answer(f"by the {line.name}", describe_better(line, pair), describe_numbers(line))
        for line in asked
        if not line.reason
    ]


def describe_numbers(line: Line) -> str:
    """Describe a difference with its interval, and what would decide it."""
    cell = line.difference
    value = format_value(cell["value"], line.unit, signed=True)
    interval = format_interval(cell["ci95"], line.unit, signed=True)
    needed = f"; about {line.needed:,} {line.counted} would decide" if line.needed else ""
    return f"{value} {interval}".strip() + needed


def find_folder(sides: tuple[Side, Side]) -> Path:
    """Return the folder of a comparison for which the user names none."""
    return Path("comparison") / "-".join(side.name.replace("@", "_") for side in sides)
