"""One DGM answers every user turn (paper, sec. 2.1, 2.2).

In:  data/prompts/, models/<dgm>/model.json, the store of finished conversations
Out: data/responses/<dgm>/ (in the order of the prompts), data/ledger/<dgm>/ (what they cost)
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field

from stages.lib.chain import Chain, History, Rules, converse
from stages.lib.conversation import RESPONSE, Turn
from stages.lib.engine import EngineName, make_engine
from stages.lib.model import Model, load_model
from stages.lib.params import Runtime, Sampling, Section, UserError, load
from stages.lib.shards import new_folder, read_table, write_json, write_table
from stages.lib.shell import progress, run, say
from stages.lib.store import COST, Store, store_folder

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

    The reply limit and the window are not in it: the store compares them with what each reply really took. The
    engine's version is not in it either: an upgrade regenerates nothing. Nor is a position or a file name.
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
        "max_tokens": rules.max_tokens,
        "window": rules.window,
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


def generate_missing(
    prompts: dict[str, dict[str, Any]], model: Model, rules: Rules, generate: Generate, store: Store
) -> None:
    """Answer the prompts (by identity) with an engine and put the conversations into the store as they end."""
    runtime = load("runtime", Runtime)
    names = {prompt["conversation_hash"]: name for name, prompt in prompts.items()}
    chains = [Chain(prompt["conversation_hash"], *zip_turns(prompt)) for prompt in prompts.values()]
    engine = make_engine(generate.engine, model, runtime)
    finished = converse(engine, chains, rules, runtime.max_concurrent)
    rows = (
        to_row(chain, names[chain.name], model.id, rules, engine.description)
        for chain in progress(finished, desc=model.id, unit="conversations", total=len(chains))
    )
    for batch in batches(rows, runtime):
        store.append(batch)


def import_responses(prompts: dict[str, dict[str, Any]], model: Model, rules: Rules) -> list[dict[str, Any]]:
    """Take replies that exist already, joined by conversation_hash: the reference ones, or a parquet's.

    The parquet is in WildChat's schema (as the published WildChat-50m sets are). A conversation that it lacks, or
    answers with another number of turns, gets empty replies and the status `not_imported`.
    """
    replies: dict[str, list[str]] = {}
    if model.location != "reference":
        for row in read_table(Path(model.location), ["conversation_hash", "conversation"]).to_pylist():
            said = [message["content"] or "" for message in row["conversation"] if message["role"] == "assistant"]
            replies.setdefault(row["conversation_hash"], said)
    rows = []
    for name, prompt in prompts.items():
        users, references = zip_turns(prompt)
        said = references if model.location == "reference" else replies.get(prompt["conversation_hash"], [])
        complete = len(said) == len(users) and all(said)
        chain = Chain(prompt["conversation_hash"], users, status="ok" if complete else "not_imported")
        chain.turns = [
            imported_turn(user, reply) for user, reply in zip_longest(users, said[: len(users)], fillvalue="")
        ]
        rows.append(to_row(chain, name, model.id, rules, "import"))
    return rows


def imported_turn(user: str, reply: str) -> Turn:
    """A turn of which nothing but its text is known."""
    return Turn(
        user=user, assistant=reply, finish_reason="imported", prompt_tokens=0, completion_tokens=0, prompt_sha=""
    )


def zip_turns(prompt: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The user turns and the reference replies of a prompt row."""
    return [turn["user"] for turn in prompt["turns"]], [turn["reference"] for turn in prompt["turns"]]


def write_responses(dgm: str, rows: list[dict[str, Any]]) -> None:
    """Write data/responses/<dgm> and data/ledger/<dgm> from rows in the order of the prompts."""
    with new_folder(Path("data/responses") / dgm) as folder:
        write_table(folder, pa.Table.from_pylist(rows, schema=RESPONSE))
        finishes = Counter(turn["finish_reason"] for row in rows for turn in row["turns"])
        write_json(
            folder / "summary.json",
            {"conversations": len(rows), "status": Counter(row["status"] for row in rows), "finish_reasons": finishes},
        )
    with new_folder(Path("data/ledger") / dgm) as folder:
        write_table(folder, pa.Table.from_pylist(rows, schema=LEDGER))


def main(dgm: str) -> None:
    """Answer what the store does not hold yet, then write the responses from the store."""
    generate = load("generate", Generate)
    model = load_model(dgm)
    rules = to_rules(model, generate)
    prompts = {
        identity(prompt, model, rules, generate.engine): prompt
        for prompt in read_table(Path("data/prompts")).to_pylist()
    }
    if model.kind == "import":
        write_responses(dgm, import_responses(prompts, model, rules))
        return
    store = Store(store_folder(), dgm)
    found = store.find(set(prompts), rules.max_tokens, rules.window)
    missing = {name: prompt for name, prompt in prompts.items() if name not in found}
    say(f"{dgm}: {len(found)} conversations are in the store, {len(missing)} to generate")
    if missing:
        generate_missing(missing, model, rules, generate, store)
        found |= store.find(set(missing), rules.max_tokens, rules.window)
    absent = [name for name in prompts if name not in found]
    if absent:
        raise UserError(f"{dgm}: {len(absent)} conversations are missing after generation; run dvc repro again")
    write_responses(dgm, [found[name] for name in prompts])


if __name__ == "__main__":
    run(main)
