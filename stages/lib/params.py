"""The sections of params.yaml: frozen and typo-proof, each declared in the stage that owns it."""

from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, ValidationError, model_serializer
from ruamel.yaml import YAML, YAMLError

PARAMS = Path("params.yaml")
ID = r"^[a-z0-9_-]+$"  # DVC reads a dot in a key as a path
HIDDEN: Final = "hidden"  # the type of an error whose input may hold a password, and so is not shown


class UserError(Exception):
    """Something that the user can put right: printed as one plain line, without a traceback."""


class Section(BaseModel):
    """A piece of configuration. Unknown keys and wrong types are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


S = TypeVar("S", bound=Section)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; raise UserError when the file is absent, torn or not a mapping."""
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is not there; run from the root of the repository") from None
    except YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold `key: value` lines")
    return content


def parse(model: type[S], content: object, where: str) -> S:
    """Make a section of plain values; raise UserError naming the first wrong key after `where`."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UserError(explain(error, model, where)) from None


def explain(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """Say in one line which key is wrong and what it should be."""
    first = error.errors()[0]
    key = ".".join([where, *(str(part) for part in first["loc"])])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known = ", ".join(field.alias or name for name, field in model.model_fields.items())
        hint = f"; known keys: {known}" if len(first["loc"]) == 1 else ""
        return f"{key}: no such key{hint}{more}"
    if first["type"] == "missing":
        return f"{key} is missing{more}"
    if first["type"] == HIDDEN:
        return f"{key}: {first['msg']}{more}"
    said = first["msg"][:1].lower() + first["msg"][1:]  # not all of it: it may hold a user's own names
    return f"{key}: {said}, got {first['input']!r}{more}"


def load(name: str, model: type[S], path: Path = PARAMS) -> S:
    """Read one section of params.yaml."""
    content = read_yaml(path)
    if name not in content:
        raise UserError(f"{path}: the section `{name}` is missing")
    return parse(model, content[name], f"{path}: {name}")


def load_entry(name: str, key: str, model: type[S], path: Path = PARAMS) -> S:
    """Read one named entry of a section that is a dictionary, such as `auxiliary.knowledge`."""
    entries = read_yaml(path).get(name) or {}
    if key not in entries:
        raise UserError(f"{path}: `{name}` has no {key!r}; it has: {', '.join(entries) or 'nothing'}")
    return parse(model, entries[key], f"{path}: {name}.{key}")


class Sampling(Section):
    """How a token is drawn. Temperature 0 takes the likeliest; the last three are off as they stand here."""

    temperature: float = Field(default=1.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)
    min_p: float = Field(default=0.0, ge=0, le=1)
    repetition_penalty: float = Field(default=1.0, gt=0)

    @model_serializer(mode="wrap")
    def _without_what_is_off(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # A conversation's identity holds these values: one that is off must not change the identities of before it was.
        off = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
        return {name: value for name, value in handler(self).items() if off.get(name) != value}


class Server(Section):
    """How a server is asked that answers for a DGM or judges. 0: no limit."""

    requests_per_minute: int = Field(default=0, ge=0)
    retry_seconds: float = Field(default=300, ge=0)  # for which what the server did not answer is asked again
    timeout_seconds: float = Field(default=600, gt=0)  # until a request counts as not answered
    max_requests: int = Field(default=0, ge=0)  # of one run, repeated ones too
    max_tokens: int = Field(default=0, ge=0)  # of one run, of prompts and replies together
    max_cost: float = Field(default=0, ge=0)  # of one run, in the currency of the prices
    price_per_million_input: float = Field(default=0, ge=0)  # tokens
    price_per_million_output: float = Field(default=0, ge=0)

    @property
    def budget(self) -> tuple[int, int, float]:
        """Requests, tokens and money that one run may spend."""
        return self.max_requests, self.max_tokens, self.max_cost

    @property
    def described(self) -> str:
        """The budget as the user wrote it."""
        limits = f"max_requests {self.max_requests}, max_tokens {self.max_tokens}, max_cost {self.max_cost:g}"
        return f"runtime.server: {limits}"


class Runtime(Section):
    """How to run, never what comes out: no stage tracks these."""

    kv_cache_gib: int = 1
    max_concurrent: int = 256
    flush_conversations: int = 100
    flush_seconds: float = 30
    gpu_memory_utilization: float = 0.9
    stall_seconds: float = 300  # without a token, until an engine is started anew
    start_seconds: float = 3600  # until an engine must be ready
    server: Server = Server()
