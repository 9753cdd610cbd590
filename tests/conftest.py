"""A small project that has been run once, copied for each test that changes it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.project import Project, make_project

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small project after its first `dvc repro`, committed. Not to be changed."""
    project = make_project(tmp_path_factory.mktemp("built") / "project")
    project.repro()
    project.commit()
    return project


@pytest.fixture
def project(built: Project, tmp_path: Path) -> Iterator[Project]:
    """A copy of the built project."""
    shutil.copytree(built.root, tmp_path / "project", symlinks=True)
    yield Project(tmp_path / "project")
    shutil.rmtree(tmp_path / "project")


@pytest.fixture(scope="session")
def chromium() -> Iterator["Browser"]:
    """A running Chromium, for `tests.support.chromium.visit`."""
    from tests.support.chromium import executable, start  # only where a page is looked at

    path = executable()
    if path is None:
        pytest.skip("no Chromium is installed here")
    with start(path) as browser:
        yield browser
