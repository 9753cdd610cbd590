"""Runs and models held against one another: by hand-computed cases, whatever the order, nothing dropped unsaid."""

import json
from itertools import permutations
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binomtest

from stages.agreement import beside_paper, build_tables, main, published_averages, stated_averages, summarize, tuned
from stages.lib.comparison import beside_paper as beside
from stages.lib.comparison.comparisons import FineTune, agreement, blends, on_policy, scaling, tally
from stages.lib.comparison.paper import NINE, Column, Paper, published, read_paper
from stages.lib.core.files import read_json, sha256_folder, write_json
from stages.lib.core.numbers import round_decimals
from stages.lib.core.sections import parse, read_yaml
from stages.lib.evaluation.scores import Score, Scores, combine, difference, mean, read_scores
from stages.lib.models.catalogue import read_entry
from stages.lib.settings.sections import Run
from tests.support.project import ROOT, small_params
from tests.support.results import paper_results, results, tune


def model(stderr: float | None = 0.01, **values: float) -> Scores:
    """A model with these scores; a benchmark that failed is left out."""
    return Scores({name: Score(value, stderr) for name, value in values.items()}, {}, {})


def outcomes(found: dict[str, Any]) -> dict[str, str]:
    return {name: cell["outcome"] for pair in found["pairs"] for name, cell in pair["cells"].items()}


# --- agreement

ONE = {  # the second fine-tune differs from the first as its DGM does in two benchmarks, not in the third
    "rich": model(math=0.5, chat=0.9, code=0.4, law=0.7),
    "plain": model(math=0.4, chat=0.6, code=0.5, law=0.7),
    "on-rich": model(math=0.3, chat=0.8, code=0.3, law=0.6),
    "on-plain": model(math=0.2, chat=0.5, code=0.2),
}
RUNS = [tune("on-rich", rich=1.0), tune("on-plain", plain=1.0)]


def test_fine_tunes_agree_where_they_differ_in_the_direction_of_their_dgms():
    found = agreement(ONE, RUNS)
    assert outcomes(found) == {"math": "agree", "chat": "agree", "code": "disagree", "law": "missing"}
    assert found["pairs"][0]["cells"]["law"]["missing"] == ["on-plain"]
    assert found["rate"] == pytest.approx(2 / 3)
    assert found["left_out"] == {}


def test_a_tie_on_either_side_is_counted_apart_and_is_disagreement_only_by_the_papers_rule():
    tied = {
        "rich": model(a=0.381, b=0.5, c=0.5),
        "plain": model(a=0.381, b=0.4, c=0.4),
        "on-rich": model(a=0.6, b=0.3, c=0.7),
        "on-plain": model(a=0.5, b=0.1 + 0.2, c=0.6),  # 0.1 + 0.2 is 0.3 but for the last digit
    }
    found = agreement(tied, RUNS)
    assert outcomes(found) == {"a": "tie", "b": "tie", "c": "agree"}
    assert (found["tie"], found["rate"], found["rate_ties_disagree"]) == (2, 1.0, pytest.approx(1 / 3))


def test_the_papers_half_is_three_of_six_with_a_tie_and_three_of_five_without():
    cells = [{"outcome": outcome, "beyond_noise": False} for outcome in [*["agree"] * 3, *["disagree"] * 2, "tie"]]
    found = tally(cells)
    assert (found["rate_ties_disagree"], found["rate"]) == (0.5, 0.6)
    low, high = binomtest(3, 5).proportion_ci(0.95, method="exact")
    assert (
        found["ci95"]
        == [pytest.approx(low), pytest.approx(high)]
        == [pytest.approx(0.1466, abs=5e-5), pytest.approx(0.9473, abs=5e-5)]
    )


def test_nothing_to_count_has_no_rate():
    found = tally([{"outcome": "missing", "beyond_noise": False}])
    assert (found["missing"], found["rate"], found["ci95"], found["rate_ties_disagree"]) == (1, None, None, None)


