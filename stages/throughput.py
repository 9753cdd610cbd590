"""Tokens per second and time per 1,000 conversations of every DGM (paper, sec. 2.2).

In:  data/ledger/<dgm>/ of every DGM
Out: data/throughput/
"""

from pathlib import Path
from typing import Any

from pydantic import Field

from stages.lib.conversation import keyed_hash
from stages.lib.params import Section, load
from stages.lib.shards import new_folder, read_json, read_table, write_json
from stages.lib.shell import run
from stages.lib.sources import require


class Throughput(Section):
    """The section `throughput`."""

    num_conversations: int = Field(gt=0)
    seed: int


def sample(rows: list[dict[str, Any]], throughput: Throughput) -> list[dict[str, Any]]:
    """A random subset, the same for the same conversations: the paper takes 5,000."""
    ordered = sorted(rows, key=lambda row: keyed_hash(throughput.seed, row["identity"]))
    return ordered[: throughput.num_conversations]


def measure(rows: list[dict[str, Any]]) -> dict[str, float]:
    """The paper's two measures: input and output tokens per second, and seconds per 1,000 conversations."""
    seconds = sum(row["seconds"] for row in rows)
    prompt, completion = (sum(row[name] for row in rows) for name in ("prompt_tokens", "completion_tokens"))
    if not seconds:  # imported replies cost nothing
        return {"conversations": len(rows), "prompt_tokens": prompt, "completion_tokens": completion}
    return {
        "conversations": len(rows),
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "tokens_per_second": round((prompt + completion) / seconds, 1),
        "output_tokens_per_second": round(completion / seconds, 1),
        "seconds_per_1000_conversations": round(1000 * seconds / len(rows), 1),
    }


def main() -> None:
    """Measure every DGM from its ledger."""
    throughput = load("throughput", Throughput)
    found = {}
    for dgm, digest in read_json(Path("metrics/recipes.json"))["ledgers"].items():
        folder = require(Path("data/ledger") / dgm, digest, f"generate@{dgm}")
        found[dgm] = measure(sample(read_table(folder).to_pylist(), throughput))
    with new_folder(Path("data/throughput")) as folder:
        write_json(folder / "summary.json", found)


if __name__ == "__main__":
    run(main)
