"""What a DGM's conversations cost, and how good it is or the fine-tune on it alone: who is cheap and good."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from stages.lib.comparison.fine_tunes import FineTune
from stages.lib.comparison.pareto import Point, find_pareto_set
from stages.lib.comparison.scores import Score, to_cell
from stages.lib.core.types import Json

OWN = "the DGMs themselves"


@dataclass(frozen=True)
class KeptPrice:
    """What 1,000 kept conversations of a DGM cost, on which hardware."""

    cost: Score
    unit: Literal["money", "seconds"]
    hardware: str  # DGMs on other hardware are not comparable


def price_kept(seconds: Score | None, money: Score | None, hardware: Sequence[str]) -> KeptPrice | None:
    """Return the price of 1,000 kept conversations, in money where it is known; None without a time or hardware.

    GPUs of one kind are one hardware for money, which counts them, and are not for time.
    """
    if money:
        return KeptPrice(money, "money", ", ".join(sorted({name.rpartition(" x")[0] for name in hardware})))
    return KeptPrice(seconds, "seconds", ", ".join(hardware)) if seconds and hardware else None


def compare_cost_and_quality(
    prices: Mapping[str, KeptPrice | None], averages: Mapping[str, Score], runs: Sequence[FineTune]
) -> Json:
    """Compare DGMs by their price and by a score: their own average, or that of the fine-tune on each alone.

    `prices` are by DGM, `averages` by compared model. A comparison has two DGMs or more on the same hardware, and
    fine-tunes of one base on as many conversations, without extras. `left_out` says of each DGM that is in none why.
    """
    groups: dict[tuple[str, str, str], dict[str, str]] = {}  # of models with an average, each with its DGM
    for dgm, model, label in list_candidates(prices, runs):
        price = prices[dgm]
        if price and model in averages:
            groups.setdefault((label, price.hardware, price.unit), {})[model] = dgm
    comparisons: list[Json] = [
        {"label": label, "hardware": hardware, "unit": unit, "rows": compare_models(dgms, prices, averages)}
        for (label, hardware, unit), dgms in groups.items()
        if len(set(dgms.values())) > 1
    ]
    compared = {row["dgm"] for comparison in comparisons for row in comparison["rows"].values()}
    scored = {dgm for dgms in groups.values() for dgm in dgms.values()}
    left_out = {dgm: explain(price, dgm in scored) for dgm, price in prices.items() if dgm not in compared}
    return {"comparisons": comparisons, "left_out": left_out}


def list_candidates(dgms: Iterable[str], runs: Sequence[FineTune]) -> list[tuple[str, str, str]]:
    """List DGMs, each with a model whose score may be compared and the label of that comparison."""
    own = [(dgm, dgm, OWN) for dgm in dgms]
    single = [run for run in runs if run.only_dgm and not run.extras]
    return own + [(run.only_dgm, run.id, f"fine-tunes of {run.base} on {run.take:,} conversations") for run in single]


def compare_models(
    dgms: Mapping[str, str], prices: Mapping[str, KeptPrice | None], averages: Mapping[str, Score]
) -> dict[str, Json]:
    """Return the row of each model, that of the cheapest DGM first, given the DGM whose price counts for it."""
    points = {model: Point(price.cost, averages[model]) for model, dgm in dgms.items() if (price := prices[dgm])}
    memberships = find_pareto_set(points)
    return {
        model: {
            "dgm": dgms[model],
            "cost": to_cell(points[model].cost),
            "average": to_cell(points[model].quality),
            "is_in_set": memberships[model].is_in,
            "is_certain": memberships[model].is_certain,
        }
        for model in sorted(points, key=lambda model: (points[model].cost.value, model))
    }


def explain(price: KeptPrice | None, is_scored: bool) -> str:
    """Say why a DGM is in no comparison."""
    if not price:
        return "no conversation is kept, or its time or hardware is not known"
    if not is_scored:
        return "neither it nor a fine-tune on it alone has an average"
    return "no other DGM on the same hardware has such a score"
