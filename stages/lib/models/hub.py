"""The model hub: the commit that a revision names, and the files of a commit."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from stages.lib.console.errors import UserError

COMMIT = r"[0-9a-f]{40}"


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


def commit_of(repository: str, revision: str, kind: Literal["model", "dataset"]) -> str:
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
