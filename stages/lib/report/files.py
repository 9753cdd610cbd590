"""Reads the files that the stages wrote, and remembers the sha256 of each: what the numbers of the page come from."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.lib.core.artifacts import require_compared
from stages.lib.core.files import read_json, sha256_file, sha256_folder
from stages.lib.core.types import Json
from stages.lib.records.shards import read_table


@dataclass
class Files:
    """The files of one report. Each is read and hashed once."""

    root: Path = Path()  # paths on the page are relative to it
    data: Path = Path("data")
    metrics: Path = Path("metrics")
    models: Path = Path("models")
    digests: dict[str, str] = field(default_factory=dict)  # sha256 of a file or folder, by its path on the page
    _contents: dict[Path, Any] = field(default_factory=dict)
    _folders: dict[tuple[str, str], Path] = field(default_factory=dict)

    def read_json(self, path: Path) -> Any:
        """Read a JSON file; raise UserError when it is absent."""
        if path not in self._contents:
            self._contents[path] = read_json(path)
            self.add_digest(path)
        return self._contents[path]

    def read_json_of(self, ids: Iterable[str], folder: Path) -> dict[str, Any]:
        """Read the JSON file of each id in a folder."""
        return {key: self.read_json(folder / f"{key}.json") for key in ids}

    def read_rows(self, folder: Path) -> list[Json]:
        """Read all rows of a folder of parquet."""
        self.add_digest(folder)
        rows: list[Json] = read_table(folder).to_pylist()
        return rows

    def find_compared(self, model: str, name: str) -> Path:
        """Return data/<name>/<model> of a compared model; raise UserError unless it has the digest in metrics/."""
        if (model, name) not in self._folders:
            self._folders[model, name] = require_compared(model, name)
        return self._folders[model, name]

    def add_digest(self, path: Path) -> None:
        """Remember the sha256 of a file or folder."""
        sha256 = sha256_folder(path) if path.is_dir() else sha256_file(path)
        self.digests[path.relative_to(self.root).as_posix()] = sha256
