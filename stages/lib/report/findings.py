"""The findings: one sentence that answers a section's question with its numbers, their intervals and the verdict."""

from collections.abc import Mapping, Sequence
from typing import Any

from stages.lib.core.numbers import num_decimals
from stages.lib.core.types import Json
from stages.lib.statistics.verdicts import Verdict

OPPOSITE = {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER}
MOST_NAMES = 3  # of a list of models; more are counted


def show_cell(cell: Mapping[str, Any], decimals: int | None = None, sign: str = "") -> str:
    """Format a cell (value, ci95) with its interval in brackets, where it has one; `sign` is `+` to show every sign."""
    digits = num_decimals([cell]) if decimals is None else decimals
    value = f"{cell['value']:{sign},.{digits}f}"
    if not cell.get("ci95"):
        return value
    return f"{value} ({' to '.join(f'{end:{sign},.{digits}f}' for end in cell['ci95'])})"


def join_names(names: Sequence[str]) -> str:
    """Join names in words; of many the first ones, and how many others there are."""
    shown = list(names) if len(names) <= MOST_NAMES else [*names[: MOST_NAMES - 1]]
    rest = len(names) - len(shown)
    parts = [*shown, f"{rest} others"] if rest else shown
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]])) if parts else ""


def rank_cells(cells: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the names of cells that have a value, the highest first, equal ones in their order."""
    known = [name for name, cell in cells.items() if cell["value"] is not None]
    return sorted(known, key=lambda name: -float(cells[name]["value"]))


def verdicts_of(model: str, pairs: Mapping[str, Json]) -> dict[str, Verdict]:
    """Return the verdict on a model against each other one, from the cells of pairs (`one other`)."""
    found = {}
    for pair, cell in pairs.items():
        one, other = pair.split(" ")
        verdict = Verdict(cell["verdict"])
        if one == model:
            found[other] = verdict
        elif other == model:
            found[one] = OPPOSITE.get(verdict, verdict)
    return found


def describe_lead(model: str, pairs: Mapping[str, Json]) -> str:
    """Say what the tests decide of the model with the highest number against the others; empty without a pair."""
    verdicts = verdicts_of(model, pairs)
    if not verdicts:
        return ""
    kinds = {verdict: [other for other, found in verdicts.items() if found == verdict] for verdict in Verdict}
    if len(kinds[Verdict.BETTER]) == len(verdicts):
        return "better than each of the others" if len(verdicts) > 1 else f"better than {next(iter(verdicts))}"
    better = len(kinds[Verdict.BETTER])
    parts = [f"better than {better} of the {len(verdicts)} others"] if better else []
    parts += [f"worse than {join_names(kinds[Verdict.WORSE])}"] if kinds[Verdict.WORSE] else []
    parts += [f"equivalent to {join_names(kinds[Verdict.EQUIVALENT])}"] if kinds[Verdict.EQUIVALENT] else []
    undecided = kinds[Verdict.NOT_DECIDED]
    parts += [f"not decided against {join_names(undecided)}"] if undecided else []
    return ", ".join(parts)


def find_leader(cells: Mapping[str, Mapping[str, Any]], pairs: Mapping[str, Json], noun: str) -> str:
    """Say which model has the highest number of its kind (`average`), what the tests decide, and which is next.

    `cells` hold value and ci95 by model, `pairs` the verdicts on every two. Models with equal numbers share it; what
    the tests decide is then of the first of them. Empty without a value.
    """
    ranked = rank_cells(cells)
    if not ranked:
        return ""
    decimals = num_decimals([cells[name] for name in ranked])
    highest = show_cell(cells[ranked[0]], decimals)
    if len(ranked) == 1:
        return f"{ranked[0]} has {noun} {highest}; there is no other model"
    level = find_level(cells, ranked)
    first = f"{ranked[0]} has the highest {noun}, {highest}"
    lead = describe_lead(ranked[0], pairs)
    if len(level) > 1:
        first = f"{join_names(level)} share the highest {noun}, {highest}"
        lead = f"{ranked[0]} is {lead}" if lead else ""
    following = [f"next is {name}, {show_cell(cells[name], decimals)}" for name in ranked[len(level) :][:1]]
    return "; ".join(filter(None, [f"{first}: {lead}" if lead else first, *following]))


def find_level(cells: Mapping[str, Mapping[str, Any]], ranked: Sequence[str]) -> list[str]:
    """Return the names, of names ranked by value, that have the same value as the first one."""
    return [name for name in ranked if cells[name]["value"] == cells[ranked[0]]["value"]]


def count_wins(model: str, measures: Mapping[str, Mapping[str, Json]], tasks: Sequence[str]) -> str:
    """Say on how many benchmarks the tests find a model better than every other one; empty with fewer than two."""
    if len(tasks) < 2:
        return ""
    verdicts = [verdicts_of(model, measures.get(task, {})) for task in tasks]
    wins = sum(bool(found) and set(found.values()) == {Verdict.BETTER} for found in verdicts)
    return f"{model} is better than each of the others on {wins or 'none'} of {len(tasks)} benchmarks"


def count_verdicts(pairs: Mapping[str, Json], measure: str) -> str:
    """Say how many pairs differ in a measure, are equivalent, and are not decided; empty without a pair."""
    kinds = [Verdict(cell["verdict"]) for cell in pairs.values()]
    if not kinds:
        return ""
    differ = sum(kind in {Verdict.BETTER, Verdict.WORSE} for kind in kinds)
    equal, open_ = kinds.count(Verdict.EQUIVALENT), kinds.count(Verdict.NOT_DECIDED)
    counts = f"{differ:,} of {len(kinds):,} {'pair' if len(kinds) == 1 else 'pairs'} of models differ"
    others = [
        f"{number:,} {'is' if number == 1 else 'are'} {kind}"
        for number, kind in ((equal, "equivalent"), (open_, "not decided"))
        if number
    ]
    return f"in {measure} {', '.join([counts, *others])}"


def find_extremes(cells: Mapping[str, Mapping[str, Any]], most: str, least: str, alone: str) -> str:
    """Say which cell is the highest and which the lowest, each name followed by `most` or `least`, or `alone`.

    Where intervals of others overlap its own it is within their noise: no test has compared them.
    """
    ranked = rank_cells(cells)
    if not ranked:
        return ""
    decimals = num_decimals([cells[name] for name in ranked])
    if len(ranked) == 1:
        return f"{ranked[0]} {alone} {show_cell(cells[ranked[0]], decimals)}"
    if len(find_level(cells, ranked)) == len(ranked):
        return f"{join_names(ranked)} are level: each {alone} {show_cell(cells[ranked[0]], decimals)}"
    parts = []
    for name, verb in ((ranked[0], most), (ranked[-1], least)):
        near = [other for other in ranked if other != name and overlap(cells[name], cells[other])]
        doubt = f", within the noise of {near[0] if len(near) == 1 else f'{len(near)} others'}" if near else ""
        parts.append(f"{name} {verb}, {show_cell(cells[name], decimals)}{doubt}")
    return "; ".join(parts)


def overlap(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether the intervals of two cells (value, ci95) overlap; not where one of them is unknown."""
    ends, others = one.get("ci95"), other.get("ci95")
    return bool(ends and others and ends[0] <= others[1] and others[0] <= ends[1])


def find_change(name: str, cell: Mapping[str, Any] | None) -> str:
    """Say by how much something changes the average, and whether its interval excludes 0; empty where not known."""
    if not cell or cell["value"] is None:
        return ""
    ends = cell.get("ci95")
    decided = "" if not ends else "" if ends[0] > 0 or ends[1] < 0 else ", not decided"
    return f"{name} {show_cell(cell, sign='+')}{decided}"


def to_sentence(*parts: str) -> str:
    """Join parts to one sentence, without the empty ones; the first letter stays, as it may be a model's name."""
    return f"{'; '.join(known)}." if (known := [part for part in parts if part]) else ""


def capitalize(sentence: str) -> str:
    """Return a sentence that begins with a word, and not with a name, with a capital letter."""
    return sentence[:1].upper() + sentence[1:]