def test_more_than_noise_is_a_difference_whose_interval_excludes_zero_on_both_sides():
    # Two standard errors of .01 make .0141 of the difference: it must be larger than 1.96 times that, .0277.
    clear = {
        "rich": model(a=0.5, b=0.5, c=0.5),
        "plain": model(a=0.472, b=0.473, c=0.4),
        "on-rich": model(a=0.5, b=0.5, c=0.5),
        "on-plain": model(a=0.4, b=0.4, c=0.473),
    }
    found = agreement(clear, RUNS)
    assert {name: cell["beyond_noise"] for name, cell in found["pairs"][0]["cells"].items()} == {
        "a": True,
        "b": False,
        "c": False,
    }
    assert (found["agree"], found["beyond_noise"], found["beyond_noise_agree"]) == (3, 1, 1)
    assert agreement({**clear, "rich": model(None, a=0.9)}, RUNS)["beyond_noise"] == 0, "no error is known"


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
def test_only_fine_tunes_that_differ_in_nothing_but_their_dgm_are_compared(runs, left_out):
    found = agreement(ONE, runs)
    assert found["pairs"] == []
    assert set(found["left_out"]) == left_out


def test_a_dgm_that_is_not_compared_is_said_to_be_missing_there():
    assert agreement(ONE, [tune("on-rich", other=1.0)])["left_out"] == {"other": "not in compare"}


def test_the_order_of_models_and_runs_changes_nothing():
    three = {**ONE, "wild": model(math=0.6, chat=0.1, code=0.4), "on-wild": model(math=0.1, chat=0.2, code=0.3)}
    runs = [*RUNS, tune("on-wild", wild=1.0)]
    first = agreement(three, runs)
    assert len(first["pairs"]) == 3
    for order in permutations(three):
        shuffled = {name: three[name] for name in order}
        assert agreement(shuffled, runs[::-1]) == first
        assert scaling(shuffled, runs) == scaling(three, runs[::-1])


# --- scaling


def test_two_sizes_have_points_and_no_slope():
    found = scaling(ONE, [tune("on-rich", 100, rich=1.0), tune("on-plain", 200, rich=1.0)])
    assert [(family["label"], family["runs"]) for family in found] == [
        ("base : rich", {"on-rich": 100, "on-plain": 200})
    ]
    curve = found[0]["curves"]["math"]
    assert curve["points"]["on-rich"] == {"value": 0.3, "ci95": [pytest.approx(0.2804), pytest.approx(0.3196)]}
    assert curve["per_doubling"] is None


def test_the_slope_is_what_a_doubling_adds():
    # 100, 200, 400 are 0, 1, 2 doublings: .30, .32, .36 rise by .03 each; residuals .0033, -.0067, .0033, so the
    # slope's standard error is sqrt(.0000667 / 1 / 2) = .00577, and Student's t for one degree of freedom is 12.706.
    scores = {str(rows): model(math=value) for rows, value in ((100, 0.30), (200, 0.32), (400, 0.36))}
    runs = [tune(str(rows), rows, rich=1.0) for rows in (400, 100, 200)]
    slope = scaling(scores, runs)[0]["curves"]["math"]["per_doubling"]
    assert slope["value"] == pytest.approx(0.03)
    assert slope["ci95"] == [
        pytest.approx(0.03 - 12.706 * 0.0057735, abs=1e-5),
        pytest.approx(0.03 + 12.706 * 0.0057735, abs=1e-5),
    ]


def test_a_size_without_a_score_has_no_point_in_the_slope():
    scores = {"100": model(math=0.3), "200": model(chat=0.1), "400": model(math=0.5)}
    found = scaling(scores, [tune(name, int(name), rich=1.0) for name in scores])[0]["curves"]
    assert found["math"]["per_doubling"] is None
    assert found["math"]["points"]["200"] == {"value": None, "ci95": None}


def test_runs_that_differ_in_more_than_size_are_no_family():
    runs = [tune("on-rich", 100, rich=1.0), tune("on-plain", 200, extras="math (5)", rich=1.0)]
    assert scaling(ONE, runs) == []
    assert scaling(ONE, [tune("on-rich", 100, a=0.5, b=0.5), tune("on-plain", 200, a=0.75, b=0.25)]) == []
    assert scaling(ONE, [tune("on-rich", 100, rich=1.0), tune("on-plain", 100, rich=1.0)]) == [], "one size only"


# --- blends

BLENDED = {
    "on-rich": model(math=0.5, chat=0.9),
    "on-plain": model(math=0.3, chat=0.4),
    "both": model(math=0.42, chat=0.6),
}


