"""The paper's printed numbers: complete, averaged by both definitions, and compared with ours."""

from math import sqrt
from pathlib import Path

import pytest

from stages.lib.comparison.paper import HALF_DECIMAL, NINE, SEVEN, Row, average_row, read_paper, read_rows
from stages.lib.comparison.paper_comparison import compare_benchmarks
from stages.lib.console.errors import UserError
from stages.lib.core.sections import read_yaml
from stages.lib.evaluation.results import measure
from tests.support.project import ROOT

PROFILE = read_yaml(ROOT / "profiles/paper.yaml")
ROWS = [row for table in (2, 4, 6, 7) for row in read_rows(table)]
AVERAGED = [row for row in ROWS if row.average is not None]
SMALL = """
columns: {MTBench: {unit: score_1_10}, AlpacaEval: {unit: percent}, BBH: {unit: fraction, task: bbh, metric: acc}}
tables:
  1:
    columns: [MTBench, AlpacaEval, BBH]
    rows:
    - {label: A, id: a, cells: [6, 30.0, [0.45, 0.02]]}
    - {label: B, id: b, cells: [6.5, null, 0.4]}
averages: []
"""


def find(table: int, label: str):
    return next(row for row in read_rows(table) if row.label == label)


def metric(value: float, half_width: float, unit: str = "fraction"):
    return {"value": value, "n": 10**6, "stderr": half_width / 1.96, "unit": unit}


def find_misfits(row: Row) -> dict[str, tuple[float, float]]:
    """The columns whose printed half-width does not fit a share of that many questions, and the range that would.

    By the normal approximation (sec. 3.1), 1.96 sqrt(p (1 - p) / n), for every p that rounds to the printed share.
    """
    misfits = {}
    for name, cell in row.cells.items():
        if cell.half_width is not None and cell.column.questions:
            shares = [max(0, min(1, cell.value + off)) for off in (-HALF_DECIMAL, 0, HALF_DECIMAL)]
            widths = [1.96 * sqrt(share * (1 - share) / cell.column.questions) for share in shares]
            if max(widths) < cell.half_width - HALF_DECIMAL or min(widths) >= cell.half_width + HALF_DECIMAL:
                misfits[name] = (min(widths), max(widths))
    return misfits


def small(folder: Path, text: str = SMALL) -> Path:
    path = folder / "small.yaml"
    path.write_text(text)
    return path


def test_every_row_and_cell_of_the_four_tables_is_there():
    assert {table: len(read_rows(table)) for table in (2, 4, 6, 7)} == {2: 6, 4: 4, 6: 8, 7: 6}
    assert all(tuple(row.cells) == NINE for row in ROWS if row.table != 4)
    assert [len(row.cells) for row in read_rows(4)] == [4, 4, 5, 5]
    assert [row.table for row in AVERAGED] == [6] * 8 + [7] * 6


def test_every_row_is_a_run_or_a_model_of_the_profile():
    known = {*PROFILE["mix"]["runs"], *PROFILE["dgms"]}
    assert {row.id for row in ROWS} | {mean.id for mean in read_paper().averages} <= known


def test_benchmarks_and_metrics_are_those_of_the_profile():
    columns = read_paper().columns
    ours = PROFILE["evaluate"]["tasks"] | PROFILE["evaluate"]["evalchemy"]
    assert {column.task: column.metric for column in columns.values() if column.task} == ours
    averages = {
        "average": {columns[name].task for name in NINE},
        "average_printed": {columns[name].task for name in SEVEN},
    }
    assert {name: set(tasks) for name, tasks in PROFILE["evaluate"]["averages"].items()} == averages


def test_values_lie_in_their_units_and_shares_of_seven_benchmarks_have_an_interval():
    tops = {"score_1_10": 10, "percent": 100, "fraction": 1, "count": 80}
    for row in ROWS:
        assert all(0 <= cell.value <= tops[cell.column.unit] for cell in row.cells.values())
        assert {name for name, cell in row.cells.items() if cell.half_width is not None} <= set(SEVEN)
        assert row.table == 4 or all(row.cells[name].half_width is not None for name in SEVEN)


@pytest.mark.parametrize("row", AVERAGED, ids=lambda row: row.label)
def test_the_printed_average_is_that_of_seven_and_never_that_of_nine(row):
    seven, nine = average_row(row, SEVEN), average_row(row, NINE)
    assert seven is not None and nine is not None
    assert round(seven, 2) == row.average
    assert round(nine, 2) > row.average


def test_the_fine_tune_on_q72_is_ahead_of_the_one_on_q7_over_nine_only():
    q7, q72 = find(6, "Q7B : Q7"), find(6, "Q7B : Q72")
    assert [round(average_row(row, SEVEN) or 0, 2) for row in (q7, q72)] == [0.43, 0.42]
    assert [round(average_row(row, NINE) or 0, 2) for row in (q7, q72)] == [0.44, 0.45]


def test_recomputed_averages_are_those_of_the_printed_cells_where_the_paper_prints_them():
    stated = {mean.id: mean.recomputed for mean in read_paper().averages}
    assert average_row(find(2, "Q72"), NINE) == pytest.approx(stated["q72"], abs=5e-5)
    assert average_row(find(7, "L8B : Q72 (500k)"), NINE) == pytest.approx(stated["q72-500k"], abs=0.005)  # .4031
    assert (stated["rewild"], stated["tulu3"]) == (0.4089, 0.3742)  # their cells are in no table
    assert not {"rewild", "tulu3", "q72-lc"} & {row.id for row in ROWS}


