"""Models: an entry of the catalogue (dgms/<id>.yaml) and, once resolved, models/<id>/model.json."""

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from stages.lib.console.errors import UserError
from stages.lib.console.wording import HIDDEN
from stages.lib.core.files import read_json, sha256_file, sha256_folder, write_json
from stages.lib.core.sections import Section, parse, read_yaml
from stages.lib.models.hub import COMMIT, COPIES, Copy, find_copy

CATALOGUE = Path("dgms")
MODELS = Path("models")
NOT_WEIGHTS = ("model.json", "summary.json", "loss.csv", "mask.txt")  # that stages write beside the weights
HUB_PREFIX = "hub:"  # `import: hub:<owner>/<name>`
NEWER_KEYS = ("thinking_tags", "kv_cache_dtype")  # model.json has them only where they are set
ImportColumn = Literal["conversation_hash", "conversation", "user", "response", "finish_reason"]


class ModelSampling(Section):
    """A model's own sampling; what it leaves out is the profile's."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0)  # 0: off
    min_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0)


class ServerModel(Section):
    """A model behind an OpenAI-compatible server. Its key is never here: it comes from the environment."""

    address: str  # up to and with /v1
    model: str = Field(min_length=1)  # as the server names it

    @model_validator(mode="before")
    @classmethod
    def _reject_secrets(cls, given: Any) -> Any:
        address = given.get("address", "") if isinstance(given, dict) else given
        if re.search(r"[@?#]", str(address)):
            raise PydanticCustomError(HIDDEN, "a user, password or key has no place in an address: leave it out")
        if not isinstance(given, dict):
            raise PydanticCustomError(HIDDEN, "write {address: http://…/v1, model: <name>}")
        return given

    @field_validator("address")
    @classmethod
    def _check_scheme(cls, address: str) -> str:
        if not re.match(r"https?://[^/]", address):
            raise ValueError("an address begins with http:// or https://")
        return address.rstrip("/")


class ModelOptions(Section):
    """How a model is run and its replies are read: equal in the catalogue and in model.json."""

    context_window: int = Field(default=0, ge=0)  # tokens; 0: imported
    quantization: Literal["none", "fp8"] = "none"  # of the weights
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"  # of the weights
    kv_cache_dtype: Literal["auto", "fp8"] = "auto"  # of keys and values in vLLM's cache; auto, or absent: as `dtype`
    tensor_parallel: int = Field(default=1, ge=1)  # GPUs
    system_prompt: str = ""  # that every chat begins with; empty: none
    sampling: ModelSampling = ModelSampling()  # how tokens are drawn, where the catalogue says so
    stop: list[str] = Field(default=[])  # texts that end a reply
    thinking: Literal["keep", "strip"] = "keep"  # the thoughts that a reply begins with
    thinking_tags: dict[str, str] = Field(default={})  # that begin and end them, beside those of public families
    chat_template: str = ""  # in the catalogue a .jinja file of dgms/; in model.json its text; empty: the model's own
    trust_remote_code: bool = False  # whether code of the repository may run
    columns: dict[ImportColumn, str] = Field(default={})  # of an import: its names for our columns, where they differ
    where: dict[str, str | int | float | bool] = Field(default={})  # of an import: the values of the rows to take
    files: str = ""  # of an import: which files of a folder or hub set, such as `data/train-*.parquet`; empty: all


class Entry(ModelOptions):
    """A file of the catalogue. It names exactly one source: repository, path, import or server."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)

    name: str
    abbreviation: str = ""  # the paper's
    family: str = ""  # models of one family count as on-policy for each other (App. B); empty: not known
    repository: str = ""  # on the model hub
    path: str = ""  # or a local folder of safetensors
    import_: str = Field(default="", alias="import")  # or `reference`, a file or folder, `hub:<owner>/<name>`
    server: ServerModel | None = None  # or an OpenAI-compatible server
    revision: str = ""  # a commit, branch or tag on the hub; the sha256 of the files of `path` or `import`
    parameters_billions: float = Field(default=0, ge=0)  # 0: not known
    active_parameters_billions: float = Field(default=0, ge=0)  # mixtures of experts
    generation_config: bool = False  # whether the model's own file fills what `sampling` leaves out
    license: str = ""  # of the weights and, where it says so, of the replies; empty: not stated
    redistribute: bool = True  # whether the licence allows to share replies

    @property
    def on_hub(self) -> tuple[str, Literal["model", "dataset"]] | None:
        """The hub repository and its kind, if the entry names one."""
        if self.repository:
            return self.repository, "model"
        return (self.import_.removeprefix(HUB_PREFIX), "dataset") if self.import_.startswith(HUB_PREFIX) else None

    @field_validator("stop")
    @classmethod
    def _reject_empty_stops(cls, stop: list[str]) -> list[str]:
        if not all(stop):
            raise ValueError("a stop string cannot be empty")
        return stop

    @field_validator("thinking_tags")
    @classmethod
    def _reject_tags_without_end(cls, tags: dict[str, str]) -> dict[str, str]:
        if not all(end.strip() and begin.strip() == begin for begin, end in tags.items()):
            raise ValueError("write {<what begins thoughts>: <what ends them>}, without blanks around them")
        return tags

    @field_validator("chat_template")
    @classmethod
    def _check_template_path(cls, path: str) -> str:
        if path and (not path.startswith("dgms/") or ".." in path or not path.endswith(".jinja")):
            raise ValueError("give a .jinja file under dgms/, where a change of it is noticed")
        return path

    @field_validator("import_")
    @classmethod
    def _reject_outs(cls, source: str) -> str:
        if re.match(r"(\./)?(data|models)/", source):
            raise ValueError(
                "a stage makes this path, and nothing would wait for it: for a hub set give `hub:<owner>/<name>`"
            )
        return source

    @model_validator(mode="after")
    def _check_single_source(self) -> "Entry":
        if sum(map(bool, (self.repository, self.path, self.import_, self.server))) != 1:
            raise ValueError("give exactly one of repository, path, import and server")
        if not self.import_ and not self.context_window:
            raise ValueError("context_window is missing")
        if self.generation_config and not (self.repository or self.path):
            raise ValueError("generation_config is a file of a repository or path")
        if (self.columns or self.where or self.files) and self.import_ in {"", "reference"}:
            raise ValueError("columns, where and files are for a file, folder or hub set that `import` names")
        return self


