"""What generation cost: shares of time, totals, money, correlations."""

from typing import Any

import pyarrow as pa
import pytest

from stages.lib.console.errors import UserError
from stages.lib.engines.base import Usage
from stages.lib.generation.costs import COST, add_usage, attribute_cost, attribute_no_cost, charge, summarize
from stages.lib.generation.kept import mark_kept, measure_kept
from stages.lib.generation.totals import name_machines, total_costs
from stages.lib.settings.sections import Throughput
from stages.throughput import correlate_with_size, describe_cost, measure


def test_time_is_divided_by_tokens_and_throughput_sums_it() -> None:
    rows: list[dict[str, Any]] = [
        {"prompt_tokens": 30, "cached_tokens": 0, "completion_tokens": 10},
        {"prompt_tokens": 50, "cached_tokens": 10, "completion_tokens": 10},
    ]
    attribute_cost(rows, 2.0, Usage("H200 x1", kv_share=0.5, vram_gib=70.0, preemptions=3, restarts=1))
    assert [row["seconds"] for row in rows] == [0.8, 1.2]
    rows[1] |= {"kv_share": 0.7}
    assert summarize(pa.Table.from_pylist(rows, schema=pa.schema(COST))) == {
        "conversations": 2, "answered": 2, "prompt_tokens": 80, "cached_tokens": 10, "completion_tokens": 20,
        "seconds": 2.0, "tokens_per_second": 50.0, "output_tokens_per_second": 10.0,
        "seconds_per_1000_conversations": 1000.0,
        "input_to_output": 4.0, "vram_gib": 70.0, "kv_share": 0.7, "preemptions": 3, "restarts": 1,
        "hardware": ["H200 x1"],
    }  # fmt: skip
    assert list(summarize(pa.Table.from_pylist([], schema=pa.schema(COST)))) == [
        "conversations", "answered", "prompt_tokens", "cached_tokens", "completion_tokens"
    ]  # fmt: skip


def rows_on(*hardware: str) -> list[dict[str, Any]]:
    """Rows of 40 tokens each that replicas on this hardware have given."""
    return [{"prompt_tokens": 30, "completion_tokens": 10, "hardware": name} for name in hardware]


def test_replicas_on_different_machines_are_each_paid_by_their_own_conversations() -> None:
    rows, unpaid = rows_on("H200 x1", "H200 x1", "A100 x1"), {"H200 x1": 20.0, "A100 x1": 5.0}
    charge(rows, unpaid)
    add_usage(rows, Usage("H200 x1", restarts=1))
    assert [(row["seconds"], row["hardware"]) for row in rows] == [(10, "H200 x1"), (10, "H200 x1"), (5, "A100 x1")]
    assert [row["restarts"] for row in rows] == [1, 0, 0] and not unpaid


def test_the_time_of_a_slow_machine_waits_for_its_conversations_and_is_lost_in_no_case() -> None:
    rows, unpaid = rows_on("H200 x1"), {"H200 x1": 20.0, "A100 x1": 5.0}
    charge(rows, unpaid)
    assert (rows[0]["seconds"], unpaid) == (20, {"A100 x1": 5.0})
    charge(rows, unpaid | {"H200 x1": 1.0}, is_last=True)
    assert rows[0]["seconds"] == 6


def test_a_conversation_that_took_no_tokens_is_in_no_speed() -> None:
    rows: list[dict[str, Any]] = [{"prompt_tokens": 30, "cached_tokens": 0, "completion_tokens": 10}]
    rows.append({"prompt_tokens": 0, "cached_tokens": 0, "completion_tokens": 0})
    attribute_cost(rows, 2.0, Usage())
    assert [row["seconds"] for row in rows] == [2.0, 0.0]
    summary = summarize(pa.Table.from_pylist(rows, schema=pa.schema(COST)))
    assert (summary["conversations"], summary["answered"]) == (2, 1)
    assert (summary["tokens_per_second"], summary["seconds_per_1000_conversations"]) == (20.0, 2000.0)


