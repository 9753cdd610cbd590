"""Scaling, blends and on-policy comparisons of runs, by cases computed by hand."""

from math import sqrt

import pytest

from stages.lib.comparison.blends import compare_blends
from stages.lib.comparison.evaluations import Evaluations
from stages.lib.comparison.fine_tunes import FineTune, build_fine_tune
from stages.lib.comparison.on_policy import compare_on_policy
from stages.lib.comparison.scaling import compare_sizes
from stages.lib.core.sections import parse, read_yaml
from stages.lib.models.catalogue import read_entry
from stages.lib.settings.sections import Run
from tests.support.project import ROOT
from tests.support.results import model_scores, tune

SCORES = {
    "on-rich": model_scores(math=0.3, chat=0.8),
    "on-plain": model_scores(math=0.2, chat=0.5),
}
RUNS = [tune("on-rich", rich=1.0), tune("on-plain", plain=1.0)]


def test_a_fine_tune_has_the_rows_that_its_recipe_takes_and_its_mix_holds():
    entry = parse(
        Run,
        {
            "base": "base",
            "dgms": {"a": 3.0, "b": 1.0, "c": 0.0},
            "auxiliary": {"n": {"share": 0.1}, "m": 5},
            "reference": "r",
        },
        "x",
    )
    recipe = {"sources": {"a": {"take": {"rows": 30}}, "b": {"take": {"rows": 10}}, "m": {"take": {"rows": 5}}}}
    mix = {"sources": {"a": {"rows": 29}, "b": {"rows": 10}, "m": {"rows": 5}}}
    run = build_fine_tune("x", entry, recipe, mix)
    assert run == FineTune("x", "base", {"a": 0.75, "b": 0.25}, "m (5), n (share 0.1), no longer than r", 40, 39)


def test_two_sizes_have_points_and_a_slope():
    [family] = compare_sizes(Evaluations(SCORES), [tune("on-rich", 100, rich=1.0), tune("on-plain", 200, rich=1.0)])
    assert (family["label"], family["runs"]) == ("base : rich", {"on-rich": 100, "on-plain": 200})
    curve = family["curves"]["math"]
    assert curve["points"]["on-rich"] == {"value": 0.3, "ci95": [pytest.approx(0.2804), pytest.approx(0.3196)]}
    # Two errors of .01, as if the rows were different ones: sqrt(2) * .01
    assert curve["per_doubling"]["value"] == pytest.approx(-0.1)
    assert curve["per_doubling"]["ci95"][0] == pytest.approx(-0.1 - 1.96 * sqrt(0.0002))


def test_the_slope_is_what_a_doubling_adds():
    # 100, 200, 400 are 0, 1, 2 doublings: the slope is half of .36 less .30. Of two errors of .01 it has
    # sqrt(2) * .01 / 2; how far .32 is from the line does not matter.
    scores = {str(rows): model_scores(math=value) for rows, value in ((100, 0.30), (200, 0.32), (400, 0.36))}
    runs = [tune(str(rows), rows, rich=1.0) for rows in (400, 100, 200)]
    slope = compare_sizes(Evaluations(scores), runs)[0]["curves"]["math"]["per_doubling"]
    assert slope["value"] == pytest.approx(0.03)
    assert slope["ci95"] == [
        pytest.approx(0.03 - 1.96 * sqrt(0.0002) / 2),
        pytest.approx(0.03 + 1.96 * sqrt(0.0002) / 2),
    ]


def test_a_size_without_a_score_does_not_count_for_the_slope():
    scores = {"100": model_scores(math=0.3), "200": model_scores(chat=0.1), "400": model_scores(math=0.5)}
    curves = compare_sizes(Evaluations(scores), [tune(name, int(name), rich=1.0) for name in scores])[0]["curves"]
    assert curves["math"]["per_doubling"]["value"] == pytest.approx(0.1)  # .2 in two doublings
    assert curves["chat"]["per_doubling"] is None
    assert curves["math"]["points"]["200"] == {"value": None, "ci95": None}


def test_runs_that_differ_in_more_than_size_are_not_compared():
    runs = [tune("on-rich", 100, rich=1.0), tune("on-plain", 200, extras="math (5)", rich=1.0)]
    assert compare_sizes(Evaluations(SCORES), runs) == []
    assert (
        compare_sizes(Evaluations(SCORES), [tune("on-rich", 100, a=0.5, b=0.5), tune("on-plain", 200, a=0.75, b=0.25)])
        == []
    )
    one_size = [tune("on-rich", 100, rich=1.0), tune("on-plain", 100, rich=1.0)]
    assert compare_sizes(Evaluations(SCORES), one_size) == []


BLENDED = {
    "on-rich": model_scores(math=0.5, chat=0.9),
    "on-plain": model_scores(math=0.3, chat=0.4),
    "both": model_scores(math=0.42, chat=0.6),
}


