"""Where a new model stands: all that was found out, its row of metrics/standing.json, and the answer in words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from commands.add.field import Sample
from commands.add.likeness import OVERALL, nearest
from commands.compare.lines import format_interval, format_value
from commands.compare.mixing import join
from stages.lib.core.files import read_json, write_json
from stages.lib.core.numbers import round_decimals, round_significant
from stages.lib.core.types import Json
from stages.lib.statistics.intervals import share_interval
from stages.lib.statistics.verdicts import Verdict
from stages.lib.style.features import StyleGrid, add_markup

STANDING = Path("metrics/standing.json")
LOOP = "loop"  # a reason of validation
CHOICES = ("share", "interval", "asked", "counted", "verdict", "why")  # of a row of the judge that git keeps


@dataclass(frozen=True)
class Profile:
    """What one model's replies to the prompts are like; cells have `value` and `ci95`."""

    id: str
    name: str
    conversations: int
    replies: int
    kept: Json
    refused: Json
    cut: Json
    loops: Json
    words: float  # per reply
    markup: float | None  # Markdown elements per reply
    tokens: float  # per reply
    seconds: Json  # for 1,000 kept conversations
    money: Json  # for 1,000 kept conversations
    hardware: str


@dataclass(frozen=True)
class Placement:
    """Where a model stands among the DGMs of a profile."""

    own: Profile
    commit: str
    profile: str  # the name of the profile
    prompts: int
    dgms: list[Profile]  # the nearest first
    similarity: dict[str, Json]  # by DGM
    style: dict[str, Json]  # distance by DGM
    judge: str  # its id
    calls: int  # judge replies that it may take
    standings: list[Json]  # a row for each anchor, as `pairwise` describes a stopped pair
    no_judge: str = ""  # why nobody judged
    suitability: list[Json] = field(default_factory=list)  # a row for each base that runs use
    left_out: Mapping[str, str] = field(default_factory=dict)  # DGMs, and why
    notes: list[str] = field(default_factory=list)  # what the user must know
    add_to: Mapping[str, str] = field(default_factory=dict)  # lists of params.yaml, and why; empty: it is in it
    samples: list[Sample] = field(default_factory=list)  # of the model and of the DGMs, to read

    @property
    def nearest(self) -> str:
        """The DGM whose replies are the most alike; empty without any."""
        return nearest({dgm: cells[OVERALL] for dgm, cells in self.similarity.items()}, largest=True)

    @property
    def nearest_in_style(self) -> str:
        """The DGM whose style is nearest; empty without any."""
        return nearest(self.style)


def describe_sample(sample: Sample, grid: StyleGrid) -> Profile:
    """Describe what the replies of a model are like."""
    quality, counts, costs = sample.quality, sample.counts, sample.costs
    markup = add_markup(grid.values[sample.id])[:, -1]
    known = markup[np.isfinite(markup)]
    return Profile(
        id=sample.id,
        name=sample.name,
        conversations=counts.conversations,
        replies=quality.replies,
        kept=share(counts.kept, counts.conversations),
        refused=share(quality.refusals, quality.replies),
        cut=share(quality.cut, quality.replies),
        loops=share(counts.found[LOOP], counts.conversations),
        words=quality.share(quality.num_words),
        markup=float(known.mean()) if len(known) else None,
        tokens=quality.share(quality.tokens),
        seconds=costs["seconds_per_1000_kept"],
        money=costs["money_per_1000_kept"],
        hardware=", ".join(costs.get("hardware", [])),
    )


def nearest_first(profiles: list[Profile], similarity: Mapping[str, Json]) -> list[Profile]:
    """Sort the DGMs by how alike they reply, those of unknown similarity last."""
    values = {dgm: cells[OVERALL]["value"] for dgm, cells in similarity.items()}
    known = {dgm: value for dgm, value in values.items() if value is not None}
    return sorted(profiles, key=lambda profile: (-known.get(profile.id, -1.0), profile.id))


