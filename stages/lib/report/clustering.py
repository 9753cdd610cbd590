"""The similarity of all pairs as a square, those that are alike beside one another."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from stages.lib.core.types import Floats

FEWEST = 3  # names: two have but one number


def square(pairs: Mapping[str, Any], metric: str) -> tuple[list[str], Floats]:
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
    apart = 1 - np.where(np.isnan(values), np.nanmin(values), values)
    np.fill_diagonal(apart, 0.0)
    order = leaves_list(linkage(squareform(apart, checks=False), "average", optimal_ordering=True))
    return [names[place] for place in order], values[np.ix_(order, order)]
