"""What the scores of all pairs of models say: of each pair, each model, each prompt, and against a few references.

The scores are an array [prompt, metric, pair], pairs in the order of itertools.combinations, NaN where there is none.
Prompts are what is drawn, so standard errors are over them: the models are these, and no sample of others.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.lib.core.numbers import round_decimals
from stages.lib.core.types import Floats, Json
from stages.lib.records.hashing import keyed_hash
from stages.lib.similarity.pair_scores import METRICS, REASONS

REPORTED_METRICS = METRICS[:3]
QUANTILES = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}


def known(values: Floats) -> Any:  # noqa: ANN401  (numpy's masked arrays have no types)
    """The values without those that are NaN; what is made of none of them is masked."""
    return np.ma.masked_invalid(values)  # type: ignore[no-untyped-call]


def mean(values: Floats, axis: int) -> Floats:
    """The mean of the values that are not NaN; NaN where all are."""
    found: Floats = known(values).mean(axis=axis).filled(np.nan)
    return found


def by_prompt(values: Floats, conversations: Sequence[str]) -> Floats:
    """The mean over the turns of each conversation; those of one stand together on the first axis."""
    starts = [at for at, name in enumerate(conversations) if at == 0 or name != conversations[at - 1]]
    return np.array([mean(part, 0) for part in np.split(values, starts[1:])]) if starts else values


def moments(values: Floats) -> Json:
    """Mean, standard deviation (n - 1), standard error of the mean and n of the values that are not NaN."""
    there = values[~np.isnan(values)]
    deviation = float(there.std(ddof=1)) if len(there) > 1 else None
    return {
        "n": len(there),
        "mean": round_decimals(float(there.mean())) if len(there) else None,
        "std": round_decimals(deviation),
        "stderr": None if deviation is None else round_decimals(deviation / len(there) ** 0.5),
    }


def pair_table(models: Sequence[str], values: Floats, reasons: NDArray[np.int8]) -> Json:
    """Of each pair, by "one other": every metric's moments over prompts, and how many turns had no score and why.

    `reasons` are [turn, pair] and name what REASONS says. `meteor` takes the second as the reference.
    """
    return {
        f"{one} {other}": {
            **{metric: moments(values[:, row, column]) for row, metric in enumerate(METRICS)},
            "turns": len(reasons),
            "unscorable": counted(reasons[:, column]),
        }
        for column, (one, other) in enumerate(combinations(models, 2))
    }


def counted(reasons: NDArray[np.int8]) -> dict[str, int]:
    """How often each reason stands there. METEOR has no score for `no_reply`, ROUGE for both."""
    return {reason: int(np.count_nonzero(reasons == code)) for code, reason in enumerate(REASONS) if reason}


def against(values: Floats, models: int, one: int, others: Sequence[int]) -> Floats:
    """[prompt, metric of SHOWN]: one model's scores, the mean over the others; for METEOR they are the references."""
    columns = {pair: column for column, pair in enumerate(combinations(range(models), 2))}
    parts = [
        values[:, [0, 1, 2], columns[one, other]] if one < other else values[:, [0, 1, 3], columns[other, one]]
        for other in others
    ]
    return mean(np.array(parts), 0)


def model_table(models: Sequence[str], values: Floats) -> Json:
    """How consensus-driven each model is (paper, App. A): its mean with all others, over prompts."""
    found = {}
    for place, model in enumerate(models):
        others = [number for number in range(len(models)) if number != place]
        found[model] = all_moments(against(values, len(models), place, others))
    return found


def all_moments(values: Floats) -> Json:
    """Of [prompt, metric of SHOWN] each metric's moments."""
    return {metric: moments(values[:, column]) for column, metric in enumerate(REPORTED_METRICS)}


def draw(models: Sequence[str], k: int, seed: int) -> list[str]:
    """k reference models and one in reserve: those of the smallest keyed hashes, whatever the models' order."""
    return sorted(models, key=lambda model: keyed_hash(seed, "reference", model))[: k + 1]


def against_references(models: Sequence[str], values: Floats, k: int, seed: int) -> Json:
    """The paper's way (App. A): each model against k others, drawn once and the same for all.

    A model that was drawn itself meets the one in reserve in its own place, so that all have k and none meets itself.
    """
    if k >= len(models):
        return {"reason": f"{k} references for each take {k + 1} DGMs, and there are {len(models)}"}
    drawn = draw(models, k, seed)
    found = {}
    for place, model in enumerate(models):
        others = [models.index(name) for name in drawn if name != model][:k]
        found[model] = all_moments(against(values, len(models), place, others))
    return {"references": drawn[:k], "in_reserve": drawn[k], "dgms": found}


def spread(values: Floats) -> Json:
    """Over the prompts: quantiles of the mean over all pairs, and of the standard deviation between them.

    METEOR counts both roles of a pair.
    """
    merged = {"rouge1": values[:, 0], "rougeL": values[:, 1], "meteor": np.hstack([values[:, 2], values[:, 3]])}
    return {
        metric: {"mean": quantiles(mean(part, 1)), "std_between_pairs": quantiles(deviations(part))}
        for metric, part in merged.items()
    }


def deviations(values: Floats) -> Floats:
    """Of each row the standard deviation (n - 1) of the values that are not NaN; NaN where there are fewer than two."""
    found: Floats = known(values).std(axis=1, ddof=1).filled(np.nan)
    return found


def quantiles(values: Floats) -> Json:
    """QUANTILES of the values that are not NaN."""
    there = values[~np.isnan(values)]
    return {
        name: round_decimals(float(np.quantile(there, at))) if len(there) else None for name, at in QUANTILES.items()
    }
