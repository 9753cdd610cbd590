"""`make experiments`: what each experiment changed, its numbers, and what they say, on rows that are written here."""

import csv
import json
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from commands.experiments.changes import ABSENT, describe_changes, find_changes, find_keys, list_changed
from commands.experiments.chart import draw_svg, find_places
from commands.experiments.files import check_file, to_csv, to_markdown
from commands.experiments.notices import list_notices
from commands.experiments.numbers import Cell, Difference, Numbers, estimate, subtract
from commands.experiments.pending import Pending, list_failed, list_running
from commands.experiments.screen import cut, describe, find_decimals, format_cells
from commands.experiments.states import Kind, State
from commands.experiments.table import Row, Table, list_measures, list_models, sort_by_params
from stages.lib.console.errors import UserError

PARAMS = """
mix:
  size: 200
  runs:
    rich: {base: base, dgms: {a: 1.0}}
train: {learning_rate: 1.0e-3, seed: 42}
evaluate: {tasks: {demo_quiz: acc}, averages: {}}
runtime: {max_concurrent: 256}
"""
MEASURES = ("average", "judge", "algebra", "knowledge", "markup")


def state(name: str, *edits: tuple[str, str], kind: Kind = Kind.EXPERIMENT, **metrics: Any) -> State:
    """A state whose params.yaml is PARAMS with edits; `metrics` hold those of the model `rich`, by folder."""
    params = PARAMS
    for old, new in edits:
        assert old in params
        params = params.replace(old, new)
    files = {f"metrics/{folder}/rich.json": json.dumps(content).encode() for folder, content in metrics.items()}
    return State(name, kind, name, {"params.yaml": params.encode(), **files})


BASE = state("base", kind=Kind.COMMIT, headlines={"average": 0.5})


def row(size: int, average: float, word: str, *, name: str = "", model: str = "rich", is_base: bool = False) -> Row:
    """A row of a sweep of mix.size; the judge's score has no difference."""
    cells = {measure: Cell(average, [average - 0.05, average + 0.05], "share") for measure in MEASURES}
    cells |= {"judge": Cell(9.0 + average, [9.0, 10.0], "points"), "markup": Cell(3.9)}
    difference = {} if is_base else {"average": Difference(average - 0.5, [average - 0.58, average - 0.42], word)}
    changes = {} if is_base else {"mix.size": size}
    shown = State(name or f"size-{size}", Kind.COMMIT if is_base else Kind.EXPERIMENT, f"{size:040}", {})
    return Row(shown, model, {"mix.size": size}, changes, Numbers(cells, difference), is_base)


def sweep(*more: Row, notices: Sequence[str] = ()) -> Table:
    """The table of a sweep of three sizes."""
    rows = [
        row(200, 0.5, "", name="5ad2372 The demo's numbers", is_base=True),
        row(50, 0.3, "worse"),
        row(100, 0.45, "not decided"),
        *more,
    ]
    return Table(rows, ["mix.size"], list(MEASURES), rows[0].state, list(notices))


def lines_of(table: Table, width: int) -> list[str]:
    return list(describe(table, width))


def test_changes_are_the_params_that_differ_from_the_base_but_for_those_of_how_to_run() -> None:
    changed = state("x", ("size: 200", "size: 50"), ("256", "8"), ("seed: 42", "seeds: [1, 2]"))
    changes = find_changes(changed, BASE)
    assert changes == {"mix.size": 50, "train.seed": ABSENT, "train.seeds": [1, 2]}
    assert describe_changes(changes) == "mix.size=50, without train.seed, train.seeds=[1, 2]"
    assert find_changes(changed, None) == {}


def test_runs_that_were_added_or_removed_are_changes_too() -> None:
    other = state("x", ("rich: {base: base, dgms: {a: 1.0}}", "new: {base: other}"))
    assert describe_changes(find_changes(other, BASE)) == (
        "without mix.runs.rich.base, without mix.runs.rich.dgms.a, mix.runs.new.base=other"
    )


def test_a_section_stands_for_its_keys_that_changed_and_a_mistyped_key_is_named() -> None:
    states = [BASE, state("x", ("size: 200", "size: 50"), ("42", "43"))]
    changed = list_changed(states, BASE)
    assert changed == ["mix.size", "train.seed"]
    assert find_keys(["train", "mix.size"], states, changed) == ["train.seed", "mix.size"]
    assert find_keys(["runtime"], states, changed) == ["runtime.max_concurrent"]
    with pytest.raises(UserError, match=r"KEYS=mix.sise: params.yaml has no such key.*did you mean mix.size\?"):
        find_keys(["mix.sise"], states, changed)


