"""The averages of the paper's profile, over the rows of its table 2."""

import pytest

from stages.evaluate import log_results
from stages.lib.comparison import paper
from stages.lib.core.sections import parse, read_yaml
from stages.lib.core.types import Json
from stages.lib.evaluation.results import TaskResult, Unit, average, average_columns, measure
from stages.lib.settings.evaluate import Evaluate
from tests.support.evaluation import HARNESS, skipped
from tests.support.project import ROOT

# Of Evalchemy's tasks; all the others are shares.
UNITS: dict[str, Unit] = {"MTBench": "score_1_10", "alpaca_eval": "percent"}
PROFILE = parse(Evaluate, read_yaml(ROOT / "profiles/paper.yaml")["evaluate"], "evaluate")


def printed(label: str) -> tuple[paper.Row, dict[str, Json]]:
    """A row of the paper's table 2, and its tasks as results.json would have them if it were ours."""
    row = next(row for row in paper.read_rows(2) if row.label == label)
    tasks: dict[str, Json] = {}
    for cell in row.cells.values():
        name, metric = str(cell.column.task), str(cell.column.metric)
        score = measure([], cell.value, unit=UNITS.get(name, "fraction"))
        tasks[name] = TaskResult(status="ok", metrics={metric: score}, primary=metric, **HARNESS).to_json()
    return row, tasks


@pytest.mark.parametrize("label", ["Q72", "L8I", "L70", "Q7", "CRP", "JMB"])
def test_the_averages_of_a_printed_row_are_those_of_the_paper(label):
    row, tasks = printed(label)
    ours = {name: average(tasks, columns) for name, columns in average_columns(PROFILE).items()}
    assert list(ours) == ["average", "average_printed"]
    assert [len(mean["columns"]) for mean in ours.values()] == [9, 7]
    assert ours["average"]["value"] == pytest.approx(paper.average_row(row, paper.NINE))
    assert ours["average_printed"]["value"] == pytest.approx(paper.average_row(row, paper.SEVEN))


def test_the_average_of_q72_is_the_one_computed_by_hand():
    # .686 + .41 + .48 + .29 + .06 + .40 + .37 + .30 + .65 = 3.646, of nine; without the first two 2.55, of seven.
    _, tasks = printed("Q72")
    assert average(tasks, average_columns(PROFILE)["average"])["value"] == pytest.approx(3.646 / 9)
    assert average(tasks, average_columns(PROFILE)["average_printed"])["value"] == pytest.approx(2.55 / 7)


@pytest.mark.parametrize(
    ("without", "missing"),
    [
        (["MTBench"], {"average": ["MTBench"], "average_printed": []}),
        (["MTBench", "alpaca_eval"], {"average": ["MTBench", "alpaca_eval"], "average_printed": []}),
        (["MixEval"], {"average": ["MixEval"], "average_printed": ["MixEval"]}),
    ],
)
def test_a_skipped_task_leaves_the_averages_of_its_columns_without_a_value(without, missing, capsys):
    """MixEval, which Evalchemy runs, is one of the seven of the printed average too; MTBench and AlpacaEval are not."""
    _, tasks = printed("Q72")
    tasks |= {task: skipped() for task in without}
    averages = {name: average(tasks, columns) for name, columns in average_columns(PROFILE).items()}
    assert {name: mean["missing"] for name, mean in averages.items()} == missing
    assert {name: mean["value"] is None for name, mean in averages.items()} == {
        name: bool(names) for name, names in missing.items()
    }
    log_results("q72", tasks, averages, [])
    assert f"q72: average of 9 tasks needs {', '.join(missing['average'])}" in capsys.readouterr().err
