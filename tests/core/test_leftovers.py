"""Files of metrics/ that belong to no id of params.yaml are removed where git or DVC knows them, and nothing else."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stages.lib.core.leftovers import IDS, remove_leftovers, remove_results
from tests.support.graph import ALL_OUTS

PARAMS: dict[str, Any] = {
    "dgms": ["rich"],
    "bases": ["base"],
    "compare": ["base", "blend"],
    "auxiliary": None,
    "mix": {"runs": {"blend": {"base": "base", "seeds": [1, 2]}}},
}
KEPT = ["digests/models/base.json", "digests/seeds/blend-seed2.json", "evaluate/blend-seed2.json", "gate/.gitkeep",
        "gate/rich.json", "headlines/rich.json", "loss/blend-seed2.csv", "loss/blend.csv", "recipes.json", "seeds.json",
        "train/blend-seed2.json"]  # fmt: skip
TRACKED = ["digests/auxiliary/set.json", "digests/dgms/plain.json", "digests/seeds/blend.json",
           "evaluate/blend-seed1.json", "gate/base.json", "judge/rich.json", "loss/blend-seed3.csv",
           "loss/old.csv"]  # fmt: skip
LOCKED = ["gate/plain.json", "headlines/old.json"]  # by dvc.lock: a file, and a file of a folder
UNKNOWN = ["gate/notes.json", "mine/old.json"]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (*KEPT, *TRACKED, *LOCKED, *UNKNOWN):
        path = Path("metrics") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    Path("dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  gate@plain:\n    cmd: x\n    outs:\n    - path: metrics/gate/plain.json\n"
        "  headlines:\n    cmd: x\n    deps:\n    - path: metrics/gate\n    outs:\n    - path: metrics/headlines\n"
    )
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", "add", *(f"metrics/{name}" for name in (*KEPT, *TRACKED))], check=True)
    return tmp_path


def files() -> list[str]:
    return sorted(path.relative_to("metrics").as_posix() for path in Path("metrics").rglob("*") if path.is_file())


def test_the_files_of_a_removed_model_run_or_set_are_removed_and_named(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(remove_leftovers(PARAMS)) == {Path("metrics") / name for name in (*TRACKED, *LOCKED)}
    assert files() == sorted([*KEPT, *UNKNOWN])
    screen = capsys.readouterr().err
    assert "removed from metrics/gate, as other params made it: base.json, plain.json\n" in screen
    assert "metrics/gate/notes.json belongs to nothing in params.yaml, and neither git nor DVC knows it" in screen
    assert "mine" not in screen and remove_leftovers(PARAMS) == []


def test_all_results_are_those_that_git_or_dvc_knows_without_the_list_of_seeds(checkout: Path) -> None:
    remove_results()
    assert files() == ["gate/.gitkeep", *UNKNOWN, "seeds.json"]


def test_without_git_and_dvc_nothing_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("metrics/gate").mkdir(parents=True)
    Path("metrics/gate/plain.json").touch()
    assert remove_leftovers(PARAMS) == remove_results() == []
    assert files() == ["gate/plain.json"]


def test_every_folder_of_metrics_that_stages_write_to_by_id_is_known() -> None:
    by_id = {match[1] for out in ALL_OUTS if (match := re.fullmatch(r"metrics/(.+)/\$\{.+\}\.\w+", out))}
    assert by_id | {"headlines"} == set(IDS)
