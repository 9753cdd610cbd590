"""A hub that keeps what is uploaded to it: the only thing that tests of `make publish` do not do for real."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

Files = dict[str, bytes]


@dataclass
class FakeHub:
    """Repositories by name, each with its files, tags and settings; and the calls in their order."""

    calls: list[str] = field(default_factory=list)
    files: dict[str, Files] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    private: dict[str, bool] = field(default_factory=dict)
    gated: dict[str, str] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    fails_at: str = ""  # the call that the network does not survive, once

    def call(self, name: str) -> None:
        """Note a call; fail if it is the one that does."""
        self.calls.append(name)
        if self.fails_at == name:
            self.fails_at = ""
            raise httpx2.ConnectError(f"no route to the hub, asked with {min(self.tokens)}")


def use_hub(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    """Put a fake in the place of huggingface_hub's HfApi."""
    hub = FakeHub()

    class Api:
        def __init__(self, token: str) -> None:
            hub.tokens.add(token)

        def create_repo(self, name: str, *, repo_type: str, private: bool, exist_ok: bool) -> None:
            hub.call("create_repo")
            assert exist_ok
            hub.private.setdefault(name, private)
            hub.files.setdefault(name, {})

        def update_repo_settings(self, name: str, *, repo_type: str, gated: str) -> None:
            hub.call("update_repo_settings")
            hub.gated[name] = gated

        def upload_folder(self, *, repo_id: str, folder_path: Path, **options: Any) -> SimpleNamespace:
            hub.call("upload_folder")
            assert options["delete_patterns"] == "*"
            files = (path for path in sorted(folder_path.rglob("*")) if path.is_file())
            hub.files[repo_id] = {path.relative_to(folder_path).as_posix(): path.read_bytes() for path in files}
            return SimpleNamespace(oid=f"{hash(tuple(hub.files[repo_id].items())) & 0xFFFFFF:040x}")

        def list_repo_refs(self, name: str, *, repo_type: str) -> SimpleNamespace:
            tags = hub.tags.get(name, {}).items()
            return SimpleNamespace(tags=[SimpleNamespace(name=tag, target_commit=commit) for tag, commit in tags])

        def delete_tag(self, name: str, *, repo_type: str, tag: str) -> None:
            hub.call("delete_tag")
            del hub.tags[name][tag]

        def create_tag(self, name: str, *, repo_type: str, tag: str, revision: str) -> None:
            hub.call("create_tag")
            hub.tags.setdefault(name, {})[tag] = revision

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    return hub
