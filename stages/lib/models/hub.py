"""What the hub says: which commit a revision names, and the files of a commit."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from stages.lib.console.errors import UserError

COMMIT = r"[0-9a-f]{40}"


@contextmanager
def plain_errors(what: str, hint: str) -> Iterator[None]:
    """Turn every way in which the hub or the network says no into one line: what, the reason, and the hint."""
    import httpx2
    from huggingface_hub.errors import HFValidationError

    try:
        yield
    except (OSError, httpx2.HTTPError, HFValidationError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{what} ({reason}); {hint}") from None


def commit_of(repository: str, revision: str, kind: Literal["model", "dataset"]) -> str:
    """Ask the hub which commit a revision is; a full commit is taken as it is, offline too.

    Raises UserError when the hub does not say.
    """
    if re.fullmatch(COMMIT, revision):
        return revision
    from huggingface_hub import HfApi

    what = f"{repository}: the hub did not say which commit {revision!r} is"
    with plain_errors(what, "a commit as `revision` works offline"):
        return str(HfApi().repo_info(repository, revision=revision, repo_type=kind).sha)


def hub_file(repository: str, name: str, commit: str) -> Path:
    """Download one file of a model at a commit."""
    from huggingface_hub import hf_hub_download

    with plain_errors(f"{repository} at {commit}: no {name}", "is it there, and can you reach the hub?"):
        return Path(hf_hub_download(repository, name, revision=commit))


def hub_data(repository: str, commit: str, files: list[str]) -> Path:
    """Download the files of a dataset at a commit whose paths match one of the patterns; the folder they are in."""
    from huggingface_hub import snapshot_download

    with plain_errors(f"{repository} at {commit} did not come", "can you reach the hub, and have you access?"):
        return Path(snapshot_download(repository, repo_type="dataset", revision=commit, allow_patterns=files))


def hub_model(repository: str, commit: str) -> Path:
    """Download a model at a commit, without any code of its own; the folder that it is in."""
    from huggingface_hub import snapshot_download

    files = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"]
    with plain_errors(f"{repository} at {commit} did not come", "can you reach the hub, and have you access?"):
        return Path(snapshot_download(repository, revision=commit, allow_patterns=files, ignore_patterns=["*/*"]))
