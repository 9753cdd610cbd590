"""The Rank-Surprisal Ratio of a set of conversations, its interval, and the order of DGMs."""

from typing import Any

import numpy as np
import pytest

from stages.lib.suitability.ratio import describe_suitability, rank_surprisal_ratio
from stages.lib.suitability.scores import mean_rank


def score(rank: float, surprisal: float, tokens: int = 10) -> dict[str, Any]:
    """A row of SCORE."""
    return {"identity": "", "status": "ok", "tokens": tokens, "rank": rank, "surprisal": surprisal}


def left_out(status: str) -> dict[str, Any]:
    """A row of SCORE of a conversation that is not scored."""
    return {"identity": "", "status": status, "tokens": None, "rank": None, "surprisal": None}


def test_a_rank_above_one_hundred_counts_as_one_hundred() -> None:
    assert mean_rank(np.array([1.0, 250.0])) == 50.5


def test_the_ratio_of_a_conversation_is_its_mean_rank_over_its_mean_surprisal() -> None:
    surprisals = np.log([2.0, 8.0])  # of probabilities 1/2 and 1/8: ln 4 on average
    ratio = rank_surprisal_ratio(np.array([50.5]), np.array([surprisals.mean()]))
    assert ratio == pytest.approx(36.4280, abs=1e-4)


def test_the_ratio_of_a_set_divides_means_over_conversations_so_that_a_long_one_counts_no_more() -> None:
    rows = {"a": score(50.0, 2.0, tokens=1000), "b": score(10.0, 4.0, tokens=1)}
    numbers = describe_suitability({"rich": rows}, resamples=100, seed=1)["rich"]
    assert numbers["ratio"]["value"] == 10.0  # (50 + 10) / (2 + 4), not the mean of 25 and 2.5
    assert (numbers["rank"]["value"], numbers["surprisal"]["value"], numbers["tokens"]["value"]) == (30.0, 3.0, 500.5)


def test_the_lowest_ratio_is_first_and_equal_ones_share_a_place() -> None:
    rows = {name: score(20.0, 2.0) for name in "ab"}
    better = {name: score(10.0, 2.0) for name in "ab"}
    described = describe_suitability({"plain": rows, "rich": better, "copy": rows}, resamples=50, seed=1)
    assert {dgm: each["place"]["value"] for dgm, each in described.items()} == {"plain": 2.5, "rich": 1.0, "copy": 2.5}
    assert described["rich"]["place"]["ci95"] == [1.0, 1.0]


def test_a_prompt_that_is_hard_for_all_dgms_widens_the_ratios_and_not_the_places() -> None:
    hard = {"a": 1.0, "b": 2.0, "c": 5.0, "d": 90.0}
    rich = {prompt: score(rank, 1.0) for prompt, rank in hard.items()}
    plain = {prompt: score(rank + 1, 1.0) for prompt, rank in hard.items()}
    described = describe_suitability({"plain": plain, "rich": rich}, resamples=500, seed=1)
    low, high = described["rich"]["ratio"]["ci95"]
    assert high > described["plain"]["ratio"]["value"] > low
    assert described["rich"]["place"] == {"value": 1.0, "ci95": [1.0, 1.0]}


def test_what_is_not_scored_is_counted_under_its_reason() -> None:
    rows = {"a": score(5.0, 1.0), "b": left_out("beyond_window"), "c": left_out("control_string"), "d": score(7.0, 1.0)}
    numbers = describe_suitability({"rich": rows}, resamples=50, seed=1)["rich"]
    assert numbers["conversations"] == 2
    assert numbers["left_out"] == {"beyond_window": 1, "control_string": 1}
    assert numbers["beyond_window"] == {"value": 0.25, "ci95": [0.006309, 0.8059]}  # Clopper and Pearson of 1 in 4


def test_a_dgm_of_which_nothing_is_scored_has_no_ratio_and_no_place() -> None:
    scores = {"rich": {"a": score(5.0, 1.0)}, "long": {"a": left_out("beyond_window")}}
    described = describe_suitability(scores, resamples=20, seed=1)
    assert described["long"]["ratio"] == {"value": None, "ci95": None}
    assert described["long"]["place"]["value"] is None
    assert described["rich"]["place"]["value"] == 1.0
