"""What the command line asks for, checked."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.lib.console.errors import UserError
from stages.lib.models.hub import Kind
from stages.lib.settings.values import check_repository

OUT = Path("publication")
YES_OR_NO = {"yes": True, "no": False}


@dataclass(frozen=True)
class Options:
    """What to publish, where, and which of its rows."""

    repository: str  # <owner>/<name> on the hub
    out: Path  # the folder that is written
    dgms: tuple[str, ...] = ()  # to publish as a dataset; empty: all of params.yaml
    run: str = ""  # or a fine-tune
    kept: bool = False  # only rows that validation keeps
    toxic: bool = True  # also rows whose prompt its source marks as toxic
    restricted: bool = True  # False: DGMs with `redistribute: false` are left out; else they are refused
    gated: bool = False  # people must accept conditions on the hub
    upload: bool = False
    notes: str = ""  # the publisher's own words, in Markdown
    project: str = ""  # the address of the project's repository
    datasets: tuple[str, ...] = ()  # of a fine-tune: sets on the hub that it was trained on

    @property
    def name(self) -> str:
        """The repository without its owner."""
        return name_of(self.repository)

    @property
    def kind(self) -> Kind:
        """The kind of the repository, as the hub calls it."""
        return "model" if self.run else "dataset"


def name_of(repository: str) -> str:
    """Return the name of a repository without its owner."""
    return repository.partition("/")[2]


def read_options(arguments: Sequence[str] | None, program: str, description: str) -> Options:
    """Parse the command line; raise UserError for values that cannot be."""
    parser = argparse.ArgumentParser(
        prog=program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repo", default="")
    parser.add_argument("--dgm", default="")
    parser.add_argument("--run", default="")
    for name in ("kept", "toxic", "restricted", "gated", "upload"):
        parser.add_argument(f"--{name}", default="")
    for name in ("out", "notes", "project", "dataset"):
        parser.add_argument(f"--{name}", default="")
    given = parser.parse_args(arguments)
    if given.dgm.strip() and given.run:
        raise UserError("DGM publishes a dataset and RUN a fine-tune: give one of the two")
    repository = read_repository(given.repo, "REPO")
    return Options(
        repository=repository,
        out=Path(given.out) if given.out else OUT / name_of(repository),
        dgms=tuple(dict.fromkeys(given.dgm.split())),
        run=given.run,
        kept=read_switch("KEPT", given.kept, default=False),
        toxic=read_switch("TOXIC", given.toxic, default=True),
        restricted=read_switch("RESTRICTED", given.restricted, default=True),
        gated=read_switch("GATED", given.gated, default=False),
        upload=read_switch("UPLOAD", given.upload, default=False),
        notes=read_notes(given.notes),
        project=read_address(given.project),
        datasets=tuple(read_repository(name, "DATASET") for name in given.dataset.split()),
    )


def read_switch(name: str, given: str, *, default: bool) -> bool:
    """Return whether a switch is on; raise UserError unless it is yes, no or not given."""
    if given and given not in YES_OR_NO:
        raise UserError(f"{name}={given}: write {name}=yes or {name}=no")
    return YES_OR_NO.get(given, default)


def read_repository(given: str, name: str) -> str:
    """Return the name of a repository of the hub; raise UserError for a text that is none."""
    try:
        return check_repository(given)
    except ValueError as error:
        raise UserError(f"{name}={given}: {error}") from None


def read_notes(path: str) -> str:
    """Return the text of the file with the publisher's own words; empty without one."""
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"NOTES={path} cannot be read ({error})") from None


def read_address(given: str) -> str:
    """Return the address of the project; raise UserError for one that is none, or that has a user or key in it."""
    if given and (not given.startswith("https://") or any(sign in given for sign in "@?# ")):
        raise UserError("PROJECT: give an address that begins with https://, without a user, password or key in it")
    return given.rstrip("/").removesuffix(".git")
