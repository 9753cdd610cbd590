"""Every two models: paired tests, intervals, and verdicts after the correction for many."""

from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from scipy.stats import false_discovery_control, norm

from stages.lib.comparison.differences import compare_pairs, describe_seeds
from stages.lib.comparison.evaluations import Evaluations
from stages.lib.comparison.score_rows import ScoreRows
from stages.lib.comparison.scores import ModelScores, Score
from stages.lib.settings.sections import Differences
from tests.comparison.test_contrasts import JUDGED, score_rows

MARGINS = {
    "margin": 0.05,
    "margin_judge": 0.25,
    "margin_choices": 0.1,
    "margin_replies": 0.05,
    "margin_length": 0.1,
    "margin_markup": 0.5,
}
SETTINGS = Differences(**MARGINS, resamples=500, seed=1)
# Of 200 rows both are right on 150; then one alone on 12 and the other alone on 2.
ALIKE = {"one": [1.0] * 162 + [0.0] * 38, "other": [1.0] * 150 + [0.0] * 12 + [1.0] * 2 + [0.0] * 36}


def evaluations(rows: ScoreRows, name: str = "quiz", seeds: dict[str, list[str]] | None = None) -> Evaluations:
    means = dict(zip(rows.models, rows.scores.mean(axis=0), strict=True))
    scores = {
        model: ModelScores({name: Score(float(mean), 0.03, clusters=len(rows.scores), scale=rows.scale)}, {}, {})
        for model, mean in means.items()
    }
    return Evaluations(scores, {name: rows}, seeds or {})


def compare(measured: Evaluations, *models: str) -> dict[str, Any]:
    """The only pair, or all pairs, of the only benchmark."""
    [pairs] = compare_pairs(measured, models, SETTINGS).values()
    return dict(pairs)


def test_two_models_that_are_right_on_almost_the_same_rows_differ_though_their_intervals_overlap():
    cell = compare(evaluations(score_rows(ALIKE)), "one", "other")["one other"]
    assert cell["value"] == pytest.approx(0.05)  # .81 and .76, each with an interval of .06
    assert (cell["test"], cell["n"], cell["p"]) == ("mcnemar", 200, pytest.approx(2 * (1 + 14 + 91) / 2**14))
    assert cell["q"] == cell["p"]
    assert 0 < cell["ci95"][0] < 0.05 < cell["ci95"][1]
    assert (cell["verdict"], cell["rows_to_decide"], cell["seed_share"]) == ("better", None, None)
    apart = compare(replace(evaluations(score_rows(ALIKE)), rows={}), "one", "other")["one other"]
    assert (apart["test"], apart["verdict"]) == ("independent", "not decided")
    assert apart["p"] == pytest.approx(2 * norm.sf(0.05 / (0.03 * 2**0.5)))


def test_the_order_of_the_models_changes_signs_only():
    random = np.random.default_rng(1)
    rows = score_rows({name: random.integers(1, 11, 30).tolist() for name in "abc"}, 2, (1, 10))
    mirrored = {"better": "worse", "worse": "better"}
    first = compare(evaluations(rows), *"abc")
    for order in permutations("abc"):
        for pair, cell in compare(evaluations(rows), *order).items():
            same = first.get(pair)
            other = same or first[" ".join(reversed(pair.split()))]
            sign = 1 if same else -1
            assert cell["value"] == pytest.approx(sign * other["value"])
            assert sorted(cell["ci95"]) == pytest.approx(sorted(sign * end for end in other["ci95"]))
            assert [cell[name] for name in ("p", "q", "n", "rows_to_decide")] == pytest.approx(
                [other[name] for name in ("p", "q", "n", "rows_to_decide")], nan_ok=True
            )
            assert cell["verdict"] == (other["verdict"] if same else mirrored.get(other["verdict"], other["verdict"]))


def test_scores_are_tested_by_flipping_the_signs_of_questions():
    cell = compare(evaluations(score_rows(JUDGED, bounds=(1, 10))), "one", "other")["one other"]
    # 1, 0, 1, 2, -1: of 2**5 signs as many are as far from 0 as the sum of 3.
    far = sum(abs(a + b + 2 * c + d) >= 3 for a in (1, -1) for b in (1, -1) for c in (1, -1) for d in (1, -1))
    assert (cell["test"], cell["p"]) == ("permutation", far / 16)


