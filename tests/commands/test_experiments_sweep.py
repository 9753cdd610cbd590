"""`make experiments` on DVC's cache and on DVC's experiments: the guide's sweep runs as it is written."""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from commands.experiments.command import main
from commands.experiments.numbers import Numbers
from commands.experiments.states import Kind, State, list_experiments
from commands.experiments.table import build_rows
from stages.lib.console.errors import UserError
from stages.lib.core.files import sha256_folder
from stages.lib.settings.reading import load
from stages.lib.settings.sections import Differences
from tests.support.compared import write_compared
from tests.support.project import ROOT, Project, ran

SWEEP = re.search(r"```bash\n(.+?)```", (ROOT / "docs/experiments.md").read_text(), re.DOTALL)
MAKE = 'make() { command make --no-print-directory --old-file=.venv/lock "$@"; }\n'  # the environment is the test's
RIGHT, WRONG = "+" * 80, "+-" * 40


def keep(cache: Path, folder: Path) -> str:
    """Put a folder into a cache as DVC does; return its hash."""
    entries = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        oid = put(cache, file.read_bytes())
        entries.append({"md5": oid, "relpath": file.relative_to(folder).as_posix()})
    return put(cache, json.dumps(entries).encode(), ".dir")


def put(cache: Path, content: bytes, end: str = "") -> str:
    oid = hashlib.md5(content, usedforsecurity=False).hexdigest() + end
    file = cache / oid[:2] / oid[2:]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return oid


def trained(root: Path, name: str, marks: str, scores: Sequence[float] = (7, 5)) -> State:
    """A state whose model `rich` answers the rows of a quiz right or wrong, with its outs in root/cache."""
    folder = root / name
    write_compared(folder, "rich", {"demo_quiz": marks}, scores=scores)
    share = marks.count("+") / len(marks)
    evaluated = {"scores": {"demo_quiz": share, "average": share}, "n": {"demo_quiz": len(marks)}, "conditions": []}
    (folder / "data/evaluations/rich/summary.json").write_text(json.dumps(evaluated))
    judged = (folder / "data/judgments/rich/.summary.json").read_bytes()
    outs = ["data/evaluations/rich", "data/judgments"]
    lock = {"stages": {out: {"outs": [{"path": out, "md5": keep(root / "cache", folder / out)}]} for out in outs}}
    params = {"evaluate": {"tasks": {"demo_quiz": "acc"}, "averages": {}}, "mix": {"runs": {"rich": {}}}}
    files = {
        "params.yaml": json.dumps(params),
        "dvc.lock": json.dumps(lock),
        "metrics/evaluate/rich.json": json.dumps(evaluated),
        "metrics/headlines/rich.json": json.dumps({"quiz": share, "average": share, "loss": 0.5}),
        "metrics/digests/models/rich.json": json.dumps({
            name: sha256_folder(folder / "data" / name / "rich") for name in ("evaluations", "judgments")
        }),
    }
    contents = {path: text.encode() for path, text in files.items()} | {"metrics/judge/rich.json": judged}
    return State(name, Kind.EXPERIMENT, name, contents)


def compare(root: Path, one: State, base: State) -> Numbers:
    """The numbers of the first state in a table of two."""
    scratch = root / "scratch"
    scratch.mkdir()
    rows = build_rows([base, one], base, ["rich"], [], load(Differences), root / "cache", scratch)
    return rows[1].numbers


def test_where_the_cache_has_the_rows_of_both_sides_differences_are_paired_and_have_a_verdict(tmp_path: Path) -> None:
    numbers = compare(tmp_path, trained(tmp_path, "new", RIGHT), trained(tmp_path, "old", WRONG))
    difference = numbers.differences["average"]
    assert (round(difference.value, 9), difference.word) == (0.5, "better")
    assert not numbers.is_estimated and "judge" in numbers.differences
    assert "loss" not in numbers.differences  # nobody knows its interval


def test_outs_of_the_same_files_are_the_same(tmp_path: Path) -> None:
    numbers = compare(tmp_path, trained(tmp_path, "new", RIGHT), trained(tmp_path, "old", RIGHT))
    assert {name: difference.word for name, difference in numbers.differences.items()} == {
        "average": "same", "quiz": "same", "judge": "same"
    }  # fmt: skip


