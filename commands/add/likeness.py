"""How alike a model replies to each DGM, and how alike it writes: on the prompts that both answered."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from commands.add.field import Sample
from commands.compare.mixing import mean_share, read_pairs
from stages.lib.console.shell import progress
from stages.lib.core.types import Floats, Json
from stages.lib.core.workers import choose_num_processes
from stages.lib.records.responses import UNANSWERED
from stages.lib.settings.sections import Styling
from stages.lib.similarity.measures import COLUMNS, MEASURES
from stages.lib.similarity.pair_scores import PAIRS_FILE, PAIRS_PER_PROCESS, TurnReplies, score_turns
from stages.lib.style.features import StyleGrid, align_answers, count_answers
from stages.lib.style.inheritance import build_profiles

OVERALL = "mean"  # of the measures


def measure_similarity(own: Sample, others: Sequence[Sample], use_synonyms: bool) -> dict[str, Json]:
    """Measure how alike the first replies are to those of each DGM: the mean of the measures, and each of them.

    A measure that takes one reply as the reference is averaged over both roles. The mean is over the prompts for which
    every measure has a score.
    """
    turns = [(other.id, turn) for other in others for turn in pair_replies(own, other)]
    scored = score_turns((turn for _, turn in turns), use_synonyms, choose_num_processes(len(turns), PAIRS_PER_PROCESS))
    shown = progress(scored, desc="similarity", unit="pairs of replies", total=len(turns))
    columns = zip((dgm for dgm, _ in turns), (scores.values[:, 0] for _, scores in shown), strict=True)
    return {dgm: describe_scores(np.array([values for _, values in rows])) for dgm, rows in groupby(columns, key=first)}


def first(pair: tuple[str, Floats]) -> str:
    """Return the first of a pair."""
    return pair[0]


def pair_replies(own: Sample, other: Sample) -> Iterator[TurnReplies]:
    """Yield the first replies of both to each prompt that both have."""
    for key in own.rows:
        if key in other.rows:
            yield TurnReplies(key, 1, [first_reply(sample, key) for sample in (own, other)])


def first_reply(sample: Sample, key: str) -> str:
    """Return the first reply to a prompt; empty where there is none."""
    turn = sample.rows[key]["turns"][0]
    return "" if turn["finish_reason"] in UNANSWERED else turn["assistant"] or ""


def describe_scores(values: Floats) -> Json:
    """Describe scores [prompt, column] as cells: the mean of the measures, and each of them."""
    measures = {
        measure.name: (values[:, COLUMNS.index(measure.name)] + values[:, COLUMNS.index(measure.reverse)]) / 2
        for measure in MEASURES
    }
    return {OVERALL: mean_share(np.mean([*measures.values()], axis=0))} | {
        name: mean_share(scores) for name, scores in measures.items()
    }


def read_spread(folder: Path) -> tuple[float, float] | None:
    """Return the least and the largest similarity of two DGMs, by the stage of that name; None where it has not run."""
    pairs = read_pairs(folder).values() if (folder / PAIRS_FILE).is_file() else []
    means = [[pair[name]["mean"] for name in COLUMNS] for pair in pairs]
    known = [
        float(values[OVERALL]["value"])
        for values in (describe_scores(np.array([row], float)) for row in means)
        if values[OVERALL]["value"] is not None
    ]
    return (min(known), max(known)) if known else None


def build_grid(samples: Sequence[Sample], styling: Styling) -> StyleGrid:
    """Count the features of every reply of several models, on the same turns."""
    return align_answers({
        sample.id: count_answers(sample.rows.values(), "conversation_hash", styling.parser) for sample in samples
    })


def choose_anchors(grid: StyleGrid, dgms: Sequence[str], number: int) -> list[str]:
    """Choose DGMs that span the field by their styles, whatever the new model is.

    The first is nearest to the mean of all; then each time comes the one that is farthest from all that are chosen
    (Gonzalez 1985). Of equal ones the first by id.
    """
    names = sorted(dgm for dgm in dgms if np.isfinite(grid.values[dgm]).any())
    if len(names) <= number:
        return names
    profiles = build_profiles(*(grid.values[dgm] for dgm in names))
    places = np.array([np.nanmean(profile, axis=0) for profile in profiles])
    chosen = [int(np.argmin(lengths(places - places.mean(axis=0))))]
    while len(chosen) < number:
        gaps = np.min([lengths(places - places[place]) for place in chosen], axis=0)
        chosen.append(int(np.argmax(gaps)))
    return [names[place] for place in chosen]


def lengths(vectors: Floats) -> Floats:
    """Return the length of each vector [row, feature]."""
    return np.asarray(np.sqrt((vectors**2).sum(axis=1)))


def nearest(cells: Mapping[str, Json], *, largest: bool = False) -> str:
    """Return the DGM with the smallest value, or the largest, the first by id of equal ones; empty without any."""
    known = {dgm: cell["value"] for dgm, cell in cells.items() if cell["value"] is not None}
    order = sorted(known, key=lambda dgm: (-known[dgm] if largest else known[dgm], dgm))
    return order[0] if order else ""
