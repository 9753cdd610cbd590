"""Where a model stands, on a screen of at most 100 columns."""

from collections.abc import Iterator

from commands.add.likeness import OVERALL
from commands.add.placement import Placement, Profile, answer
from commands.compare.lines import format_value, format_with_interval
from stages.lib.console.formats import align_columns, cut_end, fold
from stages.lib.core.text import escape_unprintable

LINE_CHARS = 100
NAME_CHARS = 26
REPLIES = ("", "kept [95 %]", "refused", "cut", "loops", "words", "seconds for 1,000 kept")


def describe(placement: Placement) -> Iterator[str]:
    """Yield the lines of a placement."""
    own = placement.own
    title = f"{own.id} ({own.name}) on the first {placement.prompts} prompts of the profile {placement.profile}"
    yield from fold(show(title, len(title)), LINE_CHARS)
    yield ""
    yield from align_columns(list(reply_rows(placement)))
    if placement.dgms:
        yield ""
        yield from align_columns(list(likeness_rows(placement)))
    if placement.standings:
        yield ""
        yield from align_columns(list(judge_rows(placement)))
    if placement.suitability:
        yield ""
        yield from align_columns(list(suitability_rows(placement)))
    yield ""
    yield from fold(answer(placement), LINE_CHARS)
    for note in list_notes(placement):
        yield from fold(f"- {note}", LINE_CHARS)
    yield ""
    yield from addition_lines(placement)


def show(text: str, most: int = NAME_CHARS) -> str:
    """Return a name that others gave, safe to print."""
    return cut_end(escape_unprintable(text, len(text)), most)


def reply_rows(placement: Placement) -> Iterator[tuple[str, ...]]:
    """Yield what the replies of the model and of each DGM are like."""
    has_money = any(profile.money["value"] is not None for profile in (placement.own, *placement.dgms))
    yield (*REPLIES, *(["money"] if has_money else []))
    for profile in (placement.own, *placement.dgms):
        yield (*cells(profile), *([format_value(profile.money["value"], "number")] if has_money else []))


def cells(profile: Profile) -> tuple[str, ...]:
    """Return the cells of one model."""
    return (
        show(profile.id),
        format_with_interval(profile.kept, "share"),
        *(format_value(cell["value"], "share") for cell in (profile.refused, profile.cut, profile.loops)),
        format_value(profile.words, "number"),
        format_with_interval(profile.seconds, "number"),
    )


def likeness_rows(placement: Placement) -> Iterator[tuple[str, ...]]:
    """Yield how alike the model is to each DGM, the nearest first."""
    yield "against", "similarity [95 %]", "n", "style distance [95 %]", "Markdown per reply"
    for profile in placement.dgms:
        cell = placement.similarity.get(profile.id, {}).get(OVERALL, {"value": None, "ci95": None, "n": 0})
        markup = format_value(profile.markup, "number")
        style = format_with_interval(placement.style[profile.id], "number")
        yield show(profile.id), format_with_interval(cell, "share"), str(cell["n"]), style, markup
    yield "itself", "", "", "", format_value(placement.own.markup, "number")


def judge_rows(placement: Placement) -> Iterator[tuple[str, ...]]:
    """Yield the judge's choices between the model and each anchor."""
    yield f"judged by {show(placement.judge)}", "share won [95 %]", "prompts", "verdict", "why no more"
    for each in placement.standings:
        share_won = format_with_interval({"value": each["share"], "ci95": each["interval"]}, "share")
        yield show(each["other"]), share_won, str(each["asked"]), str(each["verdict"]), str(each["why"])


def suitability_rows(placement: Placement) -> Iterator[tuple[str, ...]]:
    """Yield how well each base of the profile's runs could learn from the replies."""
    yield "suits the base", "Rank-Surprisal Ratio [95 %]", "n", "place [95 %]", "beside DGMs"
    for row in placement.suitability:
        ratio, place = (format_with_interval(row[name], "number") for name in ("ratio", "place"))
        yield show(row["base"]), ratio, str(row["conversations"]), place, str(row["dgms"])


def list_notes(placement: Placement) -> Iterator[str]:
    """Yield what the user must know, and which DGMs are left out."""
    yield from placement.notes
    yield from (f"{dgm} is left out: {why}" for dgm, why in placement.left_out.items())


def addition_lines(placement: Placement) -> Iterator[str]:
    """Yield the lines to add to params.yaml, each with its list."""
    own = placement.own.id
    for name, why in placement.add_to.items():
        yield f"{name}: it is there" if not why else f"to `{name}` of params.yaml, {why}:"
        if why:
            yield f"- {own}"
