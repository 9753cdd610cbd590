"""Which stages the page of a run calls done, running and waiting."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from commands.watch.pipeline import read_pipeline
from stages.lib.console.errors import UserError
from tests.support.project import ROOT

GRAPH = {
    "vars": ["seeds.json"],
    "stages": {
        "check": {"cmd": "c", "deps": ["params.yaml"], "outs": ["checked"]},
        "make": {"matrix": {"dgm": "${dgms}"}, "cmd": "m", "deps": ["checked"], "outs": ["data/${item.dgm}"]},
        "count": {"foreach": "${seeds}", "do": {"cmd": "c", "deps": ["data/${key}"], "outs": ["n/${key}.json"]}},
        "sum": {"cmd": "s", "deps": ["n"], "outs": [{"sum.json": {"cache": False}}]},
    },
}


def md5(path: str) -> str:
    return hashlib.md5(Path(path).read_bytes()).hexdigest()


def entry(deps: dict[str, str], outs: dict[str, str], **params: Any) -> dict[str, Any]:
    """A stage in dvc.lock."""
    files = {name: [{"path": path, "md5": value} for path, value in each.items()]
             for name, each in (("deps", deps), ("outs", outs))}  # fmt: skip
    return {"cmd": "x", **files, "params": {"params.yaml": params}}


@pytest.fixture(autouse=True)
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipeline of which all has run."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(json.dumps({"dgms": ["a", "b"], "size": 4}))
    Path("seeds.json").write_text(json.dumps({"seeds": {"a": 1}}))
    Path("checked").write_text("c")
    for path in ("data/a", "data/b", "n/a.json", "sum.json"):
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).touch()
    write("dvc.yaml", GRAPH)
    write("dvc.lock", {"stages": {
        "check": entry({"params.yaml": md5("params.yaml")}, {"checked": md5("checked")}),
        "make@a": entry({"checked": md5("checked")}, {"data/a": "1.dir"}, size=4),
        "make@b": entry({"checked": md5("checked")}, {"data/b": "2.dir"}),
        "make@gone": entry({}, {"data/gone": "3.dir"}),
        "count@a": entry({"data/a": "1.dir"}, {"n/a.json": "4"}),
        "sum": entry({"n": "5.dir"}, {"sum.json": "6"}),
    }})  # fmt: skip


def write(path: str, content: object) -> None:
    Path(path).write_text(json.dumps(content))  # which is YAML
    os.utime(path, (0, Path(path).stat().st_size))  # another time for another content


def change_lock(stage: str, **changes: Any) -> None:
    lock = json.loads(Path("dvc.lock").read_text())
    lock["stages"][stage] |= changes
    write("dvc.lock", lock)


def waiting() -> list[str]:
    return [name for name, state in read_pipeline().states.items() if state != "done"]


def test_every_stage_of_dvc_yaml_is_there_and_done() -> None:
    assert list(read_pipeline().states) == ["check", "make@a", "make@b", "count@a", "sum"]
    assert waiting() == []


def test_another_dep_undoes_a_stage_and_all_that_follow_also_through_a_folder() -> None:
    change_lock("make@a", outs=[{"path": "data/a", "md5": "other.dir"}])
    assert waiting() == ["count@a", "sum"]


def test_a_stage_whose_out_is_not_here_waits_as_in_a_clone_without_data() -> None:
    Path("data/b").unlink()
    assert waiting() == ["make@b"]


def test_another_param_undoes_a_stage() -> None:
    change_lock("make@a", params={"params.yaml": {"size": 5}})
    assert waiting() == ["make@a", "count@a", "sum"]


def test_an_edit_of_params_yaml_waits_for_check_which_decides_what_it_undoes() -> None:
    Path("params.yaml").write_text(json.dumps({"dgms": ["a", "b"], "size": 4, "more": 1}))
    assert waiting() == ["check"]


def test_a_stage_runs_while_a_live_dvc_writes_its_out() -> None:
    locks = Path(".dvc/tmp/rwlock")
    locks.parent.mkdir(parents=True)
    for pid, state in ((os.getpid(), "running"), (2**22 + 1, "done")):
        locks.write_text(json.dumps({"write": {f"{Path.cwd()}/data/b": {"pid": pid, "cmd": "dvc repro"}}, "read": {}}))
        assert read_pipeline().states["make@b"] == state
    locks.write_text("")  # a DVC that was killed may leave it empty
    assert waiting() == []


def test_the_pipelines_own_stages_are_those_that_dvc_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with Repo() as repo:
        assert set(read_pipeline().states) == {stage.addressing for stage in repo.index.stages}


def test_a_lock_that_dvc_is_writing_just_now_is_one_line_wherever_it_ends() -> None:
    whole = (ROOT / "dvc.lock").read_text()[:6000]
    for number, end in enumerate(range(0, len(whole), 7)):
        Path("dvc.lock").write_text(whole[:end])
        os.utime("dvc.lock", (number, number))  # else it is not read again
        try:
            assert "check" in read_pipeline().states
        except UserError as error:
            assert "dvc.lock" in str(error)
