"""A project that is pushed to a remote of each kind, and the clones of colleagues."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.project import Project
from tests.support.remotes import KINDS, Remote


@dataclass
class Lab:
    """An author's checkout, its git server, and the remote to which all was pushed."""

    author: Project
    remote: Remote
    folder: Path

    def clone(self, name: str) -> Project:
        """The fresh checkout of a colleague, who has the keys."""
        clone = Project(self.folder / name)
        self.author.run("git", "clone", "-q", str(self.folder / "origin.git"), str(clone.root))
        self.remote.unlock(clone)
        return clone


@pytest.fixture(scope="module", params=KINDS)
def lab(request: pytest.FixtureRequest, built: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab with a remote of each kind. What a test does to its author or its remote it puts right."""
    folder = tmp_path_factory.mktemp(request.param)
    with KINDS[request.param](folder) as remote, pytest.MonkeyPatch.context() as patch:
        for name, value in remote.environment.items():
            patch.setenv(name, value)
        yield make_lab(built, remote, folder)
    shutil.rmtree(folder)


def make_lab(built: Project, remote: Remote, folder: Path) -> Lab:
    """Copy the built project, push its commit to a git server and its outs to a remote."""
    author, origin = built.copy(folder / "author"), folder / "origin.git"
    remote.add_to(author)
    author.commit()
    author.run("dvc", "push", "-q")
    author.run("git", "clone", "-q", "--bare", str(author.root), str(origin))
    author.run("git", "remote", "add", "origin", str(origin))
    return Lab(author, remote, folder)
