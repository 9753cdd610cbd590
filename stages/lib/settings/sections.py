"""The sections of params.yaml and how a stage reads them."""

from pathlib import Path

from pydantic import Field

from stages.lib.console.errors import UserError
from stages.lib.core.sections import PARAMS, S, Section, parse, read_yaml


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
