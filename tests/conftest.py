"""A small project that has been run once, copied for each test that changes it; and what makes the tests fast."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from tests.support.project import Project, make_project
from tests.support.secrets import ADDRESSES, PLANTED

if TYPE_CHECKING:
    from playwright.sync_api import Browser


# The hundreds of programs that the tests start read our modules' bytecode, whatever the caller's environment says.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
LONGEST = "test_the_whole_pipeline_runs"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest test: at the end, the other process would wait for it."""
    items.sort(key=lambda item: not item.name.startswith(LONGEST))


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all processes of this run."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def built(shared_folder: Path) -> Project:
    """The small project after its first `dvc repro`, committed, made once for all processes. Not to be changed."""
    root, done = shared_folder / "built" / "project", shared_folder / "built.done"
    with FileLock(shared_folder / "built.lock"):
        if not done.exists():
            shutil.rmtree(root, ignore_errors=True)  # what another process left unfinished
            project = make_project(root)
            output = project.run("dvc", "repro", code=0, **PLANTED, **ADDRESSES)  # test_secrets looks for them
            (shared_folder / "built" / "output.txt").write_text(output)
            project.commit()
            done.touch()
    return Project(root)


@pytest.fixture
def project(built: Project, tmp_path: Path) -> Iterator[Project]:
    """A copy of the built project."""
    yield built.copy(tmp_path / "project")
    shutil.rmtree(tmp_path / "project")


@pytest.fixture
def checkout(built: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of the built project, as the working directory."""
    project = built.copy(tmp_path / "project")
    monkeypatch.chdir(project.root)
    return project


@pytest.fixture(scope="session")
def chromium() -> Iterator["Browser"]:
    """A running Chromium, for `tests.support.chromium.visit`."""
    from tests.support.chromium import executable, start  # only where a page is looked at

    path = executable()
    if path is None:
        pytest.skip("no Chromium is installed here")
    with start(path) as browser:
        yield browser
