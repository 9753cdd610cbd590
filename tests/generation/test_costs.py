"""What generation cost: shares of time, totals, money, correlations."""

from typing import Any

import pyarrow as pa

from stages.lib.engines.base import Usage
from stages.lib.generation.costs import COST, attribute_cost, summarize
from stages.throughput import correlate_with_size, describe_cost


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
