"""The model hub: the commit that a revision names, and the files of a commit.

With $REWILD_MODELS, a folder of copies, nothing is asked of the hub: see `find_copy`.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from stages.lib.console.errors import UserError
from stages.lib.core.files import sha256_folder

COMMIT = r"[0-9a-f]{40}"
COPIES = "REWILD_MODELS"  # a folder of models and sets, or a filled cache of the hub
Kind = Literal["model", "dataset"]


class Copy(NamedTuple):
    """The files of a repository on this machine."""

    folder: Path
    commit: str  # the hub's, where its cache says it; else the sha256 of the folder


def find_copy(repository: str, revision: str, key: str, kind: Kind = "model") -> Copy | None:
    """Find a repository in $REWILD_MODELS: as `<owner>/<name>`, as `<key>`, or at its revision in a cache of the hub.

    `key` is what the project calls it: a model's id, a set's name. Returns None without the variable; raises UserError
    when the folder that it names does not hold the repository.
    """
    if not (given := os.environ.get(COPIES)):
        return None
    root = Path(given).absolute()
    for folder in (root / repository, root / key):
        if folder.is_dir():
            return Copy(folder, sha256_folder(folder))
    cached = root / f"{kind}s--{repository.replace('/', '--')}"
    reference = cached / "refs" / revision
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
    if re.fullmatch(COMMIT, commit) and (cached / "snapshots" / commit).is_dir():
        return Copy(cached / "snapshots" / commit, commit)
    raise UserError(
        f"{given}, which {COPIES} names, has no folder {repository} or {key} and no cache of {repository} at "
        f"{revision}: put the files there, or unset {COPIES} to ask the hub"
    )


@contextmanager
def hub_errors(failure: str, hint: str) -> Iterator[None]:
    """Turn every error of the hub or the network into a UserError of one line: the failure, the reason, the hint."""
    import httpx2
    from huggingface_hub.errors import HFValidationError

    try:
        yield
    except (OSError, httpx2.HTTPError, HFValidationError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{failure} ({reason}); {hint}") from None


def commit_of(repository: str, revision: str, kind: Kind) -> str:
    """Ask the hub which commit a revision is; a full commit is returned as it is, also offline.

    Raises UserError when the hub does not answer or does not know it.
    """
    if re.fullmatch(COMMIT, revision):
        return revision
    from huggingface_hub import HfApi

    failure = f"{repository}: the hub did not say which commit {revision!r} is"
    with hub_errors(failure, "a commit as `revision` works offline"):
        return str(HfApi().repo_info(repository, revision=revision, repo_type=kind).sha)


def hub_file(repository: str, name: str, commit: str) -> Path:
    """Download one file of a model at a commit and return its path."""
    from huggingface_hub import hf_hub_download

    with hub_errors(f"{repository} at {commit}: no {name}", "is it there, and can you reach the hub?"):
        return Path(hf_hub_download(repository, name, revision=commit))


def hub_data(repository: str, commit: str, files: list[str]) -> Path:
    """Download the files of a dataset at a commit that match one of the patterns; return their folder."""
    from huggingface_hub import snapshot_download

    with hub_errors(f"{repository} at {commit} could not be downloaded", "can you reach the hub, and have you access?"):
        return Path(snapshot_download(repository, repo_type="dataset", revision=commit, allow_patterns=files))


def hub_model(repository: str, commit: str) -> Path:
    """Download a model at a commit, without any code of its own; return its folder."""
    from huggingface_hub import snapshot_download

    files = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"]
    with hub_errors(f"{repository} at {commit} could not be downloaded", "can you reach the hub, and have you access?"):
        return Path(snapshot_download(repository, revision=commit, allow_patterns=files, ignore_patterns=["*/*"]))
