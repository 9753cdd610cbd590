"""The section `runtime` of params.yaml: how to run, not what comes out. No stage depends on it."""

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from stages.lib.core.sections import Section


class ServerLimits(Section):
    """Limits of requests to a server that generates or judges. 0: no limit."""

    requests_per_minute: int = Field(default=0, ge=0)
    retry_seconds: float = Field(default=300, ge=0)  # how long an unanswered request is repeated
    timeout_seconds: float = Field(default=600, gt=0)  # until a request counts as unanswered
    max_requests: int = Field(default=0, ge=0)  # of one run, with repeats
    max_tokens: int = Field(default=0, ge=0)  # of one run, prompts and replies
    max_cost: float = Field(default=0, ge=0)  # of one run, in the currency of the prices
    price_per_million_input: float = Field(default=0, ge=0)  # tokens
    price_per_million_output: float = Field(default=0, ge=0)
    session_header: str = Field(default="", pattern=r"^([A-Za-z0-9-]+)?$")  # of a conversation's requests; empty: none

    @property
    def budget(self) -> tuple[int, int, float]:
        """The requests, tokens and money that one run may spend."""
        return self.max_requests, self.max_tokens, self.max_cost

    @property
    def described(self) -> str:
        """The budget as it stands in params.yaml."""
        limits = f"max_requests {self.max_requests}, max_tokens {self.max_tokens}, max_cost {self.max_cost:g}"
        return f"runtime.server: {limits}"


class RayCluster(Section):
    """Where engines run besides this process."""

    address: str = ""  # empty: in this process; local, auto or host:port: as replicas on that Ray cluster
    replicas: int = Field(default=0, ge=0)  # 0: as many as fit

    @field_validator("address")
    @classmethod
    def _check_address(cls, address: str) -> str:
        if "://" in address:
            raise ValueError("names Ray's client protocol: run this on a node of the cluster, and write host:port")
        if address not in ("", "local", "auto") and not re.fullmatch(r"[^\s:]+:\d+|\[[0-9a-fA-F:]+\]:\d+", address):
            raise ValueError("must be empty, local, auto or host:port")
        return address


class Runtime(Section):
    """The section `runtime`."""

    kv_cache_gib: int = 1
    max_concurrent: int = 256  # vLLM's max_num_seqs
    max_num_batched_tokens: int = Field(default=0, ge=0)  # of one step of vLLM; 0: its own choice
    speculation: Literal["none", "ngram", "suffix"] = "none"  # where vLLM drafts tokens from: the text so far
    num_speculative_tokens: int = Field(default=4, ge=1)  # drafted at most, per step and conversation
    flush_conversations: int = 100
    flush_seconds: float = 30
    gpu_memory_utilization: float = 0.9
    stall_seconds: float = 300  # without a token until an engine is restarted
    start_seconds: float = 3600  # for an engine to become ready
    ray: RayCluster = RayCluster()
    server: ServerLimits = ServerLimits()

    @model_validator(mode="after")
    def _check_batched_tokens(self) -> "Runtime":
        if 0 < self.max_num_batched_tokens < self.max_concurrent:
            raise ValueError("max_num_batched_tokens must be 0, or max_concurrent or more: each adds a token to a step")
        return self
