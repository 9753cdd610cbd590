"""One DGM answers every user turn (paper, sec. 2.1, 2.2).

In:  data/prompts/, models/<dgm>/model.json, the store of finished conversations
Out: data/responses/<dgm>/ (in the order of the prompts), data/ledger/<dgm>/ (what they cost)
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from stages.lib.chain import Chain, History, Rules, converse
from stages.lib.conversation import RESPONSE
from stages.lib.engine import EngineName, make_engine
from stages.lib.imported import Replies, import_responses, read_replies
from stages.lib.model import Model, load_model
from stages.lib.params import Runtime, Sampling, Section, UserError, load
from stages.lib.shards import SUMMARY, chunks, new_folder, read_rows, write_json, write_shard
from stages.lib.shell import progress, run, say
from stages.lib.store import COST, SEGMENT, Store, store_folder

LEDGER = pa.schema([("identity", pa.string()), *COST])


class Generate(Section):
    """The section `generate`."""

    engine: EngineName
    history: History
    max_tokens: int = Field(gt=0)
    seed: int
    sampling: Sampling


def to_rules(model: Model, generate: Generate) -> Rules:
    """How a model is asked: the profile's sampling, over it the model's own."""
    own = model.sampling.model_dump(exclude_none=True)
    return Rules(
        sampling=Sampling(**{**generate.sampling.model_dump(), **own}),
        max_tokens=generate.max_tokens,
        window=model.context_window,
        seed=generate.seed,
        history=generate.history,
        system_prompt=model.system_prompt,
    )


def identity(prompt: dict[str, Any], model: Model, rules: Rules, engine: str) -> str:
    """Name a finished conversation by all that decides its text: 32 hex digits.

    The reply limit and the window are not in it: the store compares them with what each reply took. The engine's
    version is not in it either: an upgrade regenerates nothing. Nor is a position or a file name.
    """
    said = [[turn["user"], turn["reference"] if rules.history == "reference" else ""] for turn in prompt["turns"]]
    decides = [
        prompt["conversation_hash"],
        said,
        [model.commit, model.quantization, model.dtype, rules.system_prompt, engine],
        [rules.history, rules.sampling.model_dump(), rules.seed],
    ]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:32]


def to_row(chain: Chain, name: str, dgm: str, rules: Rules, engine: str) -> dict[str, Any]:
    """A finished chain as a row of RESPONSE, with the limits it was made under."""
    return {
        "identity": name,
        "conversation_hash": chain.name,
        "dgm": dgm,
        "turns": chain.turns,
        "status": chain.status,
        "history": rules.history,
        "seed": rules.seed,
        "engine": engine,
        "prompt_tokens": sum(turn["prompt_tokens"] for turn in chain.turns),
        "completion_tokens": sum(turn["completion_tokens"] for turn in chain.turns),
        "seconds": 0.0,
    }


def batches(rows: Iterator[dict[str, Any]], runtime: Runtime) -> Iterator[list[dict[str, Any]]]:
    """Gather rows until there are enough or enough time has passed, and share that time among them by tokens."""
    batch: list[dict[str, Any]] = []
    began = time.monotonic()
    for row in rows:
        batch.append(row)
        if len(batch) >= runtime.flush_conversations or time.monotonic() - began > runtime.flush_seconds:
            yield share_time(batch, time.monotonic() - began)
            batch, began = [], time.monotonic()
    yield share_time(batch, time.monotonic() - began)


def share_time(batch: list[dict[str, Any]], seconds: float) -> list[dict[str, Any]]:
    """Divide wall time among conversations by their tokens, so that sums over any rows in use mean something."""
    tokens = [row["prompt_tokens"] + row["completion_tokens"] for row in batch]
    for row, count in zip(batch, tokens, strict=True):
        row["seconds"] = round(seconds * count / max(sum(tokens), 1), 6)
    return batch


def read_prompts() -> Iterator[dict[str, Any]]:
    """The prompts, in their order."""
    return read_rows(Path("data/prompts"))


def generate_missing(missing: set[str], model: Model, rules: Rules, generate: Generate, store: Store) -> None:
    """Answer the prompts of these identities with an engine and put the conversations into the store as they end."""
    runtime = load("runtime", Runtime)
    names: dict[str, str] = {}

    def chains() -> Iterator[Chain]:
        for prompt in read_prompts():
            name = identity(prompt, model, rules, generate.engine)
            if name in missing:
                names[prompt["conversation_hash"]] = name
                yield Chain(prompt["conversation_hash"], *zip_turns(prompt))

    engine = make_engine(generate.engine, model, runtime)
    finished = converse(engine, chains(), rules, runtime.max_concurrent)
    rows = (
        to_row(chain, names.pop(chain.name), model.id, rules, engine.description)
        for chain in progress(finished, desc=model.id, unit="conversations", total=len(missing))
    )
    for batch in batches(rows, runtime):
        store.append(batch)


def import_rows(model: Model, rules: Rules, replies: Replies | None) -> Iterator[dict[str, Any]]:
    """Rows of RESPONSE of replies that exist already; without any given, of the reference ones."""
    engine = json.dumps(["import", model.columns, model.where, model.files], sort_keys=True)
    for prompt, chain in import_responses(read_prompts(), replies):
        yield to_row(chain, identity(prompt, model, rules, engine), model.id, rules, "import")


def zip_turns(prompt: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The user turns and the reference replies of a prompt row."""
    return [turn["user"] for turn in prompt["turns"]], [turn["reference"] for turn in prompt["turns"]]


