"""The page of a placement, which works offline, and its numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from commands.add.field import Sample
from commands.add.likeness import OVERALL, first_reply
from commands.add.placement import Placement, Profile, answer, to_row
from commands.add.screen import list_notes
from commands.compare.lines import Unit, format_interval, format_value
from commands.compare.page import show_reply
from stages.lib.core.files import write_json, write_text
from stages.lib.core.types import Json
from stages.lib.report.page import render
from stages.lib.report.palette import assign_colours
from stages.lib.report.section import Chart
from stages.lib.report.svg import plot_intervals
from stages.lib.similarity.measures import MEASURES

OUT = Path("standing")  # a folder that git ignores
PAGE, NUMBERS = "index.html", "standing.json"
NUM_EXAMPLES = 3  # prompts whose replies are shown
Pair = tuple[str, str]  # a value and its interval, as texts


def write_pages(placement: Placement) -> Path:
    """Write the page and its numbers; return the path of the page."""
    folder = OUT / placement.own.id
    write_json(folder / NUMBERS, to_row(placement))
    write_text(folder / PAGE, build_page(placement))
    return folder / PAGE


def build_page(placement: Placement) -> str:
    """Return the page as HTML; texts of models and users are shown as text."""
    own = placement.own
    colours = assign_colours([own.id, *(profile.id for profile in placement.dgms)])
    content = {
        "id": own.id,
        "name": own.name,
        "profile": placement.profile,
        "prompts": placement.prompts,
        "answer": answer(placement),
        "notes": list(list_notes(placement)),
        "charts": draw(placement, colours),
        "likeness": [describe_likeness(placement, profile, colours) for profile in placement.dgms],
        "measures": [measure.name for measure in MEASURES],
        "replies": [describe_profile(profile, colours) for profile in (own, *placement.dgms)],
        "has_money": any(profile.money["value"] is not None for profile in (own, *placement.dgms)),
        "judge": placement.judge,
        "no_judge": placement.no_judge,
        "calls": placement.calls,
        "standings": [describe_standing(row, colours) for row in placement.standings],
        "suitability": [describe_suitability(row) for row in placement.suitability],
        "examples": list_examples(placement, colours),
        "add_to": placement.add_to,
    }
    return render(Path(__file__).with_suffix(".html"), content)


def to_pair(cell: Mapping[str, Any], unit: Unit) -> Pair:
    """Format a value and its interval."""
    return format_value(cell["value"], unit), format_interval(cell["ci95"], unit)


def draw(placement: Placement, colours: Mapping[str, str]) -> list[Chart]:
    """Draw what is known of the likeness to each DGM."""
    similarity = {dgm: cells[OVERALL] for dgm, cells in placement.similarity.items()}
    in_order = [profile.id for profile in placement.dgms]
    parts = (
        (similarity, "Similarity of replies", "the mean of ROUGE-1, ROUGE-L and METEOR; to the right is more alike"),
        (placement.style, "Distance of style", "in standard deviations of a reply; to the left is more alike"),
    )
    return [
        Chart(plot_intervals({dgm: cells[dgm] for dgm in in_order if dgm in cells}, colours, title), title, note)
        for cells, title, note in parts
        if cells
    ]


def describe_likeness(placement: Placement, profile: Profile, colours: Mapping[str, str]) -> Json:
    """Format how alike the model and a DGM are."""
    cells = placement.similarity.get(profile.id)
    nothing: Json = {"value": None, "ci95": None, "n": 0}
    return {
        "id": profile.id,
        "colour": colours[profile.id],
        "mean": to_pair(cells[OVERALL] if cells else nothing, "share"),
        "n": cells[OVERALL]["n"] if cells else 0,
        "measures": [to_pair(cells[measure.name] if cells else nothing, "share") for measure in MEASURES],
        "style": to_pair(placement.style[profile.id], "number"),
        "turns": placement.style[profile.id]["turns"],
    }


def describe_profile(profile: Profile, colours: Mapping[str, str]) -> Json:
    """Format what the replies of a model are like, and what they cost."""
    shares = (profile.kept, profile.refused, profile.cut, profile.loops)
    return {
        "id": profile.id,
        "name": profile.name,
        "colour": colours[profile.id],
        "conversations": profile.conversations,
        "shares": [to_pair(cell, "share") for cell in shares],
        "words": format_value(profile.words, "number"),
        "markup": format_value(profile.markup, "number"),
        "tokens": format_value(profile.tokens, "number"),
        "seconds": to_pair(profile.seconds, "number"),
        "money": to_pair(profile.money, "number"),
        "hardware": profile.hardware,
    }


def describe_standing(row: Json, colours: Mapping[str, str]) -> Json:
    """Format the judge's choices between the model and one DGM."""
    return {
        "id": row["other"],
        "colour": colours[row["other"]],
        "share": to_pair({"value": row["share"], "ci95": row["interval"]}, "share"),
        "asked": row["asked"],
        "counted": row["counted"],
        "verdict": str(row["verdict"]),
        "why": str(row["why"]),
    }


def describe_suitability(row: Json) -> Json:
    """Format how well the replies suit one base model."""
    cells = {name: to_pair(row[name], "number") for name in ("ratio", "place", "surprisal", "rank")}
    return {**cells, **{name: row[name] for name in ("base", "dgms", "conversations")}}


def list_examples(placement: Placement, colours: Mapping[str, str]) -> list[Json]:
    """Return the first prompts with the replies of the model and of the nearest DGMs."""
    samples = {sample.id: sample for sample in placement.samples}
    shown = [samples[model] for model in choose_shown(placement) if model in samples]
    keys = [key for key in shown[0].rows if all(key in sample.rows for sample in shown)] if shown else []
    return [show_example(key, shown, colours) for key in keys[:NUM_EXAMPLES]]


def choose_shown(placement: Placement) -> list[str]:
    """Return the model, the DGM that replies most alike and the one that replies least alike."""
    in_order = [profile.id for profile in placement.dgms]
    return list(dict.fromkeys([placement.own.id, *in_order[:1], *in_order[-1:]]))


def show_example(key: str, samples: list[Sample], colours: Mapping[str, str]) -> Json:
    """Return a prompt as it was written, and the first replies to it."""
    return {
        "prompt": samples[0].rows[key]["turns"][0]["user"],
        "replies": [
            {"id": sample.id, "colour": colours[sample.id], "html": show_reply(first_reply(sample, key))}
            for sample in samples
        ],
    }
