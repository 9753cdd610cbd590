"""Files of metrics/ that belong to no id of params.yaml are removed, and nothing else."""

from pathlib import Path

import pytest

from commands.leftovers import remove_leftovers

PARAMS = {"dgms": ["rich"], "bases": ["base"], "compare": ["base"], "auxiliary": {}, "mix": {"runs": {"blend": {}}}}
KEPT = ["recipes.json", "gate/rich.json", "gate/.gitkeep", "digests/models/base.json", "loss/blend.csv"]
GONE = ["digests/dgms/plain.json", "gate/plain.json", "loss/old.csv"]


def test_the_files_of_a_removed_model_or_run_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*KEPT, *GONE):
        path = Path("metrics") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert remove_leftovers(PARAMS) == [Path("metrics") / name for name in GONE]
    left = [path.relative_to("metrics").as_posix() for path in Path("metrics").rglob("*") if path.is_file()]
    assert sorted(left) == sorted(KEPT)
