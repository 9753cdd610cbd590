"""Fixtures of the report: a finished pipeline, and a page of conversations."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from stages.lib.report.browser import write_browser
from tests.support.browser import example_collections
from tests.support.chromium import Visit, visit
from tests.support.report import write_finished_pipeline


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, the current one, with a finished pipeline in miniature."""
    monkeypatch.chdir(tmp_path)
    write_finished_pipeline()
    return tmp_path


@pytest.fixture(scope="module")
def browser_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small conversation browser. Not to be changed."""
    folder = tmp_path_factory.mktemp("site")
    write_browser(folder, example_collections(), "Rewild, profile demo")
    return folder


@pytest.fixture
def opened(chromium: Browser, browser_folder: Path) -> Iterator[Visit]:
    """The small conversation browser, opened in Chromium, with its list loaded."""
    with visit(chromium, browser_folder / "conversations.html") as visited:
        visited.page.wait_for_selector("#list a")
        yield visited
