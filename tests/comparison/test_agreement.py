"""Agreement of fine-tunes with their DGMs, by cases computed by hand."""

from itertools import permutations
from typing import Any

import pytest
from scipy.stats import binomtest

from stages.lib.comparison.agreement import compare_agreement, count_outcomes
from stages.lib.comparison.evaluations import Evaluations
from stages.lib.comparison.scaling import compare_sizes
from tests.support.results import model_scores, tune

# The second fine-tune differs from the first as its DGM does in two benchmarks, not in the third.
SCORES = {
    "rich": model_scores(math=0.5, chat=0.9, code=0.4, law=0.7),
    "plain": model_scores(math=0.4, chat=0.6, code=0.5, law=0.7),
    "on-rich": model_scores(math=0.3, chat=0.8, code=0.3, law=0.6),
    "on-plain": model_scores(math=0.2, chat=0.5, code=0.2),
}
RUNS = [tune("on-rich", rich=1.0), tune("on-plain", plain=1.0)]


def outcomes(compared: dict[str, Any]) -> dict[str, str]:
    """The outcome of each benchmark."""
    return {name: cell["outcome"] for pair in compared["pairs"] for name, cell in pair["cells"].items()}


def test_fine_tunes_agree_where_they_differ_in_the_direction_of_their_dgms():
    compared = compare_agreement(Evaluations(SCORES), RUNS)
    assert outcomes(compared) == {"math": "agree", "chat": "agree", "code": "disagree", "law": "missing"}
    assert compared["pairs"][0]["cells"]["law"]["missing"] == ["on-plain"]
    assert compared["rate"] == pytest.approx(2 / 3)
    assert compared["left_out"] == {}


def test_a_tie_on_either_side_is_disagreement_only_by_the_papers_rule():
    tied = {
        "rich": model_scores(a=0.381, b=0.5, c=0.5),
        "plain": model_scores(a=0.381, b=0.4, c=0.4),
        "on-rich": model_scores(a=0.6, b=0.3, c=0.7),
        "on-plain": model_scores(a=0.5, b=0.1 + 0.2, c=0.6),  # 0.1 + 0.2 is 0.3 but for the last digit
    }
    compared = compare_agreement(Evaluations(tied), RUNS)
    assert outcomes(compared) == {"a": "tie", "b": "tie", "c": "agree"}
    assert (compared["tie"], compared["rate"], compared["rate_ties_disagree"]) == (2, 1.0, pytest.approx(1 / 3))


def test_three_of_six_is_a_half_by_the_papers_rule_and_three_of_five_without_the_tie():
    cells = [{"outcome": outcome, "beyond_noise": False} for outcome in [*["agree"] * 3, *["disagree"] * 2, "tie"]]
    counts = count_outcomes(cells)
    assert (counts["rate_ties_disagree"], counts["rate"]) == (0.5, 0.6)
    low, high = binomtest(3, 5).proportion_ci(0.95, method="exact")
    assert counts["ci95"] == [pytest.approx(low), pytest.approx(high)]
    assert counts["ci95"] == [pytest.approx(0.1466, abs=5e-5), pytest.approx(0.9473, abs=5e-5)]


def test_without_a_comparison_there_is_no_rate():
    counts = count_outcomes([{"outcome": "missing", "beyond_noise": False}])
    assert counts["missing"] == 1
    assert counts["rate"] is counts["ci95"] is counts["rate_ties_disagree"] is None


def test_a_comparison_is_beyond_noise_if_both_intervals_exclude_zero():
    # Two standard errors of .01 make .0141 of the difference: it must be larger than 1.96 times that, .0277.
    clear = {
        "rich": model_scores(a=0.5, b=0.5, c=0.5),
        "plain": model_scores(a=0.472, b=0.473, c=0.4),
        "on-rich": model_scores(a=0.5, b=0.5, c=0.5),
        "on-plain": model_scores(a=0.4, b=0.4, c=0.473),
    }
    compared = compare_agreement(Evaluations(clear), RUNS)
    assert {name: cell["beyond_noise"] for name, cell in compared["pairs"][0]["cells"].items()} == {
        "a": True,
        "b": False,
        "c": False,
    }
    assert (compared["agree"], compared["beyond_noise"], compared["beyond_noise_agree"]) == (3, 1, 1)
    without_error = compare_agreement(Evaluations({**clear, "rich": model_scores(None, a=0.9)}), RUNS)
    assert without_error["beyond_noise"] == 0


@pytest.mark.parametrize(
    ("runs", "left_out"),
    [
        ([tune("on-rich", 100, rich=1.0), tune("on-plain", 90, plain=1.0)], {"rich", "plain"}),
        ([tune("on-rich", rich=1.0), tune("on-plain", base="other", plain=1.0)], {"rich", "plain"}),
        ([tune("on-rich", rich=1.0), tune("on-plain", extras="math (5)", plain=1.0)], {"rich"}),
        ([tune("on-rich", rich=1.0), tune("on-plain", rich=0.5, plain=0.5)], {"rich"}),
        ([tune("on-rich", rich=1.0), tune("on-plain", other=1.0)], {"rich", "other"}),
    ],
    ids=["another size", "another base", "an auxiliary set", "a blend", "its DGM is not compared"],
)
def test_only_fine_tunes_that_differ_in_their_dgm_alone_are_compared(runs, left_out):
    compared = compare_agreement(Evaluations(SCORES), runs)
    assert compared["pairs"] == []
    assert set(compared["left_out"]) == left_out


def test_a_dgm_that_is_not_in_compare_is_left_out_with_this_reason():
    assert compare_agreement(Evaluations(SCORES), [tune("on-rich", other=1.0)])["left_out"] == {
        "other": "not in compare"
    }


def test_the_order_of_models_and_runs_changes_nothing():
    three = {
        **SCORES,
        "wild": model_scores(math=0.6, chat=0.1, code=0.4),
        "on-wild": model_scores(math=0.1, chat=0.2, code=0.3),
    }
    runs = [*RUNS, tune("on-wild", wild=1.0)]
    first = compare_agreement(Evaluations(three), runs)
    assert len(first["pairs"]) == 3
    for order in permutations(three):
        shuffled = {name: three[name] for name in order}
        assert compare_agreement(Evaluations(shuffled), runs[::-1]) == first
        assert compare_sizes(Evaluations(shuffled), runs) == compare_sizes(Evaluations(three), runs[::-1])