def test_without_the_rows_of_one_side_the_numbers_of_metrics_remain_and_there_is_no_verdict(tmp_path: Path) -> None:
    new, old = trained(tmp_path, "new", RIGHT), trained(tmp_path, "old", WRONG)
    oid = old.hashes["data/evaluations/rich"]
    (tmp_path / "cache" / oid[:2] / oid[2:]).unlink()
    difference = compare(tmp_path, new, old).differences["average"]
    assert (difference.value, difference.word) == (0.5, "unpaired")
    assert difference.ci95 is not None


def test_rows_of_another_run_than_the_metrics_are_not_used(tmp_path: Path) -> None:
    new = trained(tmp_path, "new", RIGHT)
    metrics = json.dumps({"scores": {"demo_quiz": 0.25, "average": 0.25}, "n": {"demo_quiz": 80}}).encode()
    torn = State(new.name, new.kind, new.commit, {**new.files, "metrics/evaluate/rich.json": metrics})
    numbers = compare(tmp_path, torn, trained(tmp_path, "old", WRONG))
    assert numbers.differences["average"].word == "unpaired"


@pytest.fixture(scope="module")
def swept(built: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """A copy of the small project after the guide's sweep, with what that printed. Not to be changed."""
    project = built.copy(tmp_path_factory.mktemp("swept") / "project")
    return project, sweep(project)


def sweep(project: Project, *edits: tuple[str, str], code: int = 0) -> str:
    """Run the guide's sweep, as it is written but for edits."""
    assert SWEEP is not None
    script = SWEEP[1]
    for old, new in edits:
        assert old in script
        script = script.replace(old, new)
    return project.run("bash", "-c", MAKE + script, code=code)


def snapshot(project: Project) -> dict[str, str]:
    """The digest of every file of the project that is no record of git or DVC."""
    files = [path.relative_to(project.root) for path in project.root.rglob("*") if path.is_file()]
    return {
        str(path): hashlib.sha256((project.root / path).read_bytes()).hexdigest()
        for path in files
        if not {".git", ".dvc", "__pycache__"} & set(path.parts)
    }


def test_the_sweep_of_the_guide_makes_three_experiments_and_leaves_the_workspace_alone(
    built: Project, swept: tuple[Project, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, printed = swept
    monkeypatch.chdir(project.root)
    assert [state.name for state in list_experiments()] == ["size-50", "size-100", "size-200"]
    assert snapshot(project) == snapshot(built)
    assert "generate@" not in "".join(ran(printed))
    heads = [line.split()[0] for line in printed.splitlines() if line.startswith("  size-")]
    assert heads == ["size-50", "size-100", "size-200"] * 2  # of the runs blend and only


def test_a_second_call_runs_nothing(swept: tuple[Project, str]) -> None:
    project, first = swept
    second = sweep(project)
    assert ran(second) == [] and second.startswith("size-50\nsize-100\nsize-200\n")
    assert second.splitlines()[-10:] == first.splitlines()[-10:]


def test_the_table_changes_nothing_and_is_the_same_each_time(
    swept: tuple[Project, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project, _ = swept
    monkeypatch.chdir(project.root)
    before, refs = snapshot(project), project.run("git", "for-each-ref")
    texts = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        files = [tmp_path / folder / f"table.{end}" for end in ("md", "csv", "svg", "png")]
        main(["--keys", "mix.size", "--out", *map(str, files)])
        texts.append([file.read_bytes() for file in files])
    assert texts[0] == texts[1]
    assert snapshot(project) == before and project.run("git", "for-each-ref") == refs
    assert capsys.readouterr().out.count("Base: ") == 2


def test_a_sweep_ends_at_a_failure_and_the_workspace_is_as_before(project: Project) -> None:
    before = snapshot(project)
    printed = sweep(project, ("50 100 200", "-1 100"))
    assert snapshot(project) == before
    assert "size--1: failed" in printed and "size-100" not in printed


def test_without_an_experiment_the_table_has_the_commit_and_says_how_to_make_one(
    built: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(built.root)
    main([])
    assert "There is no experiment yet. `dvc exp run --temp" in capsys.readouterr().out


def test_a_name_that_is_nothing_is_an_error_that_names_the_nearest(
    swept: tuple[Project, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(swept[0].root)
    with pytest.raises(UserError, match=r"BASE=size-20: .*did you mean size-200\?"):
        main(["--base", "size-20"])
