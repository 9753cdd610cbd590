"""Upload a publication: private first; what is there already is not sent again."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.models.hub import Kind, hub_errors

if TYPE_CHECKING:
    from huggingface_hub import HfApi

TOKEN = "HF_TOKEN"  # noqa: S105  (the name of the variable)
HIDDEN = "…"


@dataclass(frozen=True)
class Target:
    """The repository on the hub that a publication goes to."""

    repository: str
    kind: Kind
    tag: str  # the project's commit
    gated: bool = False

    @property
    def page(self) -> str:
        """The path of its page on the hub."""
        return f"datasets/{self.repository}" if self.kind == "dataset" else self.repository


def read_token() -> str:
    """Return the hub's token from the environment; empty without one. No file is asked for it."""
    return os.environ.get(TOKEN, "").strip()


def upload(folder: Path, target: Target, token: str) -> None:
    """Make the repository, private if it is new, upload the folder, and tag it with the project's commit.

    Files of an earlier upload that the folder lacks are deleted there. Raises UserError with the step that failed; the
    folder is left as it is, and a second run sends what is missing.
    """
    from huggingface_hub import HfApi

    api, name = HfApi(token=token), target.repository
    with step(target, "was not made", token):
        api.create_repo(name, repo_type=target.kind, private=True, exist_ok=True)
    if target.gated:
        with step(target, "was not gated, and nothing was uploaded", token):
            api.update_repo_settings(name, repo_type=target.kind, gated="auto")
    log_line(f"{name}: uploading {folder}")
    with step(target, "was not uploaded as a whole", token):
        commit = api.upload_folder(
            repo_id=name,
            repo_type=target.kind,
            folder_path=folder,
            commit_message=f"Rewild at {target.tag}",
            delete_patterns="*",
        )
    with step(target, "was uploaded, but not tagged", token):
        set_tag(api, target, str(commit.oid))


def set_tag(api: "HfApi", target: Target, commit: str) -> None:
    """Tag a commit of the repository; a tag of this name that is on another one moves, and a line says so."""
    name, kind = target.repository, target.kind
    known = {tag.name: tag.target_commit for tag in api.list_repo_refs(name, repo_type=kind).tags}
    if known.get(target.tag) == commit:
        return
    if target.tag in known:
        log_line(f"{name}: the tag {target.tag} moves here from {known[target.tag]}, an earlier upload of this commit")
        api.delete_tag(name, repo_type=kind, tag=target.tag)
    api.create_tag(name, repo_type=kind, tag=target.tag, revision=commit)


@contextmanager
def step(target: Target, failure: str, token: str) -> Iterator[None]:
    """Turn every error of the hub in the block into one line, in which the token never stands."""
    hint = "the folder is complete: run the same command again, it sends what is missing"
    try:
        with hub_errors(f"{target.repository} {failure}", hint):
            yield
    except UserError as error:
        raise UserError(str(error).replace(token, HIDDEN)) from None
