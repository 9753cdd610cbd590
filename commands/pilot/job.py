"""What a pilot of one DGM needs: the model, the settings, the store and the prompts."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
    num_prompts: Counter[int]  # of the full run, by number of turns

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


def count_prompts() -> Counter[int]:
    """Count the prompts by their number of turns."""
    counts = Counter[int]()
    for file in sorted(PROMPTS.glob("*.parquet")):
        lengths = pc.list_value_length(pq.read_table(file, columns=["turns"])["turns"])
        counts.update(lengths.to_pylist())
    return counts


def read_prompts_of(hashes: pa.Array) -> Iterator[Row]:
    """Yield the prompts whose conversation_hash is one of these."""
    for file in sorted(PROMPTS.glob("*.parquet")):
        hits = pc.is_in(pq.read_table(file, columns=["conversation_hash"])["conversation_hash"], value_set=hashes)
        if pc.any(hits).as_py():
            yield from pq.read_table(file).filter(hits).to_pylist()
