"""How far the style of a model is from that of others, on the turns that both answered."""

import numpy as np

from stages.lib.core.types import Floats, Json
from stages.lib.statistics.bootstrap import Bootstrap
from stages.lib.style.features import StyleGrid
from stages.lib.style.inheritance import build_profiles, measure_inheritance
from stages.lib.style.ratios import add_interval, keep_shared_turns


def measure_distances(own: str, grid: StyleGrid, bootstrap: Bootstrap) -> dict[str, Json]:
    """Measure how far the style of a model is from that of each other model of a grid.

    The distance is that of `measure_inheritance`: of mean profiles, in standard deviations of a reply, with its 95 %
    interval.
    """
    profiles = dict(zip(grid.values, build_profiles(*grid.values.values()), strict=True))
    return {
        other: measure_distance(profiles[own], profile, bootstrap)
        for other, profile in profiles.items()
        if other != own
    }


def measure_distance(one: Floats, other: Floats, bootstrap: Bootstrap) -> Json:
    """Measure the distance of two profiles [turn, feature], and over how many turns."""
    shared = keep_shared_turns(one, other) if one.shape[1] else [one, other]
    turns = int(np.isfinite(shared[0][:, 0]).sum()) if one.shape[1] else len(one)
    if not turns or not one.shape[1]:
        return {"value": None if not turns else 0.0, "ci95": None, "turns": turns}
    means = [np.nanmean(values, axis=0) for values in shared]
    draws = [bootstrap.resampled_means(values) for values in shared]
    distance, spread = (measure_inheritance(place[0], place[1], place[0])["distance"] for place in (means, draws))
    return add_interval(float(distance), spread) | {"turns": turns}
