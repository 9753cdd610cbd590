"""The Pareto set and what it is a set of, by cases computed by hand."""

from stages.lib.comparison.cost_quality import KeptPrice, compare_cost_and_quality, price_kept
from stages.lib.comparison.pareto import Membership, Point, find_pareto_set
from stages.lib.comparison.scores import Score
from tests.support.results import tune

IN, OUT = Membership(is_in=True, is_certain=True), Membership(is_in=False, is_certain=True)
MAYBE_IN, MAYBE_OUT = Membership(is_in=True, is_certain=False), Membership(is_in=False, is_certain=False)


def point(cost: float, quality: float, stderr: float | None = 0.0) -> Point:
    return Point(Score(cost, 0.0), Score(quality, stderr))


def test_a_point_is_in_the_set_if_none_is_both_cheaper_and_better() -> None:
    points = {
        "cheap": point(1, 0.2),
        "good": point(3, 0.6),
        "best": point(9, 0.7),
        "beaten by good": point(4, 0.5),
        "beaten by all": point(10, 0.1),
    }
    expected = {"cheap": IN, "good": IN, "best": IN, "beaten by good": OUT, "beaten by all": OUT}
    assert find_pareto_set(points) == expected


def test_what_is_as_cheap_and_better_or_as_good_and_cheaper_beats_the_other_and_equals_stay() -> None:
    points = {"a": point(1, 0.5), "as cheap": point(1, 0.4), "as good": point(2, 0.5), "equal": point(1, 0.5)}
    members = {name for name, membership in find_pareto_set(points).items() if membership.is_in}
    assert members == {"a", "equal"}


def test_the_set_is_certain_where_intervals_do_not_overlap() -> None:
    # 1.96 standard errors of .1 are .196: qualities that differ by .3 overlap, by .5 they do not.
    near = {"cheap": point(1, 0.5, 0.1), "dear": point(2, 0.8, 0.1)}
    assert find_pareto_set(near) == {"cheap": IN, "dear": MAYBE_IN}  # nothing is cheaper than the first
    assert find_pareto_set({"cheap": point(1, 0.5, 0.1), "dear": point(2, 1.0, 0.1)}) == {"cheap": IN, "dear": IN}
    assert find_pareto_set({"cheap": point(1, 0.8, 0.1), "dear": point(2, 0.5, 0.1)})["dear"] == MAYBE_OUT
    assert find_pareto_set({"cheap": point(1, 1.0, 0.1), "dear": point(2, 0.5, 0.1)})["dear"] == OUT


def test_an_unknown_interval_leaves_certain_only_what_the_cost_decides() -> None:
    points = {"cheap": point(1, 0.5, None), "dear": point(2, 0.9, None)}
    assert find_pareto_set(points) == {"cheap": IN, "dear": MAYBE_IN}
    unknown_cost = {"a": Point(Score(1.0), Score(0.5, 0.0)), "b": Point(Score(2.0), Score(0.4, 0.0))}
    assert find_pareto_set(unknown_cost) == {"a": IN, "b": MAYBE_OUT}


def seconds(value: float, hardware: str = "H100 x1") -> KeptPrice | None:
    return price_kept(Score(value, 0.0), None, [hardware])


AVERAGES = {"rich": 0.7, "plain": 0.4, "on-rich": 0.5, "on-plain": 0.6, "more-plain": 0.9}
SCORES = {model: Score(value, 0.01) for model, value in AVERAGES.items()}
RUNS = [tune("on-rich", rich=1.0), tune("on-plain", plain=1.0), tune("more-plain", take=200, plain=1.0)]


def test_dgms_are_compared_by_their_own_score_and_by_that_of_the_fine_tune_on_each() -> None:
    compared = compare_cost_and_quality({"rich": seconds(90), "plain": seconds(30)}, SCORES, RUNS)
    own, tuned = compared["comparisons"]
    assert (own["label"], own["unit"], own["hardware"]) == ("the DGMs themselves", "seconds", "H100 x1")
    assert tuned["label"] == "fine-tunes of base on 100 conversations"
    assert [(name, row["dgm"], row["is_in_set"]) for name, row in own["rows"].items()] == [
        ("plain", "plain", True), ("rich", "rich", True)
    ]  # fmt: skip
    assert [(name, row["dgm"], row["is_in_set"]) for name, row in tuned["rows"].items()] == [
        ("on-plain", "plain", True), ("on-rich", "rich", False)
    ]  # fmt: skip
    assert tuned["rows"]["on-rich"]["cost"] == {"value": 90, "ci95": [90, 90]}
    assert compared["left_out"] == {}


def test_only_dgms_on_the_same_hardware_are_compared_and_the_others_have_a_reason() -> None:
    prices = {"rich": seconds(90), "plain": seconds(30, "H100 x2"), "gpt": None, "new": seconds(5)}
    assert compare_cost_and_quality(prices, SCORES, RUNS) == {
        "comparisons": [],
        "left_out": {
            "rich": "no other DGM on the same hardware has such a score",
            "plain": "no other DGM on the same hardware has such a score",
            "gpt": "no conversation is kept, or its time or hardware is not known",
            "new": "neither it nor a fine-tune on it alone has an average",
        },
    }


def test_money_counts_the_gpus_so_that_one_kind_of_them_is_one_hardware() -> None:
    one, two = (price_kept(Score(1.0), Score(2.0), [f"H100 x{number}"]) for number in (1, 2))
    assert one == two == KeptPrice(Score(2.0), "money", "H100")
    assert price_kept(Score(1.0), None, []) is price_kept(None, None, ["H100 x1"]) is None