def test_a_blend_stands_beside_the_mean_and_the_best_of_its_parts():
    found = blends(BLENDED, [*RUNS, tune("both", rich=0.5, plain=0.5)])
    assert found["left_out"] == {}
    math = found["runs"]["both"]["cells"]["math"]
    assert math["mean"]["value"] == pytest.approx(0.4)
    assert (math["best"]["run"], math["best"]["value"]) == ("on-rich", 0.5)
    # .01 of the blend and half of .01 of each part: sqrt(.0001 + .000025 + .000025) = .012247
    width = 1.96 * sqrt(0.00015)
    assert math["difference"]["value"] == pytest.approx(0.02)
    assert math["difference"]["ci95"] == [pytest.approx(0.02 - width), pytest.approx(0.02 + width)]


def test_the_mean_of_parts_is_by_the_blends_weights():
    found = blends(BLENDED, [*RUNS, tune("both", rich=0.75, plain=0.25)])
    assert found["runs"]["both"]["cells"]["math"]["mean"]["value"] == pytest.approx(0.45)


@pytest.mark.parametrize(
    ("blend", "lacks"),
    [
        (tune("both", 200, rich=0.5, plain=0.5), "plain or rich"),
        (tune("both", extras="math (5)", rich=0.5, plain=0.5), "plain or rich"),
        (tune("both", rich=0.5, other=0.5), "other"),
    ],
    ids=["another total", "an auxiliary set", "a part that has no run"],
)
def test_a_blend_is_not_compared_with_runs_that_differ_in_more(blend, lacks):
    found = blends(BLENDED, [*RUNS, blend])
    assert found == {"runs": {}, "left_out": {"both": f"no compared run is alike but on {lacks} alone"}}


def test_a_part_without_a_score_leaves_the_mean_open():
    cell = blends({**BLENDED, "on-plain": model(chat=0.4)}, [*RUNS, tune("both", rich=0.5, plain=0.5)])["runs"]["both"][
        "cells"
    ]["math"]
    assert cell["mean"]["value"] is cell["difference"]["value"] is None
    assert (cell["blend"]["value"], cell["best"]["run"]) == (0.42, "on-rich")


# --- on-policy

POLICY = {"own": model(math=0.5), "larger": model(math=0.6), "foreign": model(math=0.3)}
POLICY_RUNS = [tune("own", q7=1.0), tune("larger", q72=1.0), tune("foreign", l8i=1.0)]
FAMILIES = {"base": "qwen", "q7": "qwen", "q72": "qwen", "l8i": "llama"}


def test_runs_on_the_bases_own_family_stand_beside_the_others():
    found = on_policy(POLICY, POLICY_RUNS, FAMILIES)
    group = found["groups"][0]
    assert found["left_out"] == {}
    assert (group["own"], group["other"]) == ({"larger": "q72", "own": "q7"}, {"foreign": "l8i"})
    assert group["cells"]["math"]["difference"]["value"] == pytest.approx(0.25)
    assert group["cells"]["math"]["difference"]["ci95"][0] == pytest.approx(0.25 - 1.96 * sqrt(0.00005 + 0.0001))


def test_a_family_that_the_catalogue_does_not_name_is_left_out_and_said():
    found = on_policy(POLICY, POLICY_RUNS, {**FAMILIES, "l8i": ""})
    assert found["groups"] == []
    assert found["left_out"]["foreign"] == "dgms/l8i.yaml names no family"
    assert "a DGM of another family" in found["left_out"]["own"]


def test_runs_of_another_size_are_not_compared():
    found = on_policy(POLICY, [POLICY_RUNS[0], tune("foreign", 200, l8i=1.0)], FAMILIES)
    assert found["groups"] == []
    assert "a DGM of the family of base" in found["left_out"]["foreign"]


def test_the_catalogue_names_the_families_of_table_6_and_of_the_demo(monkeypatch):
    monkeypatch.chdir(ROOT)
    runs = read_yaml(ROOT / "profiles/paper.yaml")["mix"]["runs"]
    used = {name for entry in runs.values() for name in (entry["base"], *entry.get("dgms", {}))}
    assert all(read_entry(name).family for name in used)
    assert (
        len({read_entry(name).family for name in ("llama-3-1-8b", "llama-3-1-8b-instruct", "llama-3-3-70b-instruct")})
        == 1
    )
    assert len({read_entry(name).family for name in ("qwen2-7b", "qwen2-7b-instruct", "qwen2-5-72b-instruct")}) == 1
    assert {read_entry(name).family for name in ("demo-base", "demo-rich", "demo-plain")} == {"demo"}


