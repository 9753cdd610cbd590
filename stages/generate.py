"""One DGM answers every user turn (paper, sec. 2.1, 2.2).

In:  data/prompts/, models/<dgm>/model.json, the store of finished conversations
Out: data/responses/<dgm>/ (in the order of the prompts), data/ledger/<dgm>/ (what they cost)
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.chain import Chain, converse
from stages.lib.conversation import RESPONSE
from stages.lib.engine import Engine, Usage, make_engine
from stages.lib.imported import Replies, import_responses, read_replies
from stages.lib.ledger import COST, charge, summarize
from stages.lib.model import Model, load_model
from stages.lib.params import Runtime, UserError, load
from stages.lib.rules import EngineName, Generate, Rules, engine_of, identity, to_rules
from stages.lib.shards import SUMMARY, chunks, new_folder, read_rows, write_json, write_shard
from stages.lib.shell import progress, run, say
from stages.lib.store import SEGMENT, Store, store_folder

LEDGER = pa.schema([("identity", pa.string()), ("engine", pa.string()), *COST])
Reader = Callable[[], Iterator[dict[str, Any]]]
Start = Callable[[EngineName, Model, Rules, Runtime], Engine]


def to_row(chain: Chain, name: str, dgm: str, rules: Rules, engine: str) -> dict[str, Any]:
    """A finished chain as a row of SEGMENT, not yet charged for."""
    return {
        "identity": name,
        "conversation_hash": chain.name,
        "dgm": dgm,
        "turns": chain.turns,
        "status": chain.status,
        "reason": chain.reason,
        "history": rules.history,
        "seed": rules.seed,
        "engine": engine,
        "prompt_tokens": sum(turn["prompt_tokens"] for turn in chain.turns),
        "cached_tokens": chain.cached_tokens,
        "completion_tokens": sum(turn["completion_tokens"] for turn in chain.turns),
    }


def batches(rows: Iterable[dict[str, Any]], engine: Engine, runtime: Runtime) -> Iterator[list[dict[str, Any]]]:
    """Gather rows until there are enough or enough time has passed, and charge them for it.

    An error of the engine comes after the rows that were finished before it.
    """
    batch: list[dict[str, Any]] = []
    began, error = time.monotonic(), None
    try:
        for row in rows:
            batch.append(row)
            if len(batch) >= runtime.flush_conversations or time.monotonic() - began > runtime.flush_seconds:
                yield charge(batch, time.monotonic() - began, engine.usage())
                batch, began = [], time.monotonic()
    except UserError as found:
        error = found
    yield charge(batch, time.monotonic() - began, engine.usage())
    if error:
        raise error


def read_prompts() -> Iterator[dict[str, Any]]:
    """The prompts, in their order."""
    return read_rows(Path("data/prompts"))


class Tally:
    """Output tokens per second and replies by how they ended, for the progress bar."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._tokens = 0
        self._finishes = Counter[str]()

    def add(self, chain: Chain) -> str:
        """Count a finished chain; what to show beside the bar."""
        self._finishes.update(turn["finish_reason"] for turn in chain.turns)
        self._tokens += sum(turn["completion_tokens"] for turn in chain.turns)
        total = self._finishes.total()
        shares = ", ".join(f"{name} {count / total:.0%}" for name, count in self._finishes.most_common())
        return f"{self._tokens / (time.monotonic() - self._began):.0f} tokens/s, {shares}"


def finish(
    engine: Engine,
    prompts: Iterator[dict[str, Any]],
    names: dict[str, str],
    model: Model,
    rules: Rules,
    runtime: Runtime,
) -> Iterator[dict[str, Any]]:
    """Answer the prompts that `names` maps from conversation_hash to identity; their rows, as they end."""
    wanted = (prompt for prompt in prompts if prompt["conversation_hash"] in names)
    chains = (Chain(prompt["conversation_hash"], *zip_turns(prompt)) for prompt in wanted)
    finished, tally = converse(engine, chains, rules, runtime.max_concurrent), Tally()
    with progress(finished, desc=model.id, unit="conversations", total=len(names)) as bar:
        for chain in bar:
            bar.set_postfix_str(tally.add(chain), refresh=False)
            yield to_row(chain, names[chain.name], model.id, rules, engine.description)


def generate_missing(
    read: Reader, names: dict[str, str], model: Model, rules: Rules, generate: Generate, store: Store, start: Start
) -> None:
    """Answer these prompts with an engine and put the conversations into the store as they end."""
    runtime = load("runtime", Runtime)
    with closing(start(generate.engine, model, rules, runtime)) as engine:
        for batch in batches(finish(engine, read(), names, model, rules, runtime), engine, runtime):
            store.append(batch)


