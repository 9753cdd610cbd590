"""A folder in which a command can be run without the project around it."""

import shutil
from pathlib import Path

import pytest

from tests.support.project import ROOT


@pytest.fixture
def bare_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the project's params.yaml and nothing else, as the working directory."""
    folder = tmp_path / "root"
    folder.mkdir()
    shutil.copy(ROOT / "params.yaml", folder)
    monkeypatch.chdir(folder)
    return folder
