"""The numbers of pairs that were asked about until they were decided: they hold whenever one stops.

An interval of a fixed number of rows does not: who stops as soon as it excludes a half stops at a moment when it is
likely to be wrong. So all pairs of such a run have intervals and p of `statistics.betting`, also those of which every
question was asked.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from stages.lib.core.files import ROWS_SUMMARY, read_json
from stages.lib.core.numbers import round_significant
from stages.lib.core.pairs import Pair, pair_key
from stages.lib.core.types import Json
from stages.lib.judging.race import Rounds, Why
from stages.lib.judging.sequential import EVEN, Outcome
from stages.lib.settings.pairwise import Stop
from stages.lib.statistics.betting import anytime_interval, anytime_p
from stages.lib.statistics.significance import ALPHA, adjust_p_values
from stages.lib.statistics.verdicts import Verdict

SHOWN = ("asked", "counted", "why", "verdict", "share", "interval")  # beside the rates of a pair
OPPOSITE = {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER}


def describe_stops(rounds: Rounds, outcomes: Mapping[Pair, Sequence[Outcome]], stop: Stop, num_questions: int) -> Json:
    """Describe what was asked of each pair, why no more, and what was decided; and which models are the best."""
    whys, best = rounds.explain(), rounds.best
    asked, of_all = sum(rounds.asked.values()), num_questions * len(rounds.asked)
    stops = {
        "alpha": stop.alpha,  # number: the chance that any verdict is wrong
        "margin": stop.margin,  # number: of the share, within which models are equivalent
        "top": stop.top,  # integer: how many best models were looked for; 0: none
        "questions": num_questions,  # integer: of each pair
        "asked": asked,  # integer: questions of all pairs that were asked
        "saved": 1 - asked / of_all if of_all else None,  # number: the share of all pairs' questions that were not
        "best": best._asdict() if best else None,  # object: models that are among them, that are not, that may be
        "pairs": [describe_pair(pair, rounds, whys[pair], outcomes[pair]) for pair in rounds.asked],  # list: each pair
    }
    rounded: Json = round_significant(stops)
    return rounded


def describe_pair(pair: Pair, rounds: Rounds, why: Why, outcomes: Sequence[Outcome]) -> Json:
    """Describe one pair by the outcomes of its questions.

    All numbers are from the same bets, so that none contradicts the verdict.
    """
    alpha = rounds.rule.alpha
    measured = np.array(outcomes, dtype=float).reshape(-1, 3).T
    shares, ends = measured[0], anytime_interval(measured, ALPHA, alpha).tolist()
    return {
        "one": pair[0],  # string: a model
        "other": pair[1],  # string: the model it is compared with
        "asked": rounds.asked[pair],  # integer: its questions
        "counted": len(shares),  # integer: those of them with a choice in both orders
        "why": why,  # string: why no more were asked
        "verdict": rounds.verdicts[pair],  # string: on `one`, with `alpha` for all pairs together
        "share": float(shares.mean()) if len(shares) else None,  # number: of questions won by `one`, ties as halves
        "interval": anytime_interval(shares, alpha).tolist(),  # list: of `share`, with `alpha` for all pairs together
        "ci95": ends[0],  # list: of `share`, 95 % for this pair alone
        "ci95_won": ends[1],  # list: the same of the share won, without ties
        "ci95_lost": ends[2],  # list: the same of the share lost
        "p": float(anytime_p(shares, EVEN, alpha)),  # number: of a share of a half
    }


def read_stops(folder: Path) -> Json | None:
    """Read what was decided from data/pairwise; None where every question of every pair was asked."""
    stops: Json | None = read_json(folder / ROWS_SUMMARY).get("stop")
    return stops


def turn_pair(stop: Json) -> Json:
    """Return the numbers of a pair as its second model's against its first."""
    return {
        **stop,
        "one": stop["other"],
        "other": stop["one"],
        "verdict": OPPOSITE.get(stop["verdict"], stop["verdict"]),
        "share": None if stop["share"] is None else 1 - stop["share"],
        "interval": turn(stop["interval"]),
        "ci95": turn(stop["ci95"]),
        "ci95_won": stop["ci95_lost"],
        "ci95_lost": stop["ci95_won"],
    }


def turn(ends: Sequence[float]) -> list[float]:
    """Return the interval of 1 less a share."""
    return [1 - ends[1], 1 - ends[0]]


def apply_stops(rates: Mapping[str, Json], stops: Json) -> dict[str, Json]:
    """Put the intervals and tests that hold whenever one stops in the place of those of a fixed number of rows.

    `rates` are those of `preference_rates` with `equal_length`, by the name of the pair. At equal length there is no
    such interval, so that there is none.
    """
    both = chain(stops["pairs"], map(turn_pair, stops["pairs"]))
    known = {pair_key((stop["one"], stop["other"])): stop for stop in both}
    applied = {pair: apply_stop(pair_rates, known[pair]) for pair, pair_rates in rates.items()}
    q = adjust_p_values(np.array([pair_rates["p"] for pair_rates in applied.values()]))
    return {pair: pair_rates | {"q": float(each)} for (pair, pair_rates), each in zip(applied.items(), q, strict=True)}


def apply_stop(rates: Json, stop: Json) -> Json:
    """Replace the numbers of one pair, `net` by the mean over questions; where no turn is compared there are none."""
    applied = {**rates, "stop": {name: stop[name] for name in SHOWN}}
    if not rates["turns"]:
        return applied
    return {
        **applied,
        "ci95": stop["ci95_won"],
        "ci95_other": stop["ci95_lost"],
        "net": 2 * stop["share"] - 1,
        "net_ci95": [2 * end - 1 for end in stop["ci95"]],
        "p": stop["p"],
        "equal_length": {**rates["equal_length"], "ci95": [np.nan, np.nan]},
    }