def test_the_half_widths_of_math_and_four_of_musr_do_not_fit_their_number_of_questions():
    misfits = {(row.table, row.label): find_misfits(row) for row in ROWS if row.table != 4}
    musr = [key for key, columns in misfits.items() if "MUSR" in columns]
    assert musr == [(2, "Q72"), (2, "L70"), (2, "CRP"), (2, "JMB")]
    assert misfits[2, "JMB"]["MUSR"] == pytest.approx((0.0345, 0.0347), abs=5e-5)  # prints .04
    assert {name for columns in misfits.values() for name in columns} == {"MUSR", "MATH"}
    assert all("MATH" in columns for columns in misfits.values())
    # .06 of 1,324: 1.96 sqrt(.06 * .94 / 1324) = .0128, which prints as .01; to print .00 it takes 7,987 questions
    assert misfits[2, "Q72"]["MATH"][0] == pytest.approx(0.0123, abs=5e-5)
    assert 1.96 * sqrt(0.055 * 0.945 / 7986) > 0.005 > 1.96 * sqrt(0.055 * 0.945 / 7987)


def test_tables_that_print_the_same_run_differ_where_the_notes_say():
    for two, six in (("L8I", "L8B : L8I"), ("Q7", "L8B : Q7")):
        assert find(2, two).cells == find(6, six).cells
    first, second = find(2, "L70").cells, find(6, "L8B : L70").cells
    assert [name for name in NINE if first[name] != second[name]] == ["MUSR"]
    assert first["MUSR"].value == second["MUSR"].value == 0.39
    for four, seven in (("L8B : L70", "L8B : L70 (500k)"), ("L8B : Q72", "L8B : Q72 (500k)")):
        assert f"{find(7, seven).cells['MTBench'].value}" in find(4, four).note


def test_an_average_scales_to_shares_and_is_none_when_a_column_is_missing(tmp_path):
    a, b = read_rows(1, small(tmp_path))
    assert average_row(a, ("MTBench", "AlpacaEval", "BBH")) == pytest.approx((0.6 + 0.3 + 0.45) / 3)
    assert average_row(b, ("MTBench", "BBH")) == pytest.approx((0.65 + 0.4) / 2)
    assert average_row(b, ("MTBench", "AlpacaEval")) is None
    assert average_row(a, NINE) is None


def test_a_cell_is_outside_if_all_that_rounds_to_it_is_outside_our_interval():
    tasks = {
        "leaderboard_bbh": {"metrics": {"acc_norm": metric(0.52, 0.013)}},  # .48, below
        "leaderboard_musr": {"metrics": {"acc_norm": metric(0.44, 0.037)}},  # .40 may be .404
        "leaderboard_mmlu_pro": {"metrics": {"acc": metric(0.29, 0.008)}},  # .30 may be .296
        "leaderboard_math_hard": {"metrics": {"exact_match_original": metric(0.02, 0.008)}},  # .06, above
        "leaderboard_ifeval": {
            "metrics": {"prompt_level_strict_acc": {"value": 0.4, "n": 541, "stderr": None, "unit": "fraction"}}
        },
        "leaderboard_gpqa": {"status": "failed", "metrics": {}},
    }
    compared = compare_benchmarks({"tasks": tasks}, find(2, "Q72"))
    assert tuple(compared) == NINE
    outside = {name: cell.outside for name, cell in compared.items() if cell.outside is not None}
    assert outside == {"BBH": True, "MUSR": False, "MMLU Pro": False, "MATH": True}
    assert (compared["BBH"].ours, compared["BBH"].paper) == (0.52, 0.48)
    assert compared["BBH"].difference == pytest.approx(0.04)
    assert compared["IFEval"].difference == pytest.approx(0.03)
    not_measured = {name: cell for name, cell in compared.items() if cell.ours is None}
    assert set(not_measured) == {"MTBench", "AlpacaEval", "GPQA", "MixEval"}
    assert all(cell.difference is None for cell in not_measured.values())


def test_metrics_of_results_json_are_compared_with_the_papers(tmp_path):
    row = read_rows(1, small(tmp_path))[0]
    right = measure([[1.0]] * 45 + [[0.0]] * 55)
    wrong = measure([[1.0]] * 90 + [[0.0]] * 10)
    pairs = [
        compare_benchmarks({"tasks": {"bbh": {"metrics": {"acc": metric}}}}, row)["BBH"] for metric in (right, wrong)
    ]
    assert [pair.outside for pair in pairs] == [False, True]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[6, 30.0, [0.45, 0.02]]", "[6, 30.0]", "table 1, A: 2 cells for 3 columns"),
        ("[MTBench, AlpacaEval, BBH]", "[MTBench, AlpacaEval, MUSR]", "does not describe: MUSR"),
        ("unit: percent", "unit: per cent", "columns.AlpacaEval.unit"),
        ("[0.45, 0.02]", "[0.45]", "tables.1.rows.0.cells.2"),
    ],
)
def test_an_error_in_the_file_names_its_place(tmp_path, old, new, message):
    with pytest.raises(UserError, match=message):
        read_rows(1, small(tmp_path, SMALL.replace(old, new)))


def test_a_table_that_is_missing_and_results_without_tasks_are_errors():
    with pytest.raises(UserError, match=r"paper\.yaml has no table 3; it has: 2, 4, 6, 7"):
        read_rows(3)
    with pytest.raises(UserError, match="without `tasks`"):
        compare_benchmarks({}, ROWS[0])
