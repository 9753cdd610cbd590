"""An installation of Evalchemy that is made here."""

import sys
from pathlib import Path

import pytest

from stages.lib.evaluation.evalchemy import installation, results, runner
from tests.support.evalchemy import make_clone


@pytest.fixture
def evalchemy_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a clone at the pinned commit; the environment names it and an interpreter, and no judge."""
    commit = make_clone(tmp_path / "clone")
    for module in (installation, runner, results):
        monkeypatch.setattr(module, "COMMIT", commit)
    monkeypatch.setenv("EVALCHEMY_HOME", str(tmp_path / "clone"))
    monkeypatch.setenv("REWILD_EVALCHEMY_ENV", sys.prefix)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path
