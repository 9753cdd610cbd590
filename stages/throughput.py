"""Tokens per second and time per 1,000 conversations of every DGM (paper, sec. 2.2), and what all of them cost.

In:  data/ledger/<dgm>/ of every DGM
Out: data/throughput/
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.stats import spearmanr

from stages.lib.core.artifacts import require_folder
from stages.lib.core.files import ROWS_SUMMARY, SUMMARY, new_folder, read_json, write_json
from stages.lib.generation.costs import gpu_hours, money, summarize
from stages.lib.records.hashing import keyed_hash
from stages.lib.records.shards import read_table
from stages.lib.settings.reading import load, run
from stages.lib.settings.sections import Throughput


def sample(costs: pa.Table, throughput: Throughput) -> pa.Table:
    """A random subset of a ledger, the same for the same conversations: the paper takes 5,000."""
    keys = np.array([keyed_hash(throughput.seed, name) for name in costs["identity"].to_pylist()], dtype=np.int64)
    return costs.take(np.argsort(keys, kind="stable")[: throughput.num_conversations])


def size(ledger: dict[str, Any]) -> float:
    """The paper's proxy for what a model costs: context window (tokens) times parameters (billions); 0: not known."""
    return float(ledger["context_window"] * ledger["parameters_billions"])


def correlations(measured: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """How both measures go with `size` over the DGMs of which it is known (sec. 2.2: "strongly correlated").

    Spearman's rank correlation; null for fewer than three DGMs. Only what ran on the same hardware is comparable.
    """
    known = [row for row in measured.values() if row.get("seconds") and row["window_times_parameters"]]
    if len(known) < 3:
        return {"dgms": len(known), "tokens_per_second": None, "seconds_per_1000_conversations": None}
    sizes = [row["window_times_parameters"] for row in known]
    names = ("tokens_per_second", "seconds_per_1000_conversations")
    found = {name: spearmanr(sizes, [row[name] for row in known]).statistic for name in names}
    return {"dgms": len(known)} | {name: round(float(value), 3) for name, value in found.items()}


def cost(ledger: dict[str, Any], price: float) -> dict[str, Any]:
    """What all conversations of a DGM took, on what: tokens, hours of wall time, GPU-hours (null on a CPU), money."""
    found = {name: ledger[name] for name in ("conversations", "prompt_tokens", "completion_tokens")}
    wall = ledger.get("seconds", 0.0)  # imported replies have none
    hardware = ", ".join(ledger.get("hardware", []))
    hours = gpu_hours((wall, wall), ledger["tensor_parallel"], hardware) if hardware else None
    paid = money(hours, price)
    return found | {
        "hours": round(wall / 3600, 4),
        "gpu_hours": round(hours[0], 4) if hours else None,
        "money": round(paid[0], 2) if paid else None,
        "hardware": hardware,
        "engines": list(ledger["engines"]),
    }


READS = ("throughput",)


def main() -> None:
    """Measure every DGM from its ledger."""
    throughput = load(Throughput)
    found, costs = {}, {}
    for dgm, digest in read_json(Path("metrics/recipes.json"))["ledgers"].items():
        folder = require_folder(Path("data/ledger") / dgm, digest, f"generate@{dgm}")
        whole = read_json(folder / ROWS_SUMMARY)
        costs[dgm] = cost(whole, throughput.price_per_gpu_hour)
        found[dgm] = summarize(sample(read_table(folder), throughput)) | {"window_times_parameters": size(whole)}
    with new_folder(Path("data/throughput")) as folder:
        correlation = correlations(found)
        write_json(
            folder / SUMMARY,
            {"dgms": found, "costs": costs, "correlation_with_window_times_parameters": correlation},
        )


if __name__ == "__main__":
    run(main)