def test_gpu_hours_and_money_are_given_if_hardware_and_price_are_known() -> None:
    tokens = {"conversations": 9, "prompt_tokens": 30, "completion_tokens": 60}
    ran = {**tokens, "seconds": 5400.0, "hardware": ["H100 x4"], "tensor_parallel": 4, "engines": {"vllm 0.32.0": 9}}
    assert describe_cost(ran, 2.5) == {
        **tokens, "hours": 1.5, "gpu_hours": 6.0, "money": 15.0, "hardware": "H100 x4", "engines": ["vllm 0.32.0"]
    }  # fmt: skip
    assert describe_cost(ran, 0)["money"] is None
    on_cpu = describe_cost({**ran, "hardware": ["x86_64 CPU x2"]}, 2.5)
    assert (on_cpu["hours"], on_cpu["gpu_hours"], on_cpu["money"]) == (1.5, None, None)
    imported = describe_cost({**tokens, "tensor_parallel": 1, "engines": {"import": 9}}, 2.5)
    assert (imported["hours"], imported["gpu_hours"], imported["money"]) == (0.0, None, None)


def test_both_measures_are_correlated_with_window_times_parameters_from_three_models_on() -> None:
    def dgm(size: float, speed: float) -> dict[str, Any]:
        return {
            "seconds": 1.0, "tokens_per_second": speed, "seconds_per_1000_conversations": 1 / speed,
            "window_times_parameters": size,
        }  # fmt: skip

    measured = {"a": dgm(10, 9.0), "b": dgm(20, 5.0), "unknown": dgm(0, 1.0), "imported": {"conversations": 3}}
    assert correlate_with_size(measured)["tokens_per_second"] is None
    measured["c"] = dgm(30, 6.0)
    assert correlate_with_size(measured) == {
        "dgms": 3, "tokens_per_second": -0.5, "seconds_per_1000_conversations": 0.5
    }  # fmt: skip


def sample(*rows: tuple[str, int, int, float, bool]) -> pa.Table:
    """Rows of a ledger (identity, tokens in, tokens out, seconds, kept)."""
    names = ("identity", "prompt_tokens", "completion_tokens", "seconds", "keep")
    named = [dict(zip(names, row, strict=True)) for row in rows]
    filled = [{**attribute_no_cost([{**row, "cached_tokens": 0}])[0], "seconds": row["seconds"]} for row in named]
    return pa.Table.from_pylist(filled)


SAMPLE = sample(("a", 30, 10, 2.0, True), ("b", 50, 10, 4.0, True), ("c", 80, 20, 6.0, False), ("d", 90, 10, 4.0, True))


def test_a_dropped_conversation_takes_its_time_and_gives_no_valid_token() -> None:
    cost = measure_kept(SAMPLE)
    assert (cost.kept, cost.share) == (3, 0.75)
    assert cost.share_ci95 == pytest.approx([0.1941, 0.9937], abs=5e-5)
    assert cost.tokens_per_second == 200 / 16
    assert cost.seconds == pytest.approx(16 / 3)
    # Residuals from 16 / 3 for each kept one: -10/3, -4/3, 6, -4/3; their squares add up to 456/9.
    assert cost.stderr == pytest.approx((456 / 9 * 4 / 3) ** 0.5 / 3)


THROUGHPUT = Throughput(num_conversations=9, seed=1, price_per_gpu_hour=3.6)  # a second on two GPUs costs .002
LEDGER = {"tensor_parallel": 2, "context_window": 0, "parameters_billions": 0}
UNKNOWN = {"value": None, "ci95": None}


def test_kept_conversations_have_a_price_where_gpus_and_their_price_are_known() -> None:
    described, price = measure(LEDGER | {"hardware": ["H100 x2"]}, SAMPLE, THROUGHPUT)
    assert described["seconds_per_1000_kept"]["value"] == pytest.approx(16000 / 3, abs=1e-3)
    assert described["money_per_1000_kept"]["value"] == pytest.approx(32 / 3, abs=1e-3)
    low, high = described["money_per_1000_kept"]["ci95"]
    assert [high - 32 / 3, 32 / 3 - low] == pytest.approx([1.96 * 2 * (456 / 9 * 4 / 3) ** 0.5 / 3] * 2, abs=1e-3)
    assert price and (price.unit, price.hardware) == ("money", "H100")
    assert price.cost.value == pytest.approx(32 / 3)