def test_a_blend_is_compared_with_the_mean_and_the_best_of_its_parts():
    compared = compare_blends(Evaluations(BLENDED), [*RUNS, tune("both", rich=0.5, plain=0.5)])
    assert compared["left_out"] == {}
    math = compared["runs"]["both"]["cells"]["math"]
    assert math["mean"]["value"] == pytest.approx(0.4)
    assert (math["best"]["run"], math["best"]["value"]) == ("on-rich", 0.5)
    # .01 of the blend and half of .01 of each part: sqrt(.0001 + .000025 + .000025) = .012247
    half_width = 1.96 * sqrt(0.00015)
    assert math["difference"]["value"] == pytest.approx(0.02)
    assert math["difference"]["ci95"] == [pytest.approx(0.02 - half_width), pytest.approx(0.02 + half_width)]


def test_the_mean_of_the_parts_is_weighted_as_the_blend_is():
    compared = compare_blends(Evaluations(BLENDED), [*RUNS, tune("both", rich=0.75, plain=0.25)])
    assert compared["runs"]["both"]["cells"]["math"]["mean"]["value"] == pytest.approx(0.45)


@pytest.mark.parametrize(
    ("blend", "missing"),
    [
        (tune("both", 200, rich=0.5, plain=0.5), "plain or rich"),
        (tune("both", extras="math (5)", rich=0.5, plain=0.5), "plain or rich"),
        (tune("both", rich=0.5, other=0.5), "other"),
    ],
    ids=["another total", "an auxiliary set", "a part that has no run"],
)
def test_a_blend_is_compared_only_with_runs_that_differ_in_nothing_else(blend, missing):
    compared = compare_blends(Evaluations(BLENDED), [*RUNS, blend])
    assert compared == {"runs": {}, "left_out": {"both": f"no compared run is alike but on {missing} alone"}}


def test_a_part_without_a_score_leaves_the_mean_undefined():
    scores = {**BLENDED, "on-plain": model_scores(chat=0.4)}
    compared = compare_blends(Evaluations(scores), [*RUNS, tune("both", rich=0.5, plain=0.5)])
    cell = compared["runs"]["both"]["cells"]["math"]
    assert cell["mean"]["value"] is cell["difference"]["value"] is None
    assert (cell["blend"]["value"], cell["best"]["run"]) == (0.42, "on-rich")


POLICY = {"own": model_scores(math=0.5), "larger": model_scores(math=0.6), "foreign": model_scores(math=0.3)}
POLICY_RUNS = [tune("own", q7=1.0), tune("larger", q72=1.0), tune("foreign", l8i=1.0)]
FAMILIES = {"base": "qwen", "q7": "qwen", "q72": "qwen", "l8i": "llama"}


def test_runs_on_the_bases_own_family_are_compared_with_the_others():
    compared = compare_on_policy(Evaluations(POLICY), POLICY_RUNS, FAMILIES)
    group = compared["groups"][0]
    assert compared["left_out"] == {}
    assert (group["own"], group["other"]) == ({"larger": "q72", "own": "q7"}, {"foreign": "l8i"})
    assert group["cells"]["math"]["difference"]["value"] == pytest.approx(0.25)
    assert group["cells"]["math"]["difference"]["ci95"][0] == pytest.approx(0.25 - 1.96 * sqrt(0.00005 + 0.0001))


def test_a_dgm_whose_family_the_catalogue_does_not_name_is_left_out():
    compared = compare_on_policy(Evaluations(POLICY), POLICY_RUNS, {**FAMILIES, "l8i": ""})
    assert compared["groups"] == []
    assert compared["left_out"]["foreign"] == "dgms/l8i.yaml names no family"
    assert "a DGM of another family" in compared["left_out"]["own"]


def test_runs_of_another_size_are_not_compared():
    compared = compare_on_policy(Evaluations(POLICY), [POLICY_RUNS[0], tune("foreign", 200, l8i=1.0)], FAMILIES)
    assert compared["groups"] == []
    assert "a DGM of the family of base" in compared["left_out"]["foreign"]


def test_the_catalogue_names_the_families_of_table_6_and_of_the_demo(monkeypatch):
    monkeypatch.chdir(ROOT)
    runs = read_yaml(ROOT / "profiles/paper.yaml")["mix"]["runs"]
    used = {name for entry in runs.values() for name in (entry["base"], *entry.get("dgms", {}))}
    assert all(read_entry(name).family for name in used)
    llamas = ("llama-3-1-8b", "llama-3-1-8b-instruct", "llama-3-3-70b-instruct")
    qwens = ("qwen2-7b", "qwen2-7b-instruct", "qwen2-5-72b-instruct")
    assert len({read_entry(name).family for name in llamas}) == 1
    assert len({read_entry(name).family for name in qwens}) == 1
    assert {read_entry(name).family for name in ("demo-base", "demo-rich", "demo-plain")} == {"demo"}
