"""How often a model is preferred at equal length: AlpacaEval 2's control for judges that like long replies.

Dubois et al., 2024 (arXiv:2404.04475): a logistic regression of the preference on tanh(d / sd(d)), d the difference of
the replies' lengths; the rate at d = 0 is the sigmoid of the intercept. Without their terms for the difficulty of each
instruction, which need the judgments of many models, and without their weak regularization.
"""

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from stages.lib.core.types import Floats, Ints, Json
from stages.lib.evaluation.results import Z95


def rate_at_equal_length(outcomes: Floats, extra: Floats, questions: Ints) -> Json:
    """The share of turns that one of two models would win were the replies of equal length, a tie as half a win.

    `outcomes`: 1, 0 or -1 per turn, NaN where not compared; `extra`: by how many characters its reply is longer;
    `questions`: of each turn. `raw`: the same share at the lengths as they are. `extra_chars`: the mean of `extra`.
    `rate` is null where it cannot be told, and `reason` says why.
    """
    known = np.isfinite(outcomes) & np.isfinite(extra)
    share, d, clusters = (outcomes[known] + 1) / 2, extra[known], questions[known]
    found: Json = {
        "turns": len(share),
        "raw": float(share.mean()) if len(share) else np.nan,
        "extra_chars": float(d.mean()) if len(d) else np.nan,
    }
    reason = undefined(share, d)
    if reason:
        return {**found, "rate": np.nan, "ci95": [np.nan, np.nan], "reason": reason}
    x = np.tanh(d / d.std())
    beta = fit(share, x)
    width = Z95 * intercept_error(share, x, beta, clusters)
    return {
        **found,
        "rate": float(expit(beta[0])),
        "ci95": [float(expit(beta[0] - width)), float(expit(beta[0] + width))],
        "reason": "",
    }


def undefined(share: Floats, d: Floats) -> str:
    """Why no rate can be fitted: too little varies, or the likelihood has no maximum; empty when one can be."""
    if len(share) < 2:
        return "fewer than two turns"
    if (share == 1).all() or (share == 0).all():
        return "one model is preferred on every turn"
    if (d == d[0]).all():
        return "the lengths differ by the same on every turn"
    if (d > 0).all() or (d < 0).all():
        return "one model's replies are the longer ones on every turn"
    won, lost = d[share > 0], d[share < 1]  # a tie is half of each
    if won.min() >= lost.max() or lost.min() >= won.max():
        return "the length alone tells who is preferred"
    return ""


def fit(share: Floats, x: Floats) -> Floats:
    """Intercept and slope of the likeliest logistic curve through shares of 0, one half and 1."""
    y = np.repeat([1, 0], len(share))
    weights = np.concatenate([share, 1 - share])
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
    model.fit(np.tile(x, 2)[:, None], y, weights)
    return np.array([model.intercept_[0], model.coef_[0, 0]])


def intercept_error(share: Floats, x: Floats, beta: Floats, questions: Ints) -> float:
    """Standard error of the intercept, turns of one question as a cluster (Liang and Zeger 1986, the sandwich).

    It needs no binomial variance, which shares of one half do not have. NaN for fewer than two questions.
    """
    design = np.stack([np.ones_like(x), x], axis=1)
    expected = expit(design @ beta)
    bread = np.linalg.inv((design * (expected * (1 - expected))[:, None]).T @ design)
    names, places = np.unique(questions, return_inverse=True)
    if len(names) < 2:
        return float("nan")
    scores = np.zeros((len(names), 2))
    np.add.at(scores, places, design * (share - expected)[:, None])
    meat = scores.T @ scores * len(names) / (len(names) - 1)
    return float(np.sqrt((bread @ meat @ bread)[0, 0]))
