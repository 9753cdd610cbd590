"""Tokens per second and time per 1,000 conversations of every DGM (paper, sec. 2.2), and the cost of all of them.

In:  data/ledger/<dgm>/ of every DGM
Out: data/throughput/
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy.stats import spearmanr

from stages.lib.core.artifacts import require_folder
from stages.lib.core.files import ROWS_SUMMARY, SUMMARY, new_folder, read_json, write_json
from stages.lib.core.types import Json
from stages.lib.generation.costs import gpu_hours, money, summarize
from stages.lib.records.hashing import keyed_hash
from stages.lib.records.shards import read_table
from stages.lib.settings.reading import load, run
from stages.lib.settings.sections import Throughput

MEASURES = ("tokens_per_second", "seconds_per_1000_conversations")
MIN_DGMS = 3  # for a rank correlation


def sample_costs(costs: pa.Table, num_conversations: int, seed: int) -> pa.Table:
    """Sample rows of a ledger, the same for the same conversations; the paper takes 5,000."""
    keys = np.array([keyed_hash(seed, name) for name in costs["identity"].to_pylist()], dtype=np.int64)
    return costs.take(np.argsort(keys, kind="stable")[:num_conversations])


def model_size(ledger: Json) -> float:
    """Return the paper's proxy for a model's cost: context window (tokens) times parameters (billions); 0: unknown."""
    return float(ledger["context_window"] * ledger["parameters_billions"])


def correlate_with_size(measured: dict[str, Json]) -> Json:
    """Correlate both measures with the size of the DGMs for which it is known (sec. 2.2: "strongly correlated").

    Spearman's rank correlation; null for fewer than MIN_DGMS. Only DGMs on the same hardware are comparable.
    """
    known = [row for row in measured.values() if row.get("seconds") and row["window_times_parameters"]]
    if len(known) < MIN_DGMS:
        return {"dgms": len(known)} | dict.fromkeys(MEASURES)
    sizes = [row["window_times_parameters"] for row in known]
    statistics = {name: spearmanr(sizes, [row[name] for row in known]).statistic for name in MEASURES}
    return {"dgms": len(known)} | {name: round(float(value), 3) for name, value in statistics.items()}


def describe_cost(ledger: Json, price: float) -> Json:
    """Describe the cost of all conversations of a DGM: tokens, hours, GPU-hours (null on a CPU), money and hardware."""
    counts = {name: ledger[name] for name in ("conversations", "prompt_tokens", "completion_tokens")}
    seconds = ledger.get("seconds", 0.0)  # imported replies have none
    hardware = ", ".join(ledger.get("hardware", []))
    hours = gpu_hours((seconds, seconds), ledger["tensor_parallel"], hardware) if hardware else None
    cost = money(hours, price)
    return counts | {
        "hours": round(seconds / 3600, 4),
        "gpu_hours": round(hours[0], 4) if hours else None,
        "money": round(cost[0], 2) if cost else None,
        "hardware": hardware,
        "engines": list(ledger["engines"]),
    }


READS = ("throughput",)


def main() -> None:
    """Measure every DGM by its ledger."""
    throughput = load(Throughput)
    measured, costs = {}, {}
    for dgm, digest in read_json(Path("metrics/recipes.json"))["ledgers"].items():
        folder = require_folder(Path("data/ledger") / dgm, digest, f"generate@{dgm}")
        ledger = read_json(folder / ROWS_SUMMARY)
        sample = sample_costs(read_table(folder), throughput.num_conversations, throughput.seed)
        costs[dgm] = describe_cost(ledger, throughput.price_per_gpu_hour)
        measured[dgm] = summarize(sample) | {"window_times_parameters": model_size(ledger)}
    correlation = correlate_with_size(measured)
    with new_folder(Path("data/throughput")) as folder:
        summary = {"dgms": measured, "costs": costs, "correlation_with_window_times_parameters": correlation}
        write_json(folder / SUMMARY, summary)


if __name__ == "__main__":
    run(main)
