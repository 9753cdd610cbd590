"""What a model is: its catalogue entry (dgms/<id>.yaml) and, once resolved, models/<id>/model.json."""

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from stages.lib.console.errors import HIDDEN, UserError
from stages.lib.core.files import read_json, sha256_file, sha256_folder, write_json
from stages.lib.core.sections import Section, parse, read_yaml

CATALOGUE = Path("dgms")
MODELS = Path("models")
OURS = ("model.json", "summary.json", "loss.csv", "mask.txt")  # beside the weights, not part of them
HUB = "hub:"  # `import: hub:<owner>/<name>`
Column = Literal["conversation_hash", "conversation", "user", "response", "finish_reason"]


class ModelSampling(Section):
    """A model's own sampling; what it leaves out is the profile's."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0)  # 0: off
    min_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0)


class Server(Section):
    """A model behind an OpenAI-compatible server. Its key is never here: it is taken from the environment."""

    address: str  # up to and with /v1
    model: str = Field(min_length=1)  # as the server names it

    @model_validator(mode="before")
    @classmethod
    def _without_a_key(cls, given: Any) -> Any:  # noqa: ANN401  (whatever stands in the file)
        address = given.get("address", "") if isinstance(given, dict) else given
        if re.search(r"[@?#]", str(address)):
            raise PydanticCustomError(HIDDEN, "a user, password or key has no place in an address: leave it out")
        if not isinstance(given, dict):
            raise PydanticCustomError(HIDDEN, "write {address: http://…/v1, model: <name>}")
        return given

    @field_validator("address")
    @classmethod
    def _is_http(cls, address: str) -> str:
        if not re.match(r"https?://[^/]", address):
            raise ValueError("an address begins with http:// or https://")
        return address.rstrip("/")


class Asked(Section):
    """How a model is asked and what its replies are; the same in the catalogue and in model.json."""

    context_window: int = Field(default=0, ge=0)  # tokens; 0: imported
    quantization: Literal["none", "fp8"] = "none"
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    tensor_parallel: int = Field(default=1, ge=1)  # GPUs
    system_prompt: str = ""
    sampling: ModelSampling = ModelSampling()
    stop: list[str] = Field(default=[])  # texts that end a reply
    thinking: Literal["keep", "strip"] = "keep"  # what stands between a model's thinking tags
    chat_template: str = ""  # in the catalogue a .jinja file of dgms/; in model.json its text; empty: the model's own
    trust_remote_code: bool = False
    columns: dict[Column, str] = Field(default={})  # of an import: how its columns are named where not so
    where: dict[str, str | int | float | bool] = Field(default={})  # of an import: the rows to take, by equality
    files: str = ""  # of an import: which files of a folder or hub set, such as `data/train-*.parquet`; empty: all


class Entry(Asked):
    """One file of the catalogue. It names exactly one source: repository, path, import or server."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)

    name: str
    abbreviation: str = ""  # the paper's
    family: str = ""  # whose models count as on-policy for one another (App. B); empty: not known
    repository: str = ""  # on the model hub
    path: str = ""  # or a local folder of safetensors
    import_: str = Field(default="", alias="import")  # or `reference`, a file or folder, `hub:<owner>/<name>`
    server: Server | None = None  # or an OpenAI-compatible server
    revision: str = ""  # a commit, branch or tag of what is on the hub; the sha256 of what `path` or `import` names
    parameters_billions: float = Field(default=0, ge=0)  # 0: not known
    active_parameters_billions: float = Field(default=0, ge=0)  # mixtures of experts
    generation_config: bool = False  # whether the model's own file fills what `sampling` leaves out

    @property
    def on_hub(self) -> tuple[str, Literal["model", "dataset"]] | None:
        """The hub repository that it names and its kind, if it names one."""
        if self.repository:
            return self.repository, "model"
        return (self.import_.removeprefix(HUB), "dataset") if self.import_.startswith(HUB) else None

    @field_validator("stop")
    @classmethod
    def _says_something(cls, stop: list[str]) -> list[str]:
        if not all(stop):
            raise ValueError("a stop string cannot be empty")
        return stop

    @field_validator("chat_template")
    @classmethod
    def _is_noticed(cls, path: str) -> str:
        if path and (not path.startswith("dgms/") or ".." in path or not path.endswith(".jinja")):
            raise ValueError("give a .jinja file under dgms/, where a change of it is noticed")
        return path

    @field_validator("import_")
    @classmethod
    def _is_no_out(cls, source: str) -> str:
        if re.match(r"(\./)?(data|models)/", source):
            raise ValueError(
                "a stage makes this path, and nothing would wait for it: for a hub set give `hub:<owner>/<name>`"
            )
        return source

    @model_validator(mode="after")
    def _one_source(self) -> "Entry":
        if sum(map(bool, (self.repository, self.path, self.import_, self.server))) != 1:
            raise ValueError("give exactly one of repository, path, import and server")
        if not self.import_ and not self.context_window:
            raise ValueError("context_window is missing")
        if self.generation_config and not (self.repository or self.path):
            raise ValueError("generation_config is a file of a repository or path")
        if (self.columns or self.where or self.files) and self.import_ in {"", "reference"}:
            raise ValueError("columns, where and files are for a file, folder or hub set that `import` names")
        return self


class Model(Asked):
    """A resolved model: models/<id>/model.json. A DGM and a fine-tune look alike."""

    id: str
    name: str
    location: str  # a repository, a folder, a server's address, or what `import` names
    kind: Literal["hub", "local", "import", "server"]
    commit: str  # of the repository, the sha256 of the folder or file, or what was said of a server's model
    parameters_billions: float
    context_window: int
    served_name: str = ""  # what a server calls it


def read_entry(model: str) -> Entry:
    """Read dgms/<model>.yaml; raise UserError with the known ids when there is none."""
    path = CATALOGUE / f"{model}.yaml"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in CATALOGUE.glob("*.yaml")))
        raise UserError(f"no catalogue file {path}; known models: {known}")
    return parse(Entry, read_yaml(path), str(path))


def read_template(entry: Entry, where: str) -> str:
    """The text of the chat template that an entry names, empty when it names none."""
    if not entry.chat_template:
        return ""
    try:
        return Path(entry.chat_template).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{where}: chat_template: {entry.chat_template} cannot be read ({error})") from None


def load_model(model: str) -> Model:
    """Read models/<model>/model.json, and check that local weights are still the ones that it names."""
    found = parse(Model, read_json(MODELS / model / "model.json"), f"models/{model}/model.json")
    if found.kind == "local" and weights_digest(Path(found.location)) != found.commit:
        raise UserError(
            f"the weights in {found.location} are not those that models/{model}/model.json names; run dvc repro again"
        )
    return found


def save_model(folder: Path, model: Model) -> None:
    """Write model.json into a folder."""
    write_json(folder / "model.json", model.model_dump())


def weights_digest(folder: Path) -> str:
    """The sha256 over a local model's weights, configuration, tokenizer and template (not over model.json)."""
    if not list(folder.glob("*.safetensors")):
        raise UserError(f"{folder}: no safetensors file there")
    return sha256_folder(folder, skip=OURS)


def import_digest(path: Path) -> str:
    """The sha256 of a file or folder of replies."""
    if not path.exists():
        raise UserError(f"{path} is not there")
    return sha256_folder(path) if path.is_dir() else sha256_file(path)