@pytest.mark.parametrize("broken", [b"", b"- a list\n", b"mix: [", b"\xff"])
def test_a_params_yaml_that_cannot_be_read_changes_nothing_and_breaks_nothing(broken: bytes) -> None:
    other = State("x", Kind.COMMIT, "x", {"params.yaml": broken, "metrics/headlines/rich.json": b"{"})
    assert other.params == {} and other.headlines == {}
    assert find_changes(other, BASE)["mix.size"] is ABSENT


def test_a_share_without_its_rows_has_the_interval_of_its_number_of_rows() -> None:
    scores = {"scores": {"demo_quiz": 0.5, "average": 0.5}, "n": {"demo_quiz": 20}}
    cells = estimate(state("x", evaluate=scores), "rich")
    assert cells["demo_quiz"].ci95 == pytest.approx([0.272, 0.728], abs=5e-4)  # Clopper and Pearson, 10 of 20
    assert cells["average"].value == 0.5 and cells["average"].ci95 is not None


def test_metrics_do_not_know_the_interval_of_a_mean_of_seeds_or_of_what_is_no_share() -> None:
    scores = {"scores": {"demo_quiz": 0.5, "average": 0.5}, "n": {"demo_quiz": 20}}
    assert estimate(state("x", ("a: 1.0}}", "a: 1.0}, seeds: [1, 2]}"), evaluate=scores), "rich") == {}
    assert estimate(state("x", evaluate=scores | {"scores": {"demo_quiz": 7.5}}), "rich") == {}


def test_a_difference_without_its_rows_is_that_of_independent_numbers_and_has_no_verdict() -> None:
    difference = subtract(Cell(0.6, [0.5, 0.7]), Cell(0.4, [0.3, 0.5]))
    assert difference.word == "unpaired"
    assert difference.value == pytest.approx(0.2)
    assert difference.ci95 == pytest.approx([0.2 - 0.02**0.5, 0.2 + 0.02**0.5])
    assert subtract(Cell(0.6), Cell(0.4, [0.3, 0.5])).ci95 is None


def test_numbers_have_the_decimals_that_the_narrowest_interval_supports() -> None:
    assert find_decimals([[0.4, 0.6], [0.44, 0.56], None]) == 2
    cells = [Cell(0.5, [0.4, 0.6]), Cell(0.5, [0.44, 0.56]), Cell(0.25), None]
    assert [text.rstrip() for text in format_cells(cells, with_ends=True)] == [
        "0.50 [0.40, 0.60]", "0.50 [0.44, 0.56]", "0.25", "-"
    ]  # fmt: skip


@pytest.mark.parametrize("width", [80, 100, 160])
def test_no_line_is_wider_than_the_terminal_and_the_average_is_whole(width: int) -> None:
    lines = lines_of(sweep(row(400, 0.52, "equivalent", name="a-very-long-name-of-an-experiment-400")), width)
    assert max(map(len, lines)) <= width
    by_size = {next(word for word in line.split() if word in {"50", "100", "200", "400"}): line for line in lines[2:6]}
    assert "0.30 [0.25, 0.35]" in by_size["50"] and "-0.20 [-0.28, -0.12]  worse" in by_size["50"]
    assert "not decided" in by_size["100"] and "equivalent" in by_size["400"] and "base" in by_size["200"]


def test_a_wider_terminal_has_more_numbers_and_what_has_no_room_is_named() -> None:
    heads = [lines_of(sweep(), width)[0].split() for width in (80, 100, 160)]
    assert [sum(measure in head for measure in MEASURES) for head in heads] == sorted(
        sum(measure in head for measure in MEASURES) for head in heads
    )
    assert set(MEASURES) <= set(heads[2])
    left_out = next(line for line in lines_of(sweep(), 80) if line.startswith("No room for "))
    assert all(measure in left_out or measure in heads[0] for measure in MEASURES)


def test_names_are_cut_in_the_middle_so_that_both_ends_can_be_told_apart() -> None:
    assert cut("size-100-of-the-second-kind", 11) == "size-…-kind"
    assert cut("size-100", 8) == "size-100"


def test_a_number_that_one_experiment_does_not_have_is_a_dash_there() -> None:
    old = Row(State("old", Kind.COMMIT, "old", {}), "rich", {"mix.size": ABSENT}, {}, Numbers({"old_score": Cell(0.7)}))
    table = sweep(old)
    table = Table(table.rows, table.keys, list_measures(table.rows), table.base, [])
    assert "old_score" in table.measures
    assert next(line for line in lines_of(table, 160) if "old" in line.split()).split()[:3] == ["old", "-", "-"]
    assert "| old | - | rich | - |" in to_markdown(table)


def test_rows_are_sorted_by_the_keys_that_were_asked_for_within_each_model() -> None:
    rows = [row(100, 0.4, ""), row(50, 0.4, "", model="plain"), row(9, 0.4, ""), row(200, 0.4, "", model="plain")]
    assert [(each.model, each.params["mix.size"]) for each in sort_by_params(rows)] == [
        ("rich", 9), ("rich", 100), ("plain", 50), ("plain", 200)
    ]  # fmt: skip