# --- scores


def test_errors_of_independent_scores_add_in_squares():
    assert difference(Score(0.5, 0.03), Score(0.4, 0.04)).stderr == pytest.approx(0.05)
    assert mean([Score(0.5, 0.03), Score(0.3, 0.04)]).stderr == pytest.approx(0.025)
    assert combine([(1, Score(0.5, 0.03)), (1, Score(0.5))]).stderr is None


def test_an_average_has_the_error_of_its_columns_as_shares():
    found = results(math=0.5, chat=0.5)
    found["tasks"]["chat"]["metrics"]["acc"] = {"value": 6.0, "stderr": 0.4, "unit": "score_1_10"}
    found["averages"]["average"]["value"] = 0.55
    average = read_scores(found).averages["average"]
    assert average.value == 0.55
    assert average.stderr == pytest.approx(0.025)  # sqrt(.03² + .04²) / 2


def test_what_failed_is_missing_with_its_reason_and_so_is_an_average_of_it():
    found = read_scores(results(math=0.5, chat=None))
    assert found.missing == {"chat": "OSError: no disk"}
    assert (list(found.benchmarks), found.averages) == (["math"], {})


# --- runs as params.yaml and the mixes have them


def test_a_run_is_what_its_recipe_takes_and_its_mix_holds():
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
    found = tuned("x", entry, recipe, {"sources": {"a": {"rows": 29}, "b": {"rows": 10}, "m": {"rows": 5}}})
    assert found == FineTune("x", "base", {"a": 0.75, "b": 0.25}, "m (5), n (share 0.1), no longer than r", 40, 39)


# --- beside the paper


def test_a_row_of_the_paper_stands_beside_our_run_of_its_id_and_no_other():
    rows = beside_paper({"q72": paper_results(bbh=0.50), "llama-3-1-8b": paper_results()}, {})
    assert [(row["table"], row["label"]) for row in rows] == [(2, "Q72")]
    cells = rows[0]["cells"]
    assert {name for name, cell in cells.items() if cell["outside"]} == {"BBH"}
    assert (cells["BBH"]["ours"], cells["BBH"]["paper"], cells["BBH"]["half_width"]) == (0.5, 0.48, 0.01)
    assert cells["MixEval"]["ours"] is None
    assert rows[0]["averages"]["seven"]["ours"] is None, "MixEval was not measured"
    assert rows[0]["averages"]["nine"]["paper"] == pytest.approx(0.4051, abs=5e-5)


def test_a_run_without_a_benchmark_of_the_papers_is_not_beside_it():
    assert beside_paper({"q72": results(math=0.5)}, {}) == []


JUDGED = {  # as data/preference/tables.json has them; 32 and 18 of 80 turns, 30 of them ties
    "models": {"q72-500k": {"mean": 6.4, "ci95": [6.1, 6.7]}, "l70-500k": {"mean": None, "ci95": [None, None]}},
    "by_score": {"q72-500k l70-500k": {"rate": 0.4, "ci95": [0.29, 0.35], "rate_other": 0.225}},
    "flips": {"pairs": {"llama-3-3-70b-instruct l70-500k": {"q72-500k": {"flips": 6}}}},
}


def test_table_4_stands_beside_the_stage_preference():
    ids = ("q72-500k", "l70-500k", "llama-3-3-70b-instruct")
    rows = {row["id"]: row for row in beside_paper(dict.fromkeys(ids, results(math=0.5)), JUDGED)}
    assert {row["table"] for row in rows.values()} == {4}
    cells = {model: row["cells"] for model, row in rows.items()}
    assert (cells["q72-500k"]["PrefRt-L8L"]["ours"], cells["q72-500k"]["PrefRt-L8L"]["outside"]) == (40, True)
    assert (cells["l70-500k"]["PrefRt-L8Q"]["ours"], cells["l70-500k"]["PrefRt-L8Q"]["outside"]) == (22.5, None)
    assert cells["q72-500k"]["MTBench"]["outside"] is True  # 6.72 beside 6.1 to 6.7
    assert cells["l70-500k"]["MTBench"]["ours"] is None
    flips = cells["llama-3-3-70b-instruct"]["FlipCt"]
    assert (flips["ours"], flips["paper"], flips["difference"]) == (6, 5, 1)
    assert cells["q72-500k"]["PrefRt-L70B"]["ours"] is None, "no such pair was compared"
    assert "length-controlled" in rows["q72-500k"]["note"]


