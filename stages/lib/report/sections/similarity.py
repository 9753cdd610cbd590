"""Similarity: how alike every two DGMs answer the same prompts."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from stages.lib.core.files import ROWS_SUMMARY
from stages.lib.core.numbers import num_decimals
from stages.lib.core.types import Floats, Json
from stages.lib.report.findings import find_extremes, to_sentence
from stages.lib.report.inputs import Inputs
from stages.lib.report.section import Content, Section, cell_of
from stages.lib.report.tables.heat import HeatCell, HeatMap, shade_between
from stages.lib.similarity.pair_scores import PAIRS_FILE
from stages.lib.statistics.intervals import score_interval

METRICS = ("rouge1", "rougeL", "meteor", "meteor_reversed")  # of a pair; a DGM has the first three
MOST_PAIRS = 100  # in the table
FEWEST = 3  # DGMs on a heat map: two have but one number
NO_SYNONYMS = "METEOR counts no synonyms: WordNet is not used (`make wordnet`, then `similarity.synonyms: true`)"


def build(inputs: Inputs) -> Content:
    """Read the scores of every DGM and of every two."""
    if "similarity" in inputs.absent:
        return Content(skipped=inputs.absent["similarity"])
    folder = inputs.files.data / "similarity"
    summary = inputs.files.read_json(folder / ROWS_SUMMARY)
    pairs = sort_by_rouge1(inputs.files.read_json(folder / PAIRS_FILE))
    return Content(
        values={
            "summary": summary,
            "dgms": sort_by_rouge1(summary.get("dgms", {})),
            "pairs": pairs,
            "most_pairs": MOST_PAIRS,
            "pairs_file": PAIRS_FILE,
            "decimals": {
                "dgms": count_decimals(summary.get("dgms", {}), METRICS[:3]),
                "pairs": count_decimals(dict(islice(pairs.items(), MOST_PAIRS)), METRICS),
            },
            "map": map_similarity(pairs),
        },
        finding=find_alike(pairs),
        gaps=[NO_SYNONYMS] if summary and not summary["synonyms"] else [],
        skipped="" if pairs else f"it needs two DGMs, and there is {len(inputs.dgms) or 'none'}",
    )


def sort_by_rouge1(scores: Mapping[str, Any]) -> Json:
    """Sort the scores of DGMs or pairs of DGMs by their mean ROUGE-1, the highest first."""
    return dict(sorted(scores.items(), key=lambda item: -(item[1]["rouge1"]["mean"] or 0)))


def count_decimals(scores: Mapping[str, Any], metrics: Sequence[str]) -> dict[str, int]:
    """Return, by metric, how many decimals the intervals of the means of DGMs or pairs of DGMs support."""
    return {name: num_decimals([to_cell(each[name]) for each in scores.values()]) for name in metrics}


def find_alike(pairs: Mapping[str, Any]) -> str:
    """Say which DGMs answer the most and the least alike."""
    cells = {pair.replace(" ", " and "): to_cell(scores["rouge1"]) for pair, scores in pairs.items()}
    return to_sentence(find_extremes(cells, "answer the most alike (ROUGE-1)", "the least", "has a ROUGE-1 of"))


def map_similarity(pairs: Mapping[str, Any]) -> HeatMap | None:
    """Return the ROUGE-1 of every two DGMs as a heat map, where there are more than two."""
    names, values = cluster(pairs, "rouge1")
    if len(names) < FEWEST or np.isnan(values).all():
        return None
    lowest, highest = float(np.nanmin(values)), float(np.nanmax(values))

    def show(row: int, column: int) -> HeatCell | None:
        value = float(values[row, column])
        return None if np.isnan(value) else HeatCell(f"{value:.2f}", shade_between(value, lowest, highest))

    places = range(len(names))
    rows = {names[row]: {names[column]: show(row, column) for column in places} for row in places}
    return HeatMap("ROUGE-1", "and", rows, (f"{lowest:.2f}, least alike", f"{highest:.2f}, most alike"))


def to_cell(score: Mapping[str, Any]) -> Json:
    """Return the mean of a pair of DGMs over prompts, with its 95 % interval where its standard error is known."""
    mean, stderr = score["mean"], score["stderr"]
    if stderr is None:
        return cell_of(mean, None)
    ends = score_interval(np.array([mean]), np.array([stderr]), np.array([float(score["n"])]))[0]
    return cell_of(mean, [float(end) for end in ends])


def cluster(pairs: Mapping[str, Any], metric: str) -> tuple[list[str], Floats]:
    """The names of pairs (`one other`) and the mean score of every two, NaN where there is none and on the diagonal.

    The names are in the order of the leaves of a tree (average linkage of 1 less the score, neighbours as alike as can
    be: Bar-Joseph et al. 2001, as in scipy); a pair without a score counts as the least alike. Too few: in their order.
    """
    names = sorted({name for pair in pairs for name in pair.split(" ")})
    values = np.full((len(names), len(names)), np.nan)
    for pair, scores in pairs.items():
        one, other = (names.index(name) for name in pair.split(" "))
        values[one, other] = values[other, one] = np.nan if scores[metric]["mean"] is None else scores[metric]["mean"]
    if len(names) < FEWEST or np.isnan(values).all():
        return names, values
    distances = 1 - np.where(np.isnan(values), np.nanmin(values), values)
    np.fill_diagonal(distances, 0.0)
    order = leaves_list(linkage(squareform(distances, checks=False), "average", optimal_ordering=True))
    return [names[place] for place in order], values[np.ix_(order, order)]


SECTION = Section(
    name="similarity",
    title="Similarity",
    question="How alike do the DGMs answer?",
    sources={"similarity": "all numbers"},
    build=build,
)
