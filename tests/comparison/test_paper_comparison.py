"""Our numbers compared with the paper's: rows, averages, preferences, and the averages that it states."""

from typing import Any

import pytest

from stages.agreement import build_tables, summarize
from stages.lib.comparison import paper_comparison
from stages.lib.comparison.paper import NINE, Column, Paper, read_paper, read_rows, recompute_averages
from stages.lib.comparison.paper_comparison import compare_rows, compare_stated_averages
from stages.lib.core.numbers import round_decimals
from tests.support.project import ROOT
from tests.support.results import evaluations, paper_results, results


def test_a_row_of_the_paper_is_compared_with_our_run_of_its_id_and_no_other():
    rows = compare_rows({"q72": paper_results(bbh=0.50), "llama-3-1-8b": paper_results()}, {})
    assert [(row["table"], row["label"]) for row in rows] == [(2, "Q72")]
    cells = rows[0]["cells"]
    assert {name for name, cell in cells.items() if cell["outside"]} == {"BBH"}
    assert (cells["BBH"]["ours"], cells["BBH"]["paper"], cells["BBH"]["half_width"]) == (0.5, 0.48, 0.01)
    assert cells["MixEval"]["ours"] is None
    assert rows[0]["averages"]["seven"]["ours"] is None, "MixEval was not measured"
    assert rows[0]["averages"]["nine"]["paper"] == pytest.approx(0.4051, abs=5e-5)


def test_a_run_without_any_benchmark_of_the_paper_is_not_compared():
    assert compare_rows({"q72": results(math=0.5)}, {}) == []


# As data/preference/tables.json has them; 32 and 18 of 80 turns, 30 of them ties.
JUDGED = {
    "models": {"q72-500k": {"mean": 6.4, "ci95": [6.1, 6.7]}, "l70-500k": {"mean": None, "ci95": [None, None]}},
    "by_score": {"q72-500k l70-500k": {"rate": 0.4, "ci95": [0.29, 0.35], "rate_other": 0.225}},
    "flips": {"pairs": {"llama-3-3-70b-instruct l70-500k": {"q72-500k": {"flips": 6, "turns": 80}}}},
}


def test_table_4_is_compared_with_the_tables_of_preference():
    ids = ("q72-500k", "l70-500k", "llama-3-3-70b-instruct")
    rows = {row["id"]: row for row in compare_rows(dict.fromkeys(ids, results(math=0.5)), JUDGED)}
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


def test_the_average_of_re_wild_is_compared_with_that_of_the_authors_sheet(monkeypatch):
    paper = read_paper()
    tasks = {name: column.task or f"our {name}" for name, column in paper.columns.items()}
    columns = {name: Column(unit=column.unit, task=tasks[name], metric="acc") for name, column in paper.columns.items()}
    monkeypatch.setattr(
        paper_comparison, "read_paper", lambda: Paper(columns=columns, tables={}, averages=paper.averages)
    )
    ours = results(**{tasks[name]: 0.45 for name in NINE})
    rows = compare_stated_averages({"rewild": ours, "tulu3": results(math=0.5), "q72": results(**{tasks["BBH"]: 0.5})})
    # nine errors of .03: .03 / sqrt(9) = .01, so .45 reaches from .4304 to .4696 and .4089 is outside
    assert [(row["id"], row["paper"], row["outside"]) for row in rows] == [("rewild", 0.4089, True)]
    assert rows[0]["ours"] == pytest.approx(0.45)


def test_printed_scores_have_our_names_and_units(tmp_path, monkeypatch):
    text = (
        "columns:\n"
        "  Chat: {unit: score_1_10, task: mt, metric: acc}\n"
        "  Wins: {unit: percent, task: alpaca, metric: lc}\n"
        "  BBH: {unit: fraction, task: bbh, metric: acc}\n"
        "tables: {2: {columns: [Chat, Wins, BBH], rows: [{label: A, id: a, cells: [6, 30, [0.45, 0.01]]}]}}\n"
        "averages: []\n"
    )
    (tmp_path / "paper.yaml").write_text(text)
    monkeypatch.setattr(paper_comparison, "BENCHMARK_TABLES", (2,))
    monkeypatch.setattr(paper_comparison, "AVERAGES", {"nine": ("Chat", "Wins", "BBH"), "seven": ("BBH", "Wins")})
    monkeypatch.setattr(paper_comparison, "read_rows", lambda table: read_rows(table, tmp_path / "paper.yaml"))
    ours = results(mt=0.5, alpaca=0.5, bbh=0.5)
    ours["tasks"]["bbh"]["metrics"]["acc"]["unit"] = "percent"
    ours["averages"] |= {"seven": {"columns": ["bbh", "alpaca"]}, "other": {"columns": ["bbh", "mt"]}}
    assert paper_comparison.printed_scores("a", ours) == {  # Wins is another metric of alpaca's than our main one
        "mt": 0.6,
        "bbh": 45,
        "average": pytest.approx((0.6 + 0.3 + 0.45) / 3),
        "seven": pytest.approx((0.3 + 0.45) / 2),
    }
    assert paper_comparison.printed_scores("b", ours) == {}


def test_the_summary_counts_each_cell_that_lies_outside_once():
    tables = build_tables(evaluations(l8i=paper_results()), {"l8i": paper_results()}, {}, [], {})
    assert [row["table"] for row in tables["paper"]] == [2, 6]
    measured = summarize(tables)["paper"]
    assert measured["cells"] == 6
    assert measured["outside"] == sum(
        abs(ours - paper) - 0.005 > 1.96 * 0.005
        for ours, paper in ((0.48, 0.46), (0.29, 0.30), (0.06, 0.04), (0.40, 0.37), (0.37, 0.38), (0.30, 0.33))
    )


def test_averages_of_printed_cells_over_nine_equal_those_of_the_authors_sheet():
    rows = {(row["table"], row["label"]): row for row in recompute_averages()}
    nine = round_decimals(rows[2, "Q72"]["nine"])
    assert (nine["value"], nine["rounding"]) == (0.4051, 0.0039)
    assert round_decimals({label: row["nine"]["value"] for (table, label), row in rows.items() if table == 2}) == {
        "Q72": 0.4051, "L8I": 0.3741, "L70": 0.3747, "Q7": 0.3573, "CRP": 0.3522, "JMB": 0.3496,
    }  # fmt: skip
    assert rows[7, "L8B : Q72 (500k)"]["nine"]["value"] == pytest.approx(0.4037, abs=nine["rounding"])


def test_every_printed_average_can_be_over_seven_and_eleven_of_fourteen_cannot_be_over_nine():
    printed = [row for row in recompute_averages() if row["printed"] is not None]
    assert all(row["seven"]["printed_fits"] for row in printed)
    fits = [row["label"] for row in printed if row["nine"]["printed_fits"]]
    assert fits == ["L8B : Q7", "Q7B : L8I", "Q7B : Q7"]


def test_the_readme_has_the_averages_that_the_code_computes():
    def line(row: dict[str, Any]) -> str:
        averages = [f"{row[name]['value']:.4f}".removeprefix("0") for name in ("nine", "seven")]
        printed = "" if row["printed"] is None else f"{row['printed']:.2f}".removeprefix("0")
        fits = [{None: "", True: "can be", False: "cannot be"}[row[name]["printed_fits"]] for name in ("nine", "seven")]
        return " | ".join(["", str(row["table"]), row["label"], *averages, printed, *fits, ""]).strip()

    text = (ROOT / "stages/lib/comparison/README.md").read_text()
    assert "\n".join(map(line, recompute_averages())) in text