def test_the_average_of_re_wild_stands_beside_that_of_the_authors_sheet(monkeypatch):
    paper = read_paper()
    tasks = {name: column.task or f"our {name}" for name, column in paper.columns.items()}
    columns = {name: Column(unit=column.unit, task=tasks[name], metric="acc") for name, column in paper.columns.items()}
    monkeypatch.setattr(beside, "read_paper", lambda: Paper(columns=columns, tables={}, averages=[]))
    ours = results(**{tasks[name]: 0.45 for name in NINE})
    rows = stated_averages({"rewild": ours, "tulu3": results(math=0.5), "q72": results(**{tasks["BBH"]: 0.5})})
    # nine errors of .03: .03 / sqrt(9) = .01, so .45 reaches from .4304 to .4696 and .4089 is outside
    found = [(row["id"], row["paper"], row["outside"]) for row in rows]
    assert found == [("rewild", 0.4089, True)]
    assert rows[0]["ours"] == pytest.approx(0.45)


def test_what_the_paper_printed_of_a_run_has_our_names_and_units(tmp_path, monkeypatch):
    text = (
        "columns:\n"
        "  Chat: {unit: score_1_10, task: mt, metric: acc}\n"
        "  Wins: {unit: percent, task: alpaca, metric: lc}\n"
        "  BBH: {unit: fraction, task: bbh, metric: acc}\n"
        "tables: {2: {columns: [Chat, Wins, BBH], rows: [{label: A, id: a, cells: [6, 30, [0.45, 0.01]]}]}}\n"
        "averages: []\n"
    )
    (tmp_path / "paper.yaml").write_text(text)
    monkeypatch.setattr(beside, "BENCHMARKS", (2,))
    monkeypatch.setattr(beside, "NINE", ("Chat", "Wins", "BBH"))
    monkeypatch.setattr(beside, "SEVEN", ("BBH", "Wins"))
    monkeypatch.setattr(beside, "published", lambda table: published(table, tmp_path / "paper.yaml"))
    ours = results(mt=0.5, alpaca=0.5, bbh=0.5)
    ours["tasks"]["bbh"]["metrics"]["acc"]["unit"] = "percent"
    ours["averages"] |= {"seven": {"columns": ["bbh", "alpaca"]}, "other": {"columns": ["bbh", "mt"]}}
    assert beside.printed_of("a", ours) == {  # Wins is another metric of alpaca's than our main one
        "mt": 0.6,
        "bbh": 45,
        "average": pytest.approx((0.6 + 0.3 + 0.45) / 3),
        "seven": pytest.approx((0.3 + 0.45) / 2),
    }
    assert beside.printed_of("b", ours) == {}


def test_git_keeps_how_many_cells_lie_outside_each_cell_once():
    found = build_tables({"l8i": paper_results()}, {}, [], {})
    assert [row["table"] for row in found["paper"]] == [2, 6]
    measured = summarize(found)["paper"]
    assert measured["cells"] == 6
    assert measured["outside"] == sum(
        abs(ours - paper) - 0.005 > 1.96 * 0.005
        for ours, paper in ((0.48, 0.46), (0.29, 0.30), (0.06, 0.04), (0.40, 0.37), (0.37, 0.38), (0.30, 0.33))
    )


def test_over_nine_the_printed_cells_give_what_the_authors_sheet_gives():
    rows = {(row["table"], row["label"]): row for row in published_averages()}
    nine = round_decimals(rows[2, "Q72"]["nine"])
    assert (nine["value"], nine["rounding"]) == (0.4051, 0.0039)
    assert round_decimals({label: row["nine"]["value"] for (table, label), row in rows.items() if table == 2}) == {
        "Q72": 0.4051, "L8I": 0.3741, "L70": 0.3747, "Q7": 0.3573, "CRP": 0.3522, "JMB": 0.3496,
    }  # fmt: skip
    assert rows[7, "L8B : Q72 (500k)"]["nine"]["value"] == pytest.approx(0.4037, abs=nine["rounding"])