def share(number: int, total: int) -> Json:
    """Return a share as a cell; without a value for a share of nothing."""
    return {"value": number / total if total else None, "ci95": share_interval(number, total), "n": total}


def to_row(placement: Placement) -> Json:
    """Build the row of metrics/standing.json: numbers that git keeps, none of them a time of day."""
    own = placement.own
    similarity = {dgm: cells[OVERALL] for dgm, cells in placement.similarity.items()}
    choices = {each["other"]: {name: each[name] for name in CHOICES} for each in placement.standings}
    return {
        "name": own.name,  # string: as it is shown
        "commit": placement.commit,  # string: what pins the model
        "profile": placement.profile,  # string: of params.yaml
        "prompts": placement.prompts,  # integer: that were asked
        "kept": round_decimals(own.kept),  # object: share of conversations that validation keeps, with `ci95` and `n`
        "refused": round_decimals(own.refused),  # object: share of replies that refuse
        "cut": round_decimals(own.cut),  # object: share of replies that end at the limit
        "loops": round_decimals(own.loops),  # object: share of conversations with a loop
        "words": round_significant(own.words),  # number: per reply
        "markup": round_significant(own.markup),  # number or null: Markdown elements per reply
        "seconds_per_1000_kept": round_significant(own.seconds),  # object: time for 1,000 kept conversations
        "money_per_1000_kept": round_significant(own.money),  # object: its price, if there is one
        "nearest": placement.nearest,  # string: the DGM that replies most alike; empty without any
        "nearest_in_style": placement.nearest_in_style,  # string: the DGM with the nearest style; empty without any
        "similarity": round_decimals(similarity),  # object: to each DGM, of first replies: `value`, `ci95`, `n`
        "style_distance": round_decimals(placement.style),  # object: to each DGM, in standard deviations of a reply
        "judge": placement.judge,  # string: its id; empty where nobody judged
        "choices": choices,  # object: of the judge, by DGM: the share won with ties as halves, the verdict, and why
        "suitability": round_significant(placement.suitability),  # list: for each base that runs use; empty: not known
        "left_out": sorted(placement.left_out),  # list: DGMs that had answered too few of the prompts
    }


def write_row(model: str, row: Json) -> None:
    """Put the row of a model into metrics/standing.json; the others stay as they are."""
    rows = read_json(STANDING) if STANDING.exists() else {}
    write_json(STANDING, rows | {model: row})


def answer(placement: Placement) -> str:
    """Say in one sentence where the model stands."""
    own = placement.own.id
    if not placement.dgms:
        return f"{own} stands alone: no DGM of the profile has answered these prompts."
    parts = [f"{own} replies most like {describe_nearest(placement)}"] if placement.nearest else []
    if style := placement.nearest_in_style:
        distance = format_value(placement.style[style]["value"], "number")
        parts.append(f"its style is nearest to that of {style} (distance {distance})")
    return f"{', '.join(parts)}; {describe_judge(placement)}."


def describe_nearest(placement: Placement) -> str:
    """Name the DGM that replies most alike, with the similarity."""
    cell = placement.similarity[placement.nearest][OVERALL]
    interval = format_interval(cell["ci95"], "share")
    return f"{placement.nearest} (similarity {format_value(cell['value'], 'share')} {interval}, n = {cell['n']})"


def describe_judge(placement: Placement) -> str:
    """Say what the judge found, with the DGMs that it is about."""
    if placement.no_judge:
        return f"no verdict of a judge: {placement.no_judge}"
    words = {Verdict.BETTER: "better than", Verdict.WORSE: "worse than", Verdict.EQUIVALENT: "equivalent to"}
    words |= {Verdict.NOT_DECIDED: "not decided against"}
    by_verdict = {
        text: [each["other"] for each in placement.standings if each["verdict"] == verdict]
        for verdict, text in words.items()
    }
    return f"the judge: {', '.join(f'{text} {join(names)}' for text, names in by_verdict.items() if names)}"
