"""What a pilot of one DGM needs: the model, the settings, the store and the prompts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.lib.core.types import Row
from stages.lib.engines.request import RequestConfig
from stages.lib.generation.store import Store
from stages.lib.models.catalogue import Model
from stages.lib.settings.reading import load
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import Gate, Generate, Throughput, Validate

PROMPTS = Path("data/prompts")


class PromptSize(NamedTuple):
    """The bytes of a prompt's user messages, a system message with the first, and of the reference replies to them."""

    users: tuple[int, ...]
    references: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """The sections of params.yaml that the pilot reads."""

    generate: Generate
    validate: Validate
    gate: Gate
    runtime: Runtime
    price_per_gpu_hour: float


@dataclass(frozen=True, slots=True)
class Job:
    """One DGM, how it is asked and validated, and where its conversations are kept."""

    model: Model
    config: RequestConfig
    settings: Settings
    store: Store
    sizes: Mapping[str, PromptSize]  # of the prompts of the full run, by conversation_hash

    @property
    def dgm(self) -> str:
        """The id of the DGM."""
        return self.model.id


def load_settings() -> Settings:
    """Read the settings from params.yaml."""
    return Settings(
        generate=load(Generate),
        validate=load(Validate),
        gate=load(Gate),
        runtime=load(Runtime),
        price_per_gpu_hour=load(Throughput).price_per_gpu_hour,
    )


def read_sizes() -> dict[str, PromptSize]:
    """Read how long the messages of every prompt are, by conversation_hash."""
    sizes = {}
    for file in sorted(PROMPTS.glob("*.parquet")):
        table = pq.read_table(file, columns=["conversation_hash", "system", "turns"])
        turns = table["turns"].combine_chunks()
        systems, users, references = map(
            count_bytes, (table["system"], *(pc.struct_field(turns.flatten(), name) for name in ("user", "reference")))
        )
        ends = list(accumulate(pc.list_value_length(turns).to_pylist()))
        names = table["conversation_hash"].to_pylist()
        for name, system, start, end in zip(names, systems, [0, *ends], ends, strict=False):
            users[start] += system
            sizes[name] = PromptSize(tuple(users[start:end]), tuple(references[start:end]))
    return sizes


def count_bytes(texts: pa.Array | pa.ChunkedArray) -> list[int]:
    """Count the bytes of each text; 0 for null."""
    lengths: list[int] = pc.fill_null(pc.binary_length(texts), 0).to_pylist()
    return lengths


def read_prompts_of(hashes: pa.Array) -> Iterator[Row]:
    """Yield the prompts whose conversation_hash is one of these."""
    for file in sorted(PROMPTS.glob("*.parquet")):
        hits = pc.is_in(pq.read_table(file, columns=["conversation_hash"])["conversation_hash"], value_set=hashes)
        if pc.any(hits).as_py():
            yield from pq.read_table(file).filter(hits).to_pylist()