def test_every_printed_average_can_be_that_of_seven_and_eleven_of_fourteen_not_that_of_nine():
    printed = [row for row in published_averages() if row["printed"] is not None]
    assert all(row["seven"]["printed_fits"] for row in printed)
    fits = [row["label"] for row in printed if row["nine"]["printed_fits"]]
    assert fits == ["L8B : Q7", "Q7B : L8I", "Q7B : Q7"]


def test_the_page_of_the_printed_numbers_has_the_averages_that_the_code_gives():
    def line(row: dict[str, Any]) -> str:
        averages = [f"{row[name]['value']:.4f}".removeprefix("0") for name in ("nine", "seven")]
        printed = "" if row["printed"] is None else f"{row['printed']:.2f}".removeprefix("0")
        fits = [{None: "", True: "can be", False: "cannot be"}[row[name]["printed_fits"]] for name in ("nine", "seven")]
        return " | ".join(["", str(row["table"]), row["label"], *averages, printed, *fits, ""]).strip()

    text = (ROOT / "stages/lib/comparison/README.md").read_text()
    assert "\n".join(map(line, published_averages())) in text


# --- the stage


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two DGMs and a run on each, one benchmark of one run missing; nothing but what the stage reads."""
    monkeypatch.chdir(tmp_path)
    runs = {"on-rich": {"base": "rich", "dgms": {"rich": 1.0}}, "on-plain": {"base": "rich", "dgms": {"plain": 2.0}}}
    mix = small_params()["mix"] | {"runs": runs}
    Path("params.yaml").write_text(f"compare: [rich, plain, on-rich, on-plain]\nmix: {json.dumps(mix)}\n")
    write_json(Path("data/checked/families.json"), {dgm: dgm for dgm in ("rich", "plain")})
    sources = {run: {run.removeprefix("on-"): {"take": {"rows": 10}}} for run in ("on-rich", "on-plain")}
    write_json(Path("metrics/recipes.json"), {"runs": {run: {"sources": taken} for run, taken in sources.items()}})
    for run in sources:
        write_json(Path(f"metrics/mix/{run}.json"), {"sources": {run.removeprefix("on-"): {"rows": 9}}})
    write_json(Path("data/preference/tables.json"), {"models": {}, "by_score": {}, "flips": {"pairs": {}}})
    write_evaluation("rich", math=0.5, chat=0.6)
    write_evaluation("plain", math=0.4, chat=0.7)
    write_evaluation("on-rich", math=0.3, chat=0.8)
    write_evaluation("on-plain", math=0.2, chat=None)
    return tmp_path


def write_evaluation(name: str, **values: float | None) -> None:
    folder = Path("data/evaluations") / name
    folder.mkdir(parents=True)
    write_json(folder / "results.json", results(**values))
    write_json(Path(f"metrics/digests/models/{name}.json"), {"evaluations": sha256_folder(folder)})


def test_the_stage_writes_all_comparisons_and_the_numbers_that_git_keeps(project):
    main()
    first = {path.name: path.read_bytes() for path in Path("data/agreement").iterdir()}
    assert set(first) == {"tables.json", "summary.json"}
    summary = read_json(Path("data/agreement/summary.json"))
    counts = {"agree": 1, "disagree": 0, "tie": 0, "missing": 1, "beyond_noise": 1, "beyond_noise_agree": 1}
    assert summary["agreement"] == counts | {"rate": 1.0, "rate_ties_disagree": 1.0}
    assert summary["on_policy"] == {"rich, 10 conversations": {"average": None, "math": 0.1, "chat": None}}
    assert (summary["blends"], summary["scaling"], summary["paper"]) == ({}, {}, {"cells": 0, "outside": 0})
    tables = read_json(Path("data/agreement/tables.json"))
    assert tables["agreement"]["pairs"][0]["cells"]["chat"]["missing"] == ["on-plain"]
    assert tables["agreement"]["pairs"][0]["rows"] == [9, 9]
    params = Path("params.yaml").read_text()
    Path("params.yaml").write_text(
        params.replace("[rich, plain, on-rich, on-plain]", "[on-plain, on-rich, plain, rich]")
    )
    main()
    assert {path.name: path.read_bytes() for path in Path("data/agreement").iterdir()} == first


def test_evaluations_that_metrics_do_not_name_are_refused(project):
    write_json(Path("data/evaluations/rich/results.json"), results(math=0.9))
    with pytest.raises(Exception, match="data/evaluations/rich does not match the digest in metrics/"):
        main()
