"""Tokens per second and time per 1,000 conversations of every DGM (paper, sec. 2.2), and the cost of all of them.

In:  data/ledger/<dgm>/ and data/verdicts/<dgm>/ of every DGM; data/evaluations/<model>/ of every compared model (of all
     seeds of a run), metrics/mix/; metrics/costs/, data/costs/judge/ and data/costs/pairwise/: the time of all other
     stages that take long
Out: data/throughput/
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy.stats import spearmanr

from stages.lib.comparison.cost_quality import KeptPrice, compare_cost_and_quality, price_kept
from stages.lib.comparison.evaluations import read_compared
from stages.lib.comparison.fine_tunes import read_fine_tunes
from stages.lib.comparison.scores import Score, scale, to_cell
from stages.lib.core.artifacts import require_folder
from stages.lib.core.costs import ALL, COSTS, cost_path
from stages.lib.core.files import ROWS_SUMMARY, SUMMARY, new_folder, read_json, write_json
from stages.lib.core.names import AVERAGE
from stages.lib.core.numbers import round_decimals
from stages.lib.core.seeds import seed_models
from stages.lib.core.types import Json
from stages.lib.generation.costs import gpu_hours, money, summarize
from stages.lib.generation.kept import KeptCost, mark_kept, measure_kept
from stages.lib.generation.totals import name_machines, total_costs
from stages.lib.records.hashing import keyed_hash
from stages.lib.records.shards import read_table
from stages.lib.settings.reading import load, load_value, run
from stages.lib.settings.sections import Mix, Run, Throughput

MEASURES = ("tokens_per_second", "seconds_per_1000_conversations")
MIN_DGMS = 3  # for a rank correlation
METRICS = Path("metrics")
PAIRS = "pairs of models"  # in the place of a model, for what the judge's choices took: no id has a space


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
    hours, cost = price_seconds(seconds, ledger, price)
    return counts | {
        "hours": round(seconds / 3600, 6),
        "gpu_hours": None if hours is None else round(hours, 4),
        "money": None if cost is None else round(cost, 2),
        "hardware": join_hardware(ledger),
        "engines": list(ledger["engines"]),
    }


def describe_kept(cost: KeptCost, seconds: Score | None, money: Score | None) -> Json:
    """Describe how many conversations are kept, and the time and money of 1,000 kept ones.

    Values with a 95 % interval are cells (value, ci95), null where there is no time or no price.
    """
    return {
        "kept": cost.kept,
        "kept_share": round_decimals({"value": cost.share, "ci95": cost.share_ci95}),
        "valid_tokens_per_second": None if cost.tokens_per_second is None else round(cost.tokens_per_second, 1),
        "seconds_per_1000_kept": round_decimals(to_cell(seconds)),
        "money_per_1000_kept": round_decimals(to_cell(money)),
    }


def price_seconds(seconds: float, ledger: Json, price: float) -> tuple[float | None, float | None]:
    """Return the GPU-hours and the money of wall time on a DGM's hardware; None where there is no GPU or no price."""
    hardware = join_hardware(ledger)
    hours = gpu_hours((seconds, seconds), ledger["tensor_parallel"], hardware) if hardware else None
    cost = money(hours, price)
    return hours[0] if hours else None, cost[0] if cost else None


def join_hardware(ledger: Json) -> str:
    """Return all that a DGM ran on; empty for imported replies."""
    return ", ".join(ledger.get("hardware", []))


READS = ("throughput", "compare", "mix.runs")


def read_ledger(dgm: str, recipes: Json) -> tuple[Json, pa.Table]:
    """Read the summary and the rows of a DGM's ledger, which say whether they are kept."""
    ledger = require_folder(Path("data/ledger") / dgm, recipes["ledgers"][dgm], f"generate@{dgm}")
    verdicts = require_folder(Path("data/verdicts") / dgm, recipes["dgms"][dgm]["verdicts"], f"validate@{dgm}")
    return read_json(ledger / ROWS_SUMMARY), mark_kept(read_table(ledger), read_table(verdicts), dgm)


def measure(ledger: Json, rows: pa.Table, throughput: Throughput) -> tuple[Json, KeptPrice | None]:
    """Measure a DGM by a sample of its ledger's rows; return the measures, and what 1,000 kept conversations cost."""
    sample = sample_costs(rows, throughput.num_conversations, throughput.seed)
    cost = measure_kept(sample)
    seconds = None if cost.seconds is None else scale(Score(cost.seconds, cost.stderr), 1000)
    _, price = price_seconds(1.0, ledger, throughput.price_per_gpu_hour)
    value = scale(seconds, price) if seconds and price else None
    measures = summarize(sample) | describe_kept(cost, seconds, value)
    measures |= {"window_times_parameters": model_size(ledger)}
    return measures, price_kept(seconds, value, ledger.get("hardware", []))


def generation_cost(ledger: Json) -> Json:
    """Return what generation took, as the other stages say it."""
    hardware = join_hardware(ledger)
    return {"seconds": ledger.get("seconds", 0.0), "hardware": hardware, "gpus": ledger["tensor_parallel"]}


def read_costs(stage: str, keys: Iterable[str], folder: Path = METRICS / "costs") -> dict[str, Json]:
    """Read what a stage took for each model."""
    return {key: read_json(cost_path(stage, key, folder)) for key in keys}


def collect_costs(ledgers: dict[str, Json], runs: dict[str, Run], compare: list[str]) -> dict[str, dict[str, Json]]:
    """Collect what each step took, given the summaries of all ledgers."""
    trained = [model for name, entry in runs.items() for model in seed_models(name, entry.seeds)]
    other_seeds = [model for model in trained if model not in runs]
    return {
        "generate": {dgm: generation_cost(ledger) for dgm, ledger in ledgers.items()},
        "train": read_costs("train", trained),
        "evaluate": read_costs("evaluate", [*compare, *other_seeds]),
        "answers": read_costs("answers", compare),
        "judge": read_costs("judge", compare, COSTS),
        "pairwise": {PAIRS: read_json(cost_path("pairwise", ALL))},
    }


def main() -> None:
    """Measure every DGM by its ledger, compare what they cost with how good they are, and add all costs up."""
    throughput, compare, runs = load(Throughput), load_value("compare"), load(Mix).runs
    recipes = read_json(METRICS / "recipes.json")
    ledgers, measured, prices = {}, {}, {}
    for dgm in recipes["ledgers"]:
        ledgers[dgm], rows = read_ledger(dgm, recipes)
        measured[dgm], prices[dgm] = measure(ledgers[dgm], rows, throughput)
    price, steps = throughput.price_per_gpu_hour, collect_costs(ledgers, runs, compare)
    evaluations = read_compared(compare, runs)
    averages = {model: score for model in compare if (score := evaluations.score(model, AVERAGE))}
    summary = {
        "dgms": measured,
        "costs": {dgm: describe_cost(ledger, price) for dgm, ledger in ledgers.items()},
        "totals": round_decimals(total_costs(steps, price)),
        "machines": name_machines(steps),
        "correlation_with_window_times_parameters": correlate_with_size(measured),
        "cost_and_quality": round_decimals(compare_cost_and_quality(prices, averages, read_fine_tunes(runs))),
    }
    with new_folder(Path("data/throughput")) as folder:
        write_json(folder / SUMMARY, summary)


if __name__ == "__main__":
    run(main)