def write_responses(dgm: str, tables: Iterable[pa.Table], replies: Replies | None = None) -> None:
    """Write data/responses/<dgm> and data/ledger/<dgm>, one shard of each for every table of SEGMENT."""
    status, finishes = Counter[str](), Counter[str]()
    responses, ledger = Path("data/responses") / dgm, Path("data/ledger") / dgm
    with new_folder(responses) as folder, new_folder(ledger) as costs:
        for number, table in enumerate(tables):
            write_shard(folder, number, table.select(RESPONSE.names))
            write_shard(costs, number, table.select(LEDGER.names))
            status.update(table["status"].to_pylist())
            finishes.update(pc.list_flatten(table["turns"]).combine_chunks().field("finish_reason").to_pylist())
        found = {"conversations": status.total(), "status": status, "finish_reasons": finishes}
        write_json(folder / SUMMARY, found | ({"import": replies.summary()} if replies else {}))


def answer(model: Model, rules: Rules, generate: Generate, store: Store) -> Iterator[pa.Table]:
    """Generate what the store does not hold yet; then its conversations in the order of the prompts, shard by shard."""
    names = [identity(prompt, model, rules, generate.engine) for prompt in read_prompts()]
    found = store.find(names, rules.max_tokens, rules.window)
    missing = {name for name in names if name not in found}
    say(f"{model.id}: {len(found)} conversations are in the store, {len(missing)} to generate")
    if missing:
        generate_missing(missing, model, rules, generate, store)
        found |= store.find(missing, rules.max_tokens, rules.window)
    absent = [name for name in names if name not in found]
    if absent:
        raise UserError(f"{model.id}: {len(absent)} conversations did not come back; run dvc repro again")
    for chunk in chunks(names):
        yield store.read([found[name] for name in chunk])


def main(dgm: str) -> None:
    """Write the responses of one DGM: imported, from the store, or generated now."""
    generate = load("generate", Generate)
    model = load_model(dgm)
    rules = to_rules(model, generate)
    if model.kind == "import":
        hashes = {row["conversation_hash"] for row in read_rows(Path("data/prompts"), ["conversation_hash"])}
        replies = None if model.location == "reference" else read_replies(model, hashes)
        rows = import_rows(model, rules, replies)
        write_responses(dgm, (pa.Table.from_pylist(chunk, schema=SEGMENT) for chunk in chunks(rows)), replies)
        return
    store = Store(store_folder(), dgm)
    with store.held():
        write_responses(dgm, answer(model, rules, generate, store))


if __name__ == "__main__":
    run(main)
