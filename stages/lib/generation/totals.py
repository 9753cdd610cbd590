"""What every step cost: generation, training, evaluation, answers and judging, by model and in all."""

from collections.abc import Iterable, Mapping

from stages.lib.core.types import Json
from stages.lib.generation.costs import gpu_hours, money

SUM = "sum"
Costs = Mapping[str, Json]  # seconds, hardware and number of GPUs, by model


def total_costs(steps: Mapping[str, Costs], price: float) -> Json:
    """Add up what each step took: by model (`models`), and over all of them (`all`), each by step with its sum.

    `price` is that of a GPU-hour; 0: unknown.
    """
    priced = {step: {key: price_cost(cost, price) for key, cost in costs.items()} for step, costs in steps.items()}
    keys = dict.fromkeys(key for costs in priced.values() for key in costs)
    models = {key: {step: costs[key] for step, costs in priced.items() if key in costs} for key in keys}
    everything = {step: add_up(costs.values()) for step, costs in priced.items() if costs}
    return {
        "models": {key: cells | {SUM: add_up(cells.values())} for key, cells in models.items()},
        "all": everything | {SUM: add_up(everything.values())},
    }


def price_cost(cost: Json, price: float) -> Json:
    """Return wall time in seconds, GPU-hours (null on a CPU, or where the hardware is not known) and money."""
    seconds, hardware = cost["seconds"], cost["hardware"]
    hours = gpu_hours((seconds, seconds), cost["gpus"], hardware) if hardware else None
    value = money(hours, price)
    return {"seconds": seconds, "gpu_hours": hours[0] if hours else None, "money": value[0] if value else None}


def add_up(cells: Iterable[Json]) -> Json:
    """Add up cells of seconds, GPU-hours and money; null where none is known."""
    rows = list(cells)
    known = {name: [row[name] for row in rows if row[name] is not None] for name in ("seconds", "gpu_hours", "money")}
    return {name: sum(values) if values else None for name, values in known.items()}


def name_machines(steps: Mapping[str, Costs]) -> dict[str, list[str]]:
    """Name what the steps of each model ran on, in their order, as far as it is known."""
    used: dict[str, dict[str, None]] = {}
    for costs in steps.values():
        for key, cost in costs.items():
            used.setdefault(key, {}).update(dict.fromkeys(filter(None, [cost["hardware"]])))
    return {key: list(names) for key, names in used.items()}
