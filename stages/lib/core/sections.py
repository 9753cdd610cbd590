"""Sections of YAML files as frozen, typed models: unknown keys and wrong types are errors."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML, YAMLError

from stages.lib.console.errors import UserError
from stages.lib.console.wording import explain

PARAMS = Path("params.yaml")
ID = r"^[a-z0-9_-]+$"  # DVC reads a dot in a key as a path


class Section(BaseModel):
    """A part of a YAML file. Unknown keys and wrong types are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


S = TypeVar("S", bound=Section)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; raise UserError when the file is absent, not valid YAML or not a mapping."""
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run this from the root of the repository") from None
    except YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold `key: value` lines")
    return content


def parse(model: type[S], content: object, where: str) -> S:
    """Validate plain values as a section; raise UserError that names `where` and the first wrong key."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UserError(explain(error, model, where, content)) from None
