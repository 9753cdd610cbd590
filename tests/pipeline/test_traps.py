"""Traps of DVC, shown with DVC itself: what it forgets, and what a removed DGM leaves behind."""

from pathlib import Path

import pytest
from dvc.stage.cache import _get_cache_hash
from dvc_data.hashfile.meta import Meta

from stages.lib.core.names import FORGOTTEN
from tests.support.project import Project, cached

ENTRY = """
stages:
  mix:
    cmd: cp recipe.json mix.json
    deps: [cp]
    params:
    - recipe.json: [runs.blend]
    outs: [mix.json]
"""


@pytest.mark.parametrize("name", [*FORGOTTEN, "knowledge"])
def test_dvc_returns_the_old_out_for_a_changed_entry_that_is_named_as_no_id_may_be(tmp_path: Path, name: str) -> None:
    """A mix with 3 rows of a set, then with 1: the wrong one comes from the cache if the set is called `size`."""
    project = Project(tmp_path)
    project.run("git", "init", "-q")
    project.run("dvc", "init", "-q")
    (tmp_path / "dvc.yaml").write_text(ENTRY)
    (tmp_path / "cp").touch()
    for rows in (3, 1):
        recipe = f'{{"runs": {{"blend": {{"sources": {{"{name}": {{"rows": {rows}}}}}}}}}}}'
        (tmp_path / "recipe.json").write_text(recipe)
        output = project.run("dvc", "repro")
    assert (cached(output) == ["mix"]) == (name in FORGOTTEN)
    assert (project.json("mix.json") == project.json("recipe.json")) == (name not in FORGOTTEN)


def test_the_names_that_no_id_may_be_are_all_that_dvc_forgets() -> None:
    names = {value for key, value in vars(Meta).items() if key.startswith("PARAM_")} | {*Meta.fields, "outs", "path"}
    forgotten = {name for name in names if len({_get_cache_hash({"params": {name: rows}}) for rows in (1, 3)}) == 1}
    assert forgotten == set(FORGOTTEN)


def test_a_clone_runs_nothing_after_a_dgm_and_a_run_were_removed(project: Project, tmp_path: Path) -> None:
    """Also where the removed DGM's numbers had never been committed."""
    params = project.params()
    params["dgms"], params["compare"] = ["rich"], ["base", "blend"]
    params["mix"]["runs"] = {"blend": params["mix"]["runs"]["blend"] | {"dgms": {"rich": 1.0}}}
    project.run("git", "rm", "-q", "--cached", "metrics/gate/plain.json")
    project.write_params(params)
    output = project.run("dvc", "repro")
    assert "removed from metrics/gate, as other params made it: plain.json" in output
    assert not [path for path in (project.root / "metrics").rglob("*.*") if path.stem in ("plain", "only")]
    project.commit()
    clone = project.clone_with_remote(tmp_path)
    assert clone.repro("--pull", "--allow-missing") == []


def test_leftovers_are_removed_also_when_params_go_back_to_what_they_were(project: Project) -> None:
    """As after a DGM was added and removed again: DVC must not take what `check` wrote from its run-cache."""
    project.edit("params.yaml", "seed: 19", "seed: 20")
    project.repro("check")
    (project.root / "metrics" / "gate" / "added.json").touch()
    project.run("git", "add", "metrics")
    project.edit("params.yaml", "seed: 20", "seed: 19")
    assert project.repro("check") == ["check"]
    assert not (project.root / "metrics" / "gate" / "added.json").exists()
    assert project.repro("check") == []


def test_another_profile_shows_no_numbers_of_the_old_one_under_an_id_of_both(project: Project) -> None:
    (project.root / "profiles").mkdir()
    text = (project.root / "params.yaml").read_text()
    (project.root / "profiles" / "demo.yaml").write_text(text)
    (project.root / "profiles" / "larger.yaml").write_text(text.replace("size: 4", "size: 5"))
    project.commit()
    assert "metrics/headlines/blend.json" in project.run("dvc", "metrics", "show")
    output = project.run("python", "-m", "commands.profile", "larger")
    assert "removed from metrics/headlines, as other params made it: base.json, blend.json" in output
    assert "metrics/headlines/blend.json" not in project.run("dvc", "metrics", "show")
    project.run("python", "-m", "commands.profile", "demo")
    project.run("git", "restore", "metrics")
    assert project.repro() == []