class Model(ModelOptions):
    """A resolved model: models/<id>/model.json. A DGM and a fine-tune have the same fields."""

    id: str  # as in params.yaml
    name: str  # as it is shown
    location: str  # a repository, a folder, a server's address, or what `import` names
    kind: Literal["hub", "local", "import", "server"]  # where its replies come from
    commit: str  # of the repository; the sha256 of a folder, file or copy; the `revision` of a server's model
    parameters_billions: float  # 0: not known
    context_window: int  # tokens
    served_name: str = ""  # its name on a server


def read_entry(model: str) -> Entry:
    """Read dgms/<model>.yaml; raise UserError with the known ids when there is none."""
    path = CATALOGUE / f"{model}.yaml"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in CATALOGUE.glob("*.yaml")))
        raise UserError(f"no catalogue file {path}; known models: {known}")
    return parse(Entry, read_yaml(path), str(path))


def read_template(entry: Entry, where: str) -> str:
    """Read the text of the chat template that an entry names; empty when it names none.

    `where` names the entry in the UserError for a file that cannot be read.
    """
    if not entry.chat_template:
        return ""
    try:
        return Path(entry.chat_template).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{where}: chat_template: {entry.chat_template} cannot be read ({error})") from None


def load_model(model: str) -> Model:
    """Read models/<model>/model.json; of a hub model that $REWILD_MODELS holds, return it as the local one that it is.

    Raises UserError when local weights are no longer those that model.json names.
    """
    resolved = parse(Model, read_json(MODELS / model / "model.json"), f"models/{model}/model.json")
    if resolved.kind == "hub":
        copy = check_copy(find_copy(resolved.location, resolved.commit, model), resolved)
        return resolved.model_copy(update={"kind": "local", "location": str(copy.folder)}) if copy else resolved
    if resolved.kind == "local" and weights_digest(Path(resolved.location)) != resolved.commit:
        raise UserError(
            f"the weights in {resolved.location} are not those of models/{model}/model.json; run dvc repro again"
        )
    return resolved


def check_copy(copy: Copy | None, model: Model) -> Copy | None:
    """Return the copy of what a model has on the hub; raise UserError when it is not what model.json names."""
    if copy and copy.commit != model.commit:
        problem = f"models/{model.id}/model.json does not name the files in {copy.folder}"
    elif not copy and not re.fullmatch(COMMIT, model.commit):
        problem = f"models/{model.id}/model.json names files that {COPIES} held, and it is not set"
    else:
        return copy
    raise UserError(f"{problem}; `dvc repro --force --single-item resolve@{model.id}` names those that are there")


def save_model(folder: Path, model: Model) -> None:
    """Write model.json into a folder, without a newer key that is not set: it would change the outs of all models."""
    unset = {name for name in NEWER_KEYS if getattr(model, name) == Model.model_fields[name].default}
    values = model.model_dump(exclude=unset)
    write_json(folder / "model.json", values)


def weights_digest(folder: Path) -> str:
    """Compute the sha256 over a local model's weights, configuration, tokenizer and template, not over model.json.

    Raises UserError for a folder without safetensors.
    """
    if not list(folder.glob("*.safetensors")):
        raise UserError(f"{folder} has no safetensors file")
    return sha256_folder(folder, skip=NOT_WEIGHTS)


def import_digest(path: Path) -> str:
    """Compute the sha256 of a file or folder of replies; raise UserError when it does not exist."""
    if not path.exists():
        raise UserError(f"{path} is not there")
    return sha256_folder(path) if path.is_dir() else sha256_file(path)