def test_on_a_cpu_or_without_a_price_the_cost_is_time_on_exactly_this_hardware() -> None:
    described, on_cpu = measure(LEDGER | {"hardware": ["x86_64 CPU x2"]}, SAMPLE, THROUGHPUT)
    assert on_cpu and (on_cpu.unit, on_cpu.hardware) == ("seconds", "x86_64 CPU x2")
    assert described["money_per_1000_kept"] == UNKNOWN
    free = THROUGHPUT.model_copy(update={"price_per_gpu_hour": 0.0})
    _, unpriced = measure(LEDGER | {"hardware": ["H100 x2"]}, SAMPLE, free)
    assert unpriced and (unpriced.unit, unpriced.hardware) == ("seconds", "H100 x2")


@pytest.mark.parametrize("rows", [
    [("a", 30, 10, 0.0, True), ("b", 30, 10, 0.0, True)],  # imported
    [("a", 30, 10, 2.0, False), ("b", 30, 10, 2.0, False)],  # none is kept
    [],
])  # fmt: skip
def test_without_a_time_or_a_kept_conversation_there_is_no_cost(rows: list[Any]) -> None:
    described, price = measure(LEDGER, sample(*rows) if rows else SAMPLE.slice(0, 0), THROUGHPUT)
    assert described["seconds_per_1000_kept"] == described["money_per_1000_kept"] == UNKNOWN
    assert not described["valid_tokens_per_second"] and price is None


def test_verdicts_belong_to_the_conversations_of_the_ledger() -> None:
    ledger, verdicts = SAMPLE.drop(["keep"]), SAMPLE.select(["identity", "keep"])
    assert mark_kept(ledger, verdicts, "rich")["keep"].to_pylist() == [True, True, False, True]
    with pytest.raises(UserError, match="data/ledger/rich and data/verdicts/rich are of different conversations"):
        mark_kept(ledger, verdicts.slice(1), "rich")


def cost(seconds: float, hardware: str, gpus: int) -> dict[str, Any]:
    return {"seconds": seconds, "hardware": hardware, "gpus": gpus}


STEPS = {
    "generate": {"rich": cost(3600, "H100 x2", 2), "gpt": cost(0, "", 1)},
    "train": {"tuned": cost(7200, "H100 x4", 4)},
    "evaluate": {"tuned": cost(600, "x86_64 CPU x2", 0), "rich": cost(900, "H100 x2", 2)},
}


def test_costs_are_added_up_by_model_and_by_step() -> None:
    total = total_costs(STEPS, 2.0)
    assert total["models"]["rich"]["sum"] == {"seconds": 4500, "gpu_hours": 2.5, "money": 5.0}
    assert total["models"]["tuned"]["train"] == {"seconds": 7200, "gpu_hours": 8.0, "money": 16.0}
    assert total["models"]["tuned"]["sum"] == {"seconds": 7800, "gpu_hours": 8.0, "money": 16.0}
    assert total["models"]["gpt"]["sum"] == {"seconds": 0, "gpu_hours": None, "money": None}
    assert total["all"]["evaluate"] == {"seconds": 1500, "gpu_hours": 0.5, "money": 1.0}
    assert total["all"]["sum"] == {"seconds": 12300, "gpu_hours": 10.5, "money": 21.0}
    assert total_costs(STEPS, 0.0)["all"]["sum"] == {"seconds": 12300, "gpu_hours": 10.5, "money": None}


def test_the_machines_of_a_model_are_named_once_in_the_order_of_its_steps() -> None:
    assert name_machines(STEPS) == {"rich": ["H100 x2"], "gpt": [], "tuned": ["H100 x4", "x86_64 CPU x2"]}
