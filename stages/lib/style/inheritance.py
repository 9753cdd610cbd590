"""How much of a DGM's style a fine-tune inherits: how far it went from its base's style to the DGM's (sec. 3.2)."""

import numpy as np

from stages.lib.core.types import Floats, Json
from stages.lib.statistics.bootstrap import Bootstrap
from stages.lib.style.ratios import add_interval, keep_shared_turns


def measure_inheritance(tuned: Floats, dgm: Floats, base: Floats) -> dict[str, Floats]:
    """Measure how far a fine-tune went from its base's style to the DGM's, by profiles [..., feature].

    `inheritance` is the projection of (tuned - base) on (dgm - base): 0 is the base's style, 1 the DGM's, above 1 more
    than the DGM's, below 0 the opposite direction. `direction` is the cosine between the two: 1 if nothing else
    changed. `distance` is that between base and DGM. NaN if base and DGM, or for the direction base and fine-tune, have
    the same profile.
    """
    moved, way = tuned - base, dgm - base
    along, square = (moved * way).sum(axis=-1), (way * way).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "inheritance": np.where(square > 0, along / square, np.nan),
            "direction": along / np.sqrt(square * (moved * moved).sum(axis=-1)),
            "distance": np.sqrt(square / max(way.shape[-1], 1)),
        }


def build_profiles(*models: Floats) -> list[Floats]:
    """Return the answers of several models as profiles: ln(1 + feature), in standard deviations over all of them.

    The logarithm keeps one answer with fifty items from deciding. Features in which no answers differ are left out.
    """
    logs = [np.log1p(values) for values in models]
    together = np.concatenate(logs)
    together = together[np.isfinite(together[:, 0])]
    deviations: Floats = together.std(axis=0)
    varies = deviations > 0
    return [values[:, varies] / deviations[varies] for values in logs]


def compare_inheritance(tuned: Floats, dgm: Floats, base: Floats, bootstrap: Bootstrap) -> Json:
    """Measure inheritance on the turns that all three answered, [turn, feature], with 95 % intervals."""
    profiles = build_profiles(*keep_shared_turns(tuned, dgm, base))
    points = measure_inheritance(*(np.nanmean(values, axis=0) for values in profiles))
    draws = measure_inheritance(*(bootstrap.resampled_means(values) for values in profiles))
    return {name: add_interval(float(points[name]), draws[name]) for name in points}