def import_rows(model: Model, rules: Rules, replies: Replies | None) -> Iterator[dict[str, Any]]:
    """Rows of RESPONSE of replies that exist already; without any given, of the reference ones."""
    engine = json.dumps(["import", model.columns, model.where, model.files], sort_keys=True)
    for prompt, chain in import_responses(read_prompts(), replies):
        yield to_row(chain, identity(prompt, model, rules, engine), model.id, rules, "import")


def zip_turns(prompt: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The user turns and the reference replies of a prompt row."""
    return [turn["user"] for turn in prompt["turns"]], [turn["reference"] for turn in prompt["turns"]]


def write_responses(model: Model, rules: Rules, tables: Iterable[pa.Table], replies: Replies | None = None) -> None:
    """Write data/responses/<dgm> and data/ledger/<dgm>, one shard of each for every table of SEGMENT."""
    status, finishes, costs = Counter[str](), Counter[str](), [LEDGER.empty_table()]
    responses, ledger = Path("data/responses") / model.id, Path("data/ledger") / model.id
    with new_folder(responses) as folder, new_folder(ledger) as ledger_folder:
        for number, table in enumerate(tables):
            write_shard(folder, number, table.select(RESPONSE.names))
            costs.append(table.select(LEDGER.names))
            write_shard(ledger_folder, number, costs[-1])
            status.update(table["status"].to_pylist())
            finishes.update(pc.list_flatten(table["turns"]).combine_chunks().field("finish_reason").to_pylist())
        found = {"conversations": status.total(), "status": status, "finish_reasons": finishes}
        write_json(folder / SUMMARY, found | ({"import": replies.summary()} if replies else {}))
        write_json(ledger_folder / SUMMARY, to_ledger(pa.concat_tables(costs), model, rules))


def to_ledger(costs: pa.Table, model: Model, rules: Rules) -> dict[str, Any]:
    """What all conversations in use cost, what the model is and how it was asked."""
    return {
        **summarize(costs),
        "engines": dict(sorted(Counter(costs["engine"].to_pylist()).items())),
        "context_window": model.context_window,
        "parameters_billions": model.parameters_billions,
        "tensor_parallel": model.tensor_parallel,
        "asked": {**asdict(rules), "sampling": dict(rules.sampling)},
    }


def answer(
    model: Model,
    rules: Rules,
    generate: Generate,
    store: Store,
    read: Reader = read_prompts,
    start: Start = make_engine,
) -> Iterator[pa.Table]:
    """Generate what the store does not hold yet; then its conversations in the order of the prompts, shard by shard."""
    engine = engine_of(model, generate.engine)
    names = {prompt["conversation_hash"]: identity(prompt, model, rules, engine) for prompt in read()}
    found = store.find(list(names.values()), rules.max_tokens, rules.window)
    missing = {key: name for key, name in names.items() if name not in found}
    say(f"{model.id}: {len(found)} conversations are in the store, {len(missing)} to generate")
    if missing:
        generate_missing(read, missing, model, rules, generate, store, start)
        found |= store.find(list(missing.values()), rules.max_tokens, rules.window)
    absent = names.keys() - {key for key, name in names.items() if name in found}
    if absent:
        raise UserError(f"{model.id}: {len(absent)} conversations did not come back; run dvc repro again")
    failed = Failures(model.id, len(names))
    for chunk in chunks(names.values()):
        table = store.read([found[name] for name in chunk])
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
        say(f"{what}. They are dropped by `validate`; `make retry DGM={self._dgm}` asks them again")


def main(dgm: str) -> None:
    """Write the responses of one DGM: imported, from the store, or generated now."""
    generate = load("generate", Generate)
    model = load_model(dgm)
    rules = to_rules(model, generate)
    if model.kind == "import":
        hashes = {row["conversation_hash"] for row in read_rows(Path("data/prompts"), ["conversation_hash"])}
        replies = None if model.location == "reference" else read_replies(model, hashes)
        rows = (charge(chunk, 0.0, Usage()) for chunk in chunks(import_rows(model, rules, replies)))
        write_responses(model, rules, (pa.Table.from_pylist(chunk, schema=SEGMENT) for chunk in rows), replies)
        return
    store = Store(store_folder(), dgm)
    with store.held():
        write_responses(model, rules, answer(model, rules, generate, store))


if __name__ == "__main__":
    run(main)
