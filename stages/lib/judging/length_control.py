"""How often a model is preferred at equal length: AlpacaEval 2's control for judges that like long replies.

Dubois et al., 2024 (arXiv:2404.04475): a logistic regression of the preference on tanh(d / sd(d)), where d is the
difference of the replies' lengths; the rate at d = 0 is the sigmoid of the intercept. Their terms for the difficulty of
each instruction, which need the judgments of many models, and their weak regularization are left out.
"""

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from stages.lib.core.types import Floats, Ints, Json
from stages.lib.evaluation.results import Z95


def length_controlled_rate(outcomes: Floats, extra_chars: Floats, questions: Ints) -> Json:
    """Estimate the share of turns that one of two models would win if the replies were equally long.

    All arguments are [turn]. `outcomes`: 1, 0 or -1, NaN where not compared; a tie is half a win. `extra_chars`: by how
    many characters the model's reply is longer. `questions`: turns of one question are a cluster.
    Returned are `raw`, the same share at the lengths as they are, the mean of `extra_chars`, and `rate` with its
    interval; NaN where it is not defined, with the `reason`.
    """
    known = np.isfinite(outcomes) & np.isfinite(extra_chars)
    wins = (outcomes[known] + 1) / 2
    extra = extra_chars[known]
    measured: Json = {
        "turns": len(wins),
        "raw": float(wins.mean()) if len(wins) else np.nan,
        "extra_chars": float(extra.mean()) if len(extra) else np.nan,
    }
    if reason := find_undefined_reason(wins, extra):
        return {**measured, "rate": np.nan, "ci95": [np.nan, np.nan], "reason": reason}
    scaled = np.tanh(extra / extra.std())
    coefficients = fit_logistic(wins, scaled)
    intercept = coefficients[0]
    half_width = Z95 * intercept_stderr(wins, scaled, coefficients, questions[known])
    ci95 = [float(expit(intercept - half_width)), float(expit(intercept + half_width))]
    return {**measured, "rate": float(expit(intercept)), "ci95": ci95, "reason": ""}


def find_undefined_reason(wins: Floats, extra: Floats) -> str:
    """Return why no rate can be fitted (too little varies, or the likelihood has no maximum); empty when one can."""
    if len(wins) < 2:
        return "fewer than two turns"
    if (wins == 1).all() or (wins == 0).all():
        return "one model is preferred on every turn"
    if (extra == extra[0]).all():
        return "the lengths differ by the same on every turn"
    if (extra > 0).all() or (extra < 0).all():
        return "one model's replies are the longer ones on every turn"
    won, lost = extra[wins > 0], extra[wins < 1]  # a tie is half of each
    if won.min() >= lost.max() or lost.min() >= won.max():
        return "the length alone tells who is preferred"
    return ""


def fit_logistic(wins: Floats, x: Floats) -> Floats:
    """Return intercept and slope of the likeliest logistic curve through shares of 0, one half and 1."""
    y = np.repeat([1, 0], len(wins))
    weights = np.concatenate([wins, 1 - wins])
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
    model.fit(np.tile(x, 2)[:, None], y, weights)
    return np.array([model.intercept_[0], model.coef_[0, 0]])


def intercept_stderr(wins: Floats, x: Floats, coefficients: Floats, questions: Ints) -> float:
    """Return the standard error of the intercept, turns of one question as a cluster (Liang and Zeger 1986).

    The sandwich estimator needs no binomial variance, which shares of one half do not have. NaN for fewer than two
    questions.
    """
    design = np.stack([np.ones_like(x), x], axis=1)
    expected = expit(design @ coefficients)
    bread = np.linalg.inv((design * (expected * (1 - expected))[:, None]).T @ design)
    names, places = np.unique(questions, return_inverse=True)
    if len(names) < 2:
        return float("nan")
    scores = np.zeros((len(names), 2))
    np.add.at(scores, places, design * (wins - expected)[:, None])
    meat = scores.T @ scores * len(names) / (len(names) - 1)
    return float(np.sqrt((bread @ meat @ bread)[0, 0]))