def test_models_are_all_runs_and_others_only_where_their_numbers_differ() -> None:
    same, other = {"average": 0.5}, {"average": 0.6}
    base = with_models(BASE, {"rich": same, "base": same, "dgm": same})
    changed = with_models(BASE, {"rich": same, "base": same, "dgm": other})
    assert list_models([base, changed], base) == ["rich", "dgm"]


def with_models(base: State, models: Mapping[str, Any]) -> State:
    files = {f"metrics/headlines/{model}.json": json.dumps(numbers).encode() for model, numbers in models.items()}
    return State(base.name, base.kind, base.commit, {"params.yaml": base.files["params.yaml"], **files})


def test_markdown_has_the_whole_table_and_what_is_to_be_said_of_it() -> None:
    lines = to_markdown(sweep(row(400, 0.52, "equivalent", name="a|b"), notices=["Base: x."])).splitlines()
    assert lines[0].startswith("| experiment | `mix.size` | model | average | average - base | judge |")
    assert len({line.replace(r"\|", "").count("|") for line in lines[:6]}) == 1
    assert "| 0.30 [0.25, 0.35] | -0.20 [-0.28, -0.12] worse |" in lines[3]
    assert lines[5].startswith(r"| a\|b | 400 |") and lines[-1] == "Base: x."


def test_csv_has_a_column_for_each_number_and_each_end_of_an_interval() -> None:
    rows = list(csv.DictReader(StringIO(to_csv(sweep()))))
    assert rows[1]["experiment"] == "size-50" and rows[1]["params.mix.size"] == "50"
    assert [float(rows[1][f"average{end}"]) for end in ("", ".low", ".high")] == [0.3, 0.25, 0.35]
    assert [rows[n]["average.verdict"] for n in range(3)] == ["base", "worse", "not decided"]
    assert rows[1]["markup"] == "3.9" and rows[1]["markup.low"] == ""


def test_the_picture_is_the_same_each_time_and_needs_a_parameter() -> None:
    svg = draw_svg(sweep())
    assert svg == draw_svg(sweep())
    assert "<title>Rewild experiments: against mix.size</title>" in svg
    with pytest.raises(UserError, match=r"KEYS=mix\.size"):
        draw_svg(Table(sweep().rows, [], list(MEASURES), None, []))


def test_numbers_stand_where_they_are_and_words_one_after_the_other() -> None:
    assert find_places([200, 50, 100, 50]) == {"50": 50.0, "100": 100.0, "200": 200.0}
    assert find_places(["cosine", ABSENT, "linear"]) == {"cosine": 0.0, "-": 1.0, "linear": 2.0}


def test_a_file_of_another_kind_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_text("a,b\n")
    Path("ours.csv").write_text(to_csv(sweep()))
    Path("data").mkdir()
    check_file(Path("ours.csv"))
    for name, message in {
        "mine.csv": "exists and is no table of experiments",
        "table.txt": "name a file that ends in .md, .csv, .svg or .png",
        "data/table.csv": "is in a folder of the pipeline",
        "nowhere/table.csv": "there is no folder nowhere",
    }.items():
        with pytest.raises(UserError, match=message):
            check_file(Path(name))


def write_record(folder: Path, revision: str, **info: Any) -> None:
    file = folder / revision / f"{revision}.run"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(info))


def test_failed_experiments_are_those_of_the_last_commit(tmp_path: Path) -> None:
    write_record(tmp_path, "a" * 40, name="size-0", status=4, baseline_rev="head")
    write_record(tmp_path, "b" * 40, name="old", status=4, baseline_rev="before")
    write_record(tmp_path, "c" * 40, name="fine", status=3, baseline_rev="head")
    assert list(list_failed(tmp_path, "head")) == [Pending("size-0", "failed", "run it again to see why")]


def test_an_experiment_whose_process_is_gone_was_killed(tmp_path: Path) -> None:
    write_record(tmp_path, "a" * 40, name="size-50", location="dvc-task", root_dir="/nowhere")
    (tmp_path / ("a" * 40) / f"{'a' * 40}.json").write_text('{"pid": 4194305}')  # above the largest number of a process
    write_record(tmp_path, "b" * 40, name=None, location="dvc-task", root_dir=str(tmp_path))
    assert [(each.name, each.state) for each in list_running(tmp_path, set())] == [
        ("size-50", "killed"), ("bbbbbbb", "running")
    ]  # fmt: skip


def test_what_has_no_numbers_is_named_with_its_state_below_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    notices = list_notices(sweep(), [BASE], [Pending("a", "queued", "`x` runs it"), Pending("b", "running", "")])
    assert notices[-2:] == ["a: queued (`x` runs it).", "b: running."]
    assert list_notices(sweep(), [BASE], [])[-1].startswith("There is no experiment yet. `dvc exp run --temp --name ")
