"""One DGM answers every user turn (paper, sec. 2.1, 2.2).

In:  data/prompts/, models/<dgm>/model.json, the store of finished conversations
Out: data/responses/<dgm>/ (in the order of the prompts), data/ledger/<dgm>/ (what they cost)
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.console.needs import LEAST_DISK, check_disk
from stages.lib.console.shell import log_line
from stages.lib.core.files import ROWS_SUMMARY, new_folder, write_json
from stages.lib.core.types import Json, Row
from stages.lib.engines.request import dgm_config, with_reply_format
from stages.lib.generation.cached import CachedGeneration
from stages.lib.generation.costs import COST, summarize
from stages.lib.generation.imports import ImportedConversations, ImportedReplies, read_replies
from stages.lib.generation.place import open_store
from stages.lib.generation.source import ConversationSource
from stages.lib.models.catalogue import Model, load_model
from stages.lib.records.prompts import system_of
from stages.lib.records.responses import NO_SYSTEM_ROLE, RESPONSE, SYSTEM
from stages.lib.records.shards import read_rows, write_shard
from stages.lib.settings.reading import load, run
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import Generate

DATA = Path("data")
RESPONDED = [*RESPONSE.names, SYSTEM.name]
LEDGER = pa.schema([
    ("identity", pa.string()),  # of the response
    ("engine", pa.string()),  # the engine and its version
    *COST,
])
# The ledger in memory: without names, and with each text once in a table.
SUMMED = pa.schema([
    field.with_type(pa.dictionary(pa.int32(), pa.string())) if pa.types.is_string(field.type) else field
    for field in LEDGER
    if field.name != "identity"
])  # fmt: skip


class PromptFolder:
    """The prompts in their order, read from disk each time that they are iterated: memory never holds them all."""

    def __init__(self, folder: Path = DATA / "prompts") -> None:
        self._folder = folder

    def __iter__(self) -> Iterator[Row]:
        return read_rows(self._folder)

    def systems(self) -> Iterator[str]:
        """Read the system message of every prompt, empty where it has none."""
        return map(system_of, read_rows(self._folder, ["conversation_hash", "system"]))

    def num_bytes(self) -> int:
        """Return the size of the prompts' files."""
        return sum(file.stat().st_size for file in self._folder.glob("*.parquet"))

    def hashes(self) -> set[str]:
        """Read the conversation_hash of every prompt, and nothing else of it."""
        return {row["conversation_hash"] for row in read_rows(self._folder, ["conversation_hash"])}


@contextmanager
def open_source(
    model: Model, generate: Generate, runtime: Runtime, prompts: PromptFolder
) -> Iterator[ConversationSource]:
    """Yield where a DGM's conversations come from; meanwhile no other run generates into its store."""
    config = dgm_config(model, generate)
    if model.kind == "import":
        yield ImportedConversations(model, config, read_import(model, prompts))
        return
    config = with_reply_format(config, model, generate.engine)
    store = open_store(model.id)
    with store.exclusive():
        share = generate.max_failed_share
        yield CachedGeneration(model, config, generate.engine, store, runtime, max_failed_share=share)


def read_import(model: Model, prompts: PromptFolder) -> ImportedReplies | None:
    """Read the replies that an imported DGM has for the prompts; None: it is the prompts' own reference replies."""
    return None if model.location == "reference" else read_replies(model, prompts.hashes())


def write_responses(source: ConversationSource, prompts: Iterable[Row], data: Path = DATA) -> None:
    """Write data/responses/<dgm> and data/ledger/<dgm>, one shard of each for every table of the source."""
    dgm = source.model.id
    with new_folder(data / "responses" / dgm) as responses, new_folder(data / "ledger" / dgm) as ledger:
        counts, costs = write_shards(with_systems(source.tables(prompts), prompts), responses, ledger)
        log_refused_systems(dgm, counts)
        write_json(responses / ROWS_SUMMARY, counts | source.summary())
        write_json(ledger / ROWS_SUMMARY, summarize_ledger(costs, source))


def read_systems(prompts: Iterable[Row]) -> Iterator[str]:
    """Return the system message of every prompt, empty where it has none."""
    return prompts.systems() if isinstance(prompts, PromptFolder) else map(system_of, prompts)


def with_systems(tables: Iterable[pa.Table], prompts: Iterable[Row]) -> Iterator[pa.Table]:
    """Yield tables, with rows in the prompts' order, with the column SYSTEM if any prompt has a system message."""
    if not any(read_systems(prompts)):
        yield from tables
        return
    systems = read_systems(prompts)
    for table in tables:
        yield table.append_column(SYSTEM, pa.array(islice(systems, table.num_rows), SYSTEM.type))


def log_refused_systems(dgm: str, counts: Json) -> None:
    """Print how many conversations were not asked because of their system message, if any."""
    if number := counts["status"][NO_SYSTEM_ROLE]:
        log_line(
            f"{dgm}: {number} of {counts['conversations']} conversations have a system message, for which its chat "
            f"template has no role; they are counted as {NO_SYSTEM_ROLE}, and `validate` drops them"
        )


def write_shards(tables: Iterable[pa.Table], responses: Path, ledger: Path) -> tuple[Json, pa.Table]:
    """Write each table of SEGMENT as a shard of two folders; return the counts of conversations, and what they cost."""
    status, finishes = Counter[str](), Counter[str]()
    costs = [SUMMED.empty_table()]
    for number, table in enumerate(tables):
        write_shard(responses, number, table.select([name for name in RESPONDED if name in table.column_names]))
        write_shard(ledger, number, table.select(LEDGER.names))
        costs.append(table.select(SUMMED.names).cast(SUMMED))
        status.update(table["status"].to_pylist())
        finishes.update(pc.list_flatten(table["turns"]).combine_chunks().field("finish_reason").to_pylist())
    counts = {"conversations": status.total(), "status": status, "finish_reasons": finishes}
    return counts, pa.concat_tables(costs)


def summarize_ledger(costs: pa.Table, source: ConversationSource) -> Json:
    """Sum what the conversations (rows of SUMMED) cost, beside what the model is and how it was asked."""
    model, config = source.model, source.config
    return {
        **summarize(costs),
        "engines": dict(sorted(Counter(costs["engine"].to_pylist()).items())),
        "context_window": model.context_window,
        "parameters_billions": model.parameters_billions,
        "tensor_parallel": model.tensor_parallel,
        "asked": config.to_json(),
    }


READS = ("generate", "runtime")


def main(dgm: str) -> None:
    """Write the responses of one DGM: imported, from the store, or generated now."""
    prompts = PromptFolder()
    # The responses repeat the prompts, in the store and in data/.
    check_disk(dgm, LEAST_DISK + 2 * prompts.num_bytes(), DATA)
    with open_source(load_model(dgm), load(Generate), load(Runtime), prompts) as source:
        write_responses(source, prompts)


if __name__ == "__main__":
    run(main)
