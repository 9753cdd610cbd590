"""What a model is: its catalogue entry (dgms/<id>.yaml) and, once resolved, models/<id>/model.json."""

from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from stages.lib.params import Section, UserError, parse, read_yaml
from stages.lib.shards import read_json, sha256_folder, write_json

CATALOGUE = Path("dgms")
MODELS = Path("models")
OURS = ("model.json", "summary.json", "loss.csv")  # beside the weights, not part of them


class ModelSampling(Section):
    """A model's own sampling; what it leaves out is the profile's."""

    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)


class Entry(Section):
    """One file of the catalogue. It names exactly one source: repository, path or import."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)

    name: str
    abbreviation: str = ""  # the paper's
    repository: str = ""  # on the model hub
    path: str = ""  # or a local folder of safetensors
    import_: str = Field(default="", alias="import")  # or `reference`, or a parquet of finished conversations
    revision: str = ""  # a commit, branch or tag of the repository; the sha256 of what `path` or `import` names
    parameters_billions: float = Field(default=0, ge=0)  # 0: not known
    active_parameters_billions: float = Field(default=0, ge=0)  # mixtures of experts
    context_window: int = Field(default=0, ge=0)  # tokens; 0: imported
    quantization: Literal["none", "fp8"] = "none"
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    tensor_parallel: int = Field(default=1, ge=1)  # GPUs
    system_prompt: str = ""
    sampling: ModelSampling = ModelSampling()
    trust_remote_code: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> "Entry":
        if sum(map(bool, (self.repository, self.path, self.import_))) != 1:
            raise ValueError("give exactly one of repository, path and import")
        if not self.import_ and not self.context_window:
            raise ValueError("context_window is missing")
        return self


class Model(Section):
    """A resolved model: models/<id>/model.json. A DGM and a fine-tune look alike."""

    id: str
    name: str
    location: str  # a repository, a folder, what `import` names, or a server's address
    kind: Literal["hub", "local", "import", "server"]
    commit: str  # of the repository, or the sha256 of the folder or file
    parameters_billions: float
    context_window: int
    quantization: str = "none"
    dtype: str = "bfloat16"
    tensor_parallel: int = 1
    system_prompt: str = ""
    sampling: ModelSampling = ModelSampling()
    stop: list[str] = Field(default=[])
    thinking: Literal["keep", "strip"] = "keep"
    chat_template: str = ""
    served_name: str = ""
    trust_remote_code: bool = False


def read_entry(model: str) -> Entry:
    """Read dgms/<model>.yaml; raise UserError with the known ids when there is none."""
    path = CATALOGUE / f"{model}.yaml"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in CATALOGUE.glob("*.yaml")))
        raise UserError(f"no catalogue file {path}; known models: {known}")
    return parse(Entry, read_yaml(path), str(path))


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
