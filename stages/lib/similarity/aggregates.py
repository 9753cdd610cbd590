"""Aggregates of the scores of all pairs of models: by pair, model and prompt, and with a few references.

The scores are an array [prompt, column, pair]: columns in the order of measures.COLUMNS, pairs in the order of
itertools.combinations, NaN where there is none. The models are fixed and the prompts are sampled, so that standard
errors are over prompts.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.lib.core.numbers import round_decimals
from stages.lib.core.types import Floats, Json
from stages.lib.records.hashing import keyed_hash
from stages.lib.similarity.measures import COLUMNS, MEASURES, REASONS

QUANTILES = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}


def mask_nan(values: Floats) -> Any:
    """Mask the values that are NaN, so that a mean over nothing is masked too."""
    return np.ma.masked_invalid(values)  # type: ignore[no-untyped-call]


def mean_of_known(values: Floats, axis: int) -> Floats:
    """Average the values that are not NaN; NaN where all are."""
    means: Floats = mask_nan(values).mean(axis=axis).filled(np.nan)
    return means


def std_of_known(values: Floats) -> Floats:
    """Return each row's standard deviation (n - 1) of the values that are not NaN; NaN for fewer than two."""
    deviations: Floats = mask_nan(values).std(axis=1, ddof=1).filled(np.nan)
    return deviations


def average_turns(values: Floats, conversations: Sequence[str]) -> Floats:
    """Average over the turns of each conversation, which stand together on the first axis."""
    starts = [place for place, name in enumerate(conversations) if place == 0 or name != conversations[place - 1]]
    return np.array([mean_of_known(turns, 0) for turns in np.split(values, starts[1:])]) if starts else values


def moments(values: Floats) -> Json:
    """Return mean, standard deviation (n - 1), standard error of the mean and n of the values that are not NaN."""
    known = values[~np.isnan(values)]
    deviation = float(known.std(ddof=1)) if len(known) > 1 else None
    return {
        "n": len(known),
        "mean": round_decimals(float(known.mean())) if len(known) else None,
        "std": round_decimals(deviation),
        "stderr": None if deviation is None else round_decimals(deviation / len(known) ** 0.5),
    }


def quantiles(values: Floats) -> Json:
    """Return QUANTILES of the values that are not NaN."""
    known = values[~np.isnan(values)]
    return {
        name: round_decimals(float(np.quantile(known, share))) if len(known) else None
        for name, share in QUANTILES.items()
    }


def describe_pairs(models: Sequence[str], values: Floats, reasons: NDArray[np.int8], shares: Floats) -> Json:
    """Describe each pair, by "one other": the moments of every column over prompts, and turns without a score.

    `reasons` are [turn, pair], places in REASONS, and `shares` what ROUGE reads. `meteor` takes the second model's
    reply as the reference.
    """
    return {
        f"{one} {other}": {
            **{name: moments(values[:, column, pair]) for column, name in enumerate(COLUMNS)},
            "turns": len(reasons),  # integer: that both answered
            "unscorable": count_reasons(reasons[:, pair]),  # object: turns without a score, by reason
            "share_read": average_share(shares[:, pair]),  # number or null: mean share of the letters that ROUGE reads
        }
        for pair, (one, other) in enumerate(combinations(models, 2))
    }


def count_reasons(reasons: NDArray[np.int8]) -> dict[str, int]:
    """Count each reason. METEOR has no score for `no_reply`, ROUGE for all."""
    return {reason: int(np.count_nonzero(reasons == code)) for code, reason in enumerate(REASONS) if reason}


def average_share(shares: Floats) -> float | None:
    """Return the mean share of the letters that ROUGE reads in a pair; None without a pair of replies."""
    known = shares[~np.isnan(shares)]
    return round_decimals(float(known.mean())) if len(known) else None


def average_with(values: Floats, num_models: int, model: int, others: Sequence[int]) -> Floats:
    """Average one model's scores with `others`, which are METEOR's references: [prompt, measure]."""
    pairs = {pair: place for place, pair in enumerate(combinations(range(num_models), 2))}
    forward = [COLUMNS.index(measure.name) for measure in MEASURES]
    reverse = [COLUMNS.index(measure.reverse) for measure in MEASURES]
    scores = [
        values[:, forward, pairs[model, other]] if model < other else values[:, reverse, pairs[other, model]]
        for other in others
    ]
    return mean_of_known(np.array(scores), 0)


def describe_models(models: Sequence[str], values: Floats) -> Json:
    """Describe how consensus-driven each model is (paper, App. A): its mean with all others, over prompts."""
    everyone = range(len(models))
    return {
        model: describe_measures(average_with(values, len(models), place, [n for n in everyone if n != place]))
        for place, model in enumerate(models)
    }


def describe_measures(values: Floats) -> Json:
    """Return the moments of each measure of [prompt, measure]."""
    return {measure.name: moments(values[:, place]) for place, measure in enumerate(MEASURES)}


def draw_references(models: Sequence[str], num_references: int, seed: int) -> list[str]:
    """Draw reference models and one spare: those of the smallest keyed hashes, whatever the models' order."""
    return sorted(models, key=lambda model: keyed_hash(seed, "reference", model))[: num_references + 1]


def compare_with_references(models: Sequence[str], values: Floats, num_references: int, seed: int) -> Json:
    """Describe the paper's way (App. A): each model with the same few others, drawn once.

    A model that was drawn itself is compared with the spare reference in its own place, so that all have as many
    references and none is compared with itself.
    """
    if num_references >= len(models):
        needed = num_references + 1
        return {"reason": f"{num_references} references for each take {needed} DGMs, and there are {len(models)}"}
    drawn = draw_references(models, num_references, seed)
    described = {}
    for place, model in enumerate(models):
        others = [models.index(name) for name in drawn if name != model][:num_references]
        described[model] = describe_measures(average_with(values, len(models), place, others))
    return {"references": drawn[:num_references], "in_reserve": drawn[num_references], "dgms": described}


def describe_spread(values: Floats) -> Json:
    """Describe the spread over prompts: quantiles of the mean over all pairs, and of the deviation between them.

    METEOR counts both roles of a pair.
    """
    spread = {}
    for measure in MEASURES:
        columns = [COLUMNS.index(name) for name in dict.fromkeys(measure)]
        scores = np.hstack([values[:, column] for column in columns])
        spread[measure.name] = {
            "mean": quantiles(mean_of_known(scores, 1)),
            "std_between_pairs": quantiles(std_of_known(scores)),
        }
    return spread