def test_a_pair_that_is_not_decided_says_how_many_rows_would_decide_it():
    scores = {"one": [1.0, 0] * 10, "other": [1.0, 0] * 10}
    cell = compare(evaluations(score_rows(scores)), "one", "other")["one other"]
    assert (cell["value"], cell["p"], cell["verdict"]) == (0, 1, "not decided")
    # No row differs: the interval has the two rows of Bonett and Price alone, 1.96 * sqrt(2) / (n + 2) <= .05.
    assert cell["rows_to_decide"] == 54


def test_the_margin_is_in_the_unit_of_the_benchmark():
    same = {"one": [5.0, 6, 7, 8] * 10, "other": [5.0, 6, 7, 8] * 10}
    points = {"one": same["one"], "other": [*same["other"][:-1], 6.0]}  # .05 points apart on a scale of ten
    rows = replace(score_rows(points, bounds=(1, 10)), scale=10.0)
    cell = compare(evaluations(rows, "mtbench"), "one", "other")["one other"]
    assert (cell["verdict"], cell["scale"]) == ("equivalent", 10)
    assert compare(evaluations(replace(rows, scale=1.0)), "one", "other")["one other"]["verdict"] == "not decided"


def test_all_pairs_of_all_benchmarks_are_one_family_and_those_of_averages_another():
    random = np.random.default_rng(2)
    rows, law, average = (
        score_rows({name: random.integers(0, 2, 60).astype(float).tolist() for name in "abc"}) for _ in range(3)
    )
    measured = evaluations(rows)
    scores = {
        model: ModelScores(each.benchmarks | {"law": each.benchmarks["quiz"]}, {}, {"average": each.benchmarks["quiz"]})
        for model, each in measured.scores.items()
    }
    cells = compare_pairs(Evaluations(scores, {"quiz": rows, "law": law, "average": average}), "abc", SETTINGS)
    p = [cell["p"] for name in ("law", "quiz") for cell in cells[name].values()]
    q = [cell["q"] for name in ("law", "quiz") for cell in cells[name].values()]
    assert q == pytest.approx(false_discovery_control(p).tolist())
    averages = cells["average"].values()
    assert [cell["q"] for cell in averages] == pytest.approx(
        false_discovery_control([cell["p"] for cell in averages]).tolist()
    )


def test_a_run_with_several_seeds_is_tested_with_their_spread():
    models = {"run": ALIKE["one"], "run-seed43": ALIKE["other"], "other": ALIKE["other"]}
    measured = evaluations(score_rows(models), seeds={"run": ["run", "run-seed43"]})
    cell = compare(measured, "run", "other")["run other"]
    assert cell["value"] == pytest.approx(0.025)
    assert (cell["test"], cell["verdict"]) == ("seeds", "not decided")
    assert cell["seed_share"] > 0.8  # .05 between the seeds is far more than the noise of the rows
    assert cell["rows_to_decide"] is None, "rows do not reduce what two seeds leave open"
    run = describe_seeds(measured)["run"]
    assert run["models"] == ["run", "run-seed43"]
    assert run["measures"]["quiz"] == {
        "scores": pytest.approx([0.81, 0.76]),
        "mean": pytest.approx(0.785),
        "seed_sd": pytest.approx(0.05 / 2**0.5),
        "largest_difference": pytest.approx(0.05),
        "row_stderr": pytest.approx(0.03),
    }


def test_seeds_that_differ_in_nothing_are_no_error():
    same = {name: JUDGED["one"] for name in ("run", "again", "other")}
    measured = evaluations(score_rows(same, bounds=(1, 10)), seeds={"run": ["run", "again"]})
    cell = compare(measured, "run", "other")["run other"]
    assert (cell["value"], cell["p"], cell["ci95"], cell["verdict"]) == (0, 1, [0, 0], "equivalent")


def test_one_row_decides_nothing():
    cell = compare(evaluations(score_rows({"one": [1.0], "other": [0.0]})), "one", "other")["one other"]
    assert (cell["value"], cell["ci95"], cell["p"], cell["q"]) == (1, None, None, None)
    assert (cell["verdict"], cell["rows_to_decide"]) == ("not decided", None)


def test_a_pair_with_a_model_that_has_no_score_is_left_out():
    assert list(compare(evaluations(score_rows(ALIKE)), "one", "other", "third")) == ["one other"]
