"""Exactly the rows that the run's recipe names, shuffled (paper, Tab. 1, sec. 3.1).

In:  metrics/recipes.json (the key of this run alone) and the sources that it names, checked by digest
Out: data/mixes/<run>/ (conversation_hash, source, messages), with a manifest in summary.json
"""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa

from stages.lib.conversation import CHAT, Message, keyed_hash
from stages.lib.params import UserError
from stages.lib.shards import new_folder, read_json, read_table, write_json, write_table
from stages.lib.shell import run, say
from stages.lib.sources import require


def smallest(rows: list[dict[str, Any]], take: int, seed: int, source: str) -> list[dict[str, Any]]:
    """The `take` rows with the smallest keyed hashes of (seed, source, conversation_hash).

    The choice depends on nothing else, so a mix of fewer rows is a subset of one of more.
    """
    return sorted(rows, key=lambda row: keyed_hash(seed, source, row["conversation_hash"]))[:take]


def to_messages(turns: list[dict[str, Any]]) -> list[Message]:
    """A conversation's turns as chat messages."""
    messages: list[Message] = []
    for turn in turns:
        messages.append({"role": "user", "content": turn["user"]})
        messages.append({"role": "assistant", "content": turn["assistant"]})
    return messages


def read_dgm(dgm: str, digests: dict[str, str]) -> list[dict[str, Any]]:
    """The kept conversations of one DGM as chat rows."""
    responses = require(Path("data/responses") / dgm, digests["responses"], f"generate@{dgm}")
    verdicts = require(Path("data/verdicts") / dgm, digests["verdicts"], f"validate@{dgm}")
    keep = {row["identity"] for row in read_table(verdicts).to_pylist() if row["keep"]}
    rows = read_table(responses, ["identity", "conversation_hash", "turns"]).to_pylist()
    return [
        {"conversation_hash": row["conversation_hash"], "source": dgm, "messages": to_messages(row["turns"])}
        for row in rows
        if row["identity"] in keep
    ]


def read_auxiliary(key: str, digests: dict[str, str]) -> list[dict[str, Any]]:
    """The rows of one auxiliary set."""
    found: list[dict[str, Any]] = read_table(
        require(Path("data/auxiliary") / key, digests["rows"], f"auxiliary@{key}")
    ).to_pylist()
    return found


def blend(recipe: dict[str, Any]) -> list[dict[str, Any]]:
    """Read every source of a recipe, take its rows, and shuffle them by their keyed hashes."""
    rows = []
    for source, found in sorted(recipe["sources"].items()):
        read = read_dgm if found["kind"] == "dgm" else read_auxiliary
        rows += smallest(read(source, found), found["take"], recipe["seed"], source)
    return sorted(rows, key=lambda row: keyed_hash(recipe["seed"], "order", row["source"], row["conversation_hash"]))


def manifest(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What a mix holds: rows by source, and conversations by number of turns."""
    return {
        "rows": len(rows),
        "taken": dict(Counter(row["source"] for row in rows)),
        "turns": Counter(str(sum(m["role"] == "user" for m in row["messages"])) for row in rows),
        "assistant_chars": sum(len(m["content"]) for row in rows for m in row["messages"] if m["role"] == "assistant"),
    }


def main(key: str) -> None:
    """Make the mix of one run."""
    recipe = read_json(Path("metrics/recipes.json"))["runs"][key]
    rows = blend(recipe)
    if not rows:
        raise UserError(f"mix.runs.{key} takes no rows: name dgms or auxiliary sets in it")
    with new_folder(Path("data/mixes") / key) as folder:
        write_table(folder, pa.Table.from_pylist(rows, schema=CHAT))
        write_json(folder / "summary.json", manifest(rows))
    say(f"{key}: {len(rows)} rows, {dict(Counter(row['source'] for row in rows))}")


if __name__ == "__main__":
    run(main)
