"""What MODEL names, a folder or a repository of the hub, and the small files of it that describe the model.

Of a repository only these files are downloaded here: the engine fetches the weights when it starts.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

from stages.lib.checking.tensors import read_header
from stages.lib.checking.weights import INDEX, TOKENIZERS, json_problem
from stages.lib.console.errors import UserError
from stages.lib.core.types import Json
from stages.lib.models.catalogue import MODELS, Entry
from stages.lib.models.hub import COMMIT, Copy, find_copy, hub_errors, hub_file
from stages.lib.settings.values import check_repository

CONFIG, CARD = "config.json", "README.md"
# The names of the templates are those of checking.weights.TEMPLATES that are files.
SMALL = (
    CONFIG,
    CARD,
    INDEX,
    "generation_config.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
)
MADE = ("data", MODELS.name)  # folders of outs
BRANCH = "main"


@dataclass(frozen=True)
class Source:
    """Where a model is, and what its files are."""

    repository: str  # on the hub; empty: a folder
    path: str  # of the folder, as the catalogue names it; empty: on the hub
    folder: Path  # that holds the small files
    names: Sequence[str]  # of all files
    commit: str = ""  # on the hub; empty: of a copy whose commit nobody knows, or of a folder
    parameters: int = 0  # 0: not known

    @property
    def name(self) -> str:
        """The last part of the repository, or the name of the folder."""
        return self.repository.rpartition("/")[2] or self.folder.name

    @property
    def label(self) -> str:
        """What the source is, for a line on the screen."""
        return self.repository or self.path

    def is_of(self, entry: Entry) -> bool:
        """Tell whether an entry of the catalogue names this source."""
        if self.repository:
            return entry.repository == self.repository
        return bool(entry.path) and Path(entry.path).resolve() == self.folder

    def read(self, name: str) -> Json:
        """Read one of the JSON files; empty where it is not there; raise UserError for a torn one."""
        path = self.folder / name
        if not path.is_file():
            return {}
        if problem := json_problem(path):
            raise UserError(f"{path} {problem}")
        content = json.loads(path.read_bytes())
        return content if isinstance(content, dict) else {}

    def read_card(self) -> Json:
        """Read the metadata of the model card; empty without a card, or without metadata that can be read."""
        path = self.folder / CARD
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        match = re.match(r"---\s*\n(.*?\n)---\s*$", text, re.S | re.M)
        try:
            content = YAML(typ="safe", pure=True).load(match[1]) if match else None
        except (YAMLError, ValueError):
            content = None
        return content if isinstance(content, dict) else {}


def open_source(text: str, model_id: str) -> Source:
    """Open what MODEL names; `model_id` names a copy of it in $REWILD_MODELS.

    Raises UserError with one line where that is neither a folder nor a repository that the hub shows, and where its
    files are not those of a model.
    """
    folder = Path(text).expanduser()
    if "://" in text:
        raise UserError(f"MODEL={text}: {explain_address(text)}")
    if folder.is_dir():
        source = open_folder(folder)
    elif re.fullmatch(r"\w[\w.-]*/[\w.-]+", text):
        source = open_repository(text, model_id)
    else:
        raise UserError(
            f"MODEL={text}: there is no such folder, and no dgms/{text}.yaml: name a folder of weights, an id of the "
            "catalogue, or <owner>/<name> as on the hub"
        )
    check_files(source)
    return source


def explain_address(text: str) -> str:
    """Say what to write instead of an address."""
    try:
        check_repository(text)
    except ValueError as error:
        if "is an address" in str(error):
            return str(error)
    return (
        "a server shows no files to read: write dgms/<id>.yaml with `server` by hand (docs/models.md), then "
        "`make add MODEL=<id>`"
    )


def open_folder(folder: Path) -> Source:
    """Open a folder of weights; one within this project is named from here."""
    place, here = folder.resolve(), Path.cwd().resolve()
    path = str(place.relative_to(here)) if place.is_relative_to(here) else str(place)
    if Path(path).parts[:1] in {(name,) for name in MADE}:
        raise UserError(
            f"MODEL={folder}: a stage makes this folder, and nothing would wait for it: `make compare` compares it"
        )
    names = sorted(file.name for file in place.iterdir())
    headers = [read_header(file) for file in sorted(place.glob("*.safetensors"))]
    return Source("", path, place, names, parameters=sum(count_parameters(header) for header in headers))


def count_parameters(header: dict[str, Any] | str) -> int:
    """Count the parameters that the header of a safetensors file names; 0 of a torn file, which others find."""
    total = 0
    for name, tensor in header.items() if isinstance(header, dict) else ():
        size = 1
        for length in tensor["shape"] if name != "__metadata__" else (0,):
            size *= length
        total += size
    return total


def open_repository(repository: str, model_id: str) -> Source:
    """Open a repository of the hub, or the copy of it in $REWILD_MODELS."""
    copy = find_copy(repository, BRANCH, model_id)
    if copy:
        return open_copy(repository, copy)
    from huggingface_hub import HfApi

    with hub_errors(f"{repository}: the hub did not describe it", "is the name right, and can you reach the hub?"):
        info = HfApi().model_info(repository, revision=BRANCH)
    names = sorted(file.rfilename for file in info.siblings or [])
    commit = str(info.sha)
    folder = Path()
    for name in [each for each in SMALL if each in names]:
        try:
            folder = hub_file(repository, name, commit).parent
        except UserError as error:
            hint = f"{repository} is gated: accept its terms on the hub, and set HF_TOKEN" if info.gated else ""
            raise UserError(f"{hint} ({error})" if hint else str(error)) from None
    return Source(repository, "", folder, names, commit, info.safetensors.total if info.safetensors else 0)


def open_copy(repository: str, copy: Copy) -> Source:
    """Open a copy of a repository on this machine."""
    local = open_folder(copy.folder)
    commit = copy.commit if re.fullmatch(COMMIT, copy.commit) else ""
    return Source(repository, "", copy.folder, local.names, commit, local.parameters)


def check_files(source: Source) -> None:
    """Raise UserError unless the files are those of a language model that is loaded from safetensors."""
    if CONFIG not in source.names:
        raise UserError(f"{source.label} has no {CONFIG}, so it is no model that can be loaded")
    if not any(name.endswith(".safetensors") for name in source.names):
        other = next((name for name in source.names if Path(name).suffix in {".bin", ".pt", ".gguf"}), "")
        hint = f"it has {other}: convert it" if other else "copy the weights there, or wait until they are published"
        raise UserError(f"{source.label} has no safetensors file, and no others are loaded; {hint}")
    if not any(Path(name).match(pattern) for pattern in TOKENIZERS for name in source.names):
        raise UserError(f"{source.label} has no tokenizer (tokenizer.json or tokenizer.model)")
