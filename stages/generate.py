"""One DGM answers every user turn (paper, sec. 2.1, 2.2).

In:  data/prompts/, models/<dgm>/model.json, the store of finished conversations
Out: data/responses/<dgm>/ (in the order of the prompts), data/ledger/<dgm>/ (what they cost)
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.core.files import ROWS_SUMMARY, new_folder, write_json
from stages.lib.engines.base import Usage
from stages.lib.engines.factory import make_engine
from stages.lib.engines.request import RequestConfig, dgm_config, identity
from stages.lib.generation.cached import Reader, Start, ask, to_row
from stages.lib.generation.costs import COST, attribute_cost, summarize
from stages.lib.generation.imports import ImportedReplies, import_conversations, read_replies
from stages.lib.generation.store import SEGMENT, Store, store_folder
from stages.lib.models.catalogue import Model, load_model
from stages.lib.records.responses import RESPONSE
from stages.lib.records.shards import chunks, read_rows, write_shard
from stages.lib.settings.reading import load, run
from stages.lib.settings.sections import Generate

DATA = Path("data")
LEDGER = pa.schema([
    ("identity", pa.string()),  # of the response
    ("engine", pa.string()),  # the engine and its version
    *COST,
])


def read_prompts() -> Iterator[dict[str, Any]]:
    """The prompts, in their order."""
    return read_rows(DATA / "prompts")


def import_rows(
    prompts: Iterable[dict[str, Any]], model: Model, config: RequestConfig, replies: ImportedReplies | None
) -> Iterator[dict[str, Any]]:
    """Rows of RESPONSE of replies that exist already; without any given, of the reference ones."""
    engine = json.dumps(["import", model.columns, model.where, model.files], sort_keys=True)
    for prompt, conversation in import_conversations(prompts, replies):
        yield to_row(conversation, identity(prompt, model, config, engine), model.id, config, "import")


def write_imported(
    prompts: Iterable[dict[str, Any]],
    model: Model,
    config: RequestConfig,
    replies: ImportedReplies | None,
    data: Path = DATA,
) -> None:
    """Write the responses of a model whose replies exist already; they cost nothing."""
    rows = (attribute_cost(chunk, 0.0, Usage()) for chunk in chunks(import_rows(prompts, model, config, replies)))
    tables = (pa.Table.from_pylist(chunk, schema=SEGMENT) for chunk in rows)
    write_responses(model, config, tables, replies, data)


def write_responses(
    model: Model,
    config: RequestConfig,
    tables: Iterable[pa.Table],
    replies: ImportedReplies | None = None,
    data: Path = DATA,
) -> None:
    """Write data/responses/<dgm> and data/ledger/<dgm>, one shard of each for every table of SEGMENT."""
    status, finishes, costs = Counter[str](), Counter[str](), [LEDGER.empty_table()]
    responses, ledger = data / "responses" / model.id, data / "ledger" / model.id
    with new_folder(responses) as folder, new_folder(ledger) as ledger_folder:
        for number, table in enumerate(tables):
            write_shard(folder, number, table.select(RESPONSE.names))
            costs.append(table.select(LEDGER.names))
            write_shard(ledger_folder, number, costs[-1])
            status.update(table["status"].to_pylist())
            finishes.update(pc.list_flatten(table["turns"]).combine_chunks().field("finish_reason").to_pylist())
        found = {"conversations": status.total(), "status": status, "finish_reasons": finishes}
        write_json(folder / ROWS_SUMMARY, found | ({"import": replies.summary()} if replies else {}))
        write_json(ledger_folder / ROWS_SUMMARY, to_ledger(pa.concat_tables(costs), model, config))


def to_ledger(costs: pa.Table, model: Model, config: RequestConfig) -> dict[str, Any]:
    """What all conversations in use cost, what the model is and how it was asked."""
    return {
        **summarize(costs),
        "engines": dict(sorted(Counter(costs["engine"].to_pylist()).items())),
        "context_window": model.context_window,
        "parameters_billions": model.parameters_billions,
        "tensor_parallel": model.tensor_parallel,
        "asked": {**asdict(config), "sampling": dict(config.sampling)},
    }


def answer(
    model: Model,
    config: RequestConfig,
    generate: Generate,
    store: Store,
    read: Reader = read_prompts,
    start: Start = make_engine,
) -> Iterator[pa.Table]:
    """Generate what the store does not hold yet; then its conversations in the order of the prompts, shard by shard."""
    places = ask(read, model, config, generate.engine, store, start)
    failed = Failures(model.id, len(places))
    for chunk in chunks(places.values()):
        table = store.read(chunk)
        failed.count(table)
        yield table
    failed.check(generate.max_failed_share)


class Failures:
    """Conversations that an engine could not answer."""

    def __init__(self, dgm: str, total: int) -> None:
        self._dgm, self._total = dgm, total
        self._reasons = Counter[str]()
        self._examples: list[str] = []

    def count(self, table: pa.Table) -> None:
        """Count the failed ones of a table."""
        failed = table.filter(pc.equal(table["status"], "failed"))
        self._reasons.update(failed["reason"].to_pylist())
        self._examples += failed["conversation_hash"].to_pylist()[: 3 - len(self._examples)]

    def check(self, allowed: float) -> None:
        """Say how many there are; raise UserError when their share is above what is allowed."""
        if not (num_failed := self._reasons.total()):
            return
        [(reason, count)] = self._reasons.most_common(1)
        share = num_failed / self._total
        what = (
            f"{self._dgm}: {num_failed} of {self._total} conversations failed ({share:.1%}, allowed {allowed:.1%}), "
            f"{count} of them because {reason}, as {', '.join(name[:12] for name in self._examples)}"
        )
        if share > allowed:
            raise UserError(f"{what}. `make retry DGM={self._dgm}` asks them again; the others are kept in the store")
        log_line(f"{what}. They are dropped by `validate`; `make retry DGM={self._dgm}` asks them again")


READS = ("generate", "runtime")


def main(dgm: str) -> None:
    """Write the responses of one DGM: imported, from the store, or generated now."""
    generate = load(Generate)
    model = load_model(dgm)
    config = dgm_config(model, generate)
    if model.kind == "import":
        hashes = {row["conversation_hash"] for row in read_rows(DATA / "prompts", ["conversation_hash"])}
        replies = None if model.location == "reference" else read_replies(model, hashes)
        write_imported(read_prompts(), model, config, replies)
        return
    store = Store(store_folder(), dgm)
    with store.held():
        write_responses(model, config, answer(model, config, generate, store))


if __name__ == "__main__":
    run(main)
