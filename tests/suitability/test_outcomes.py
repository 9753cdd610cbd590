"""Fine-tunes on one DGM alone, paired with what the base model's scores said of it."""

from typing import Any

import pytest

from stages.lib.suitability.outcomes import Outcome, correlate, match_outcomes


def cell(value: float | None) -> dict[str, Any]:
    """A number without an interval."""
    return {"value": value, "ci95": None}


def run(base: str, rows: int, *dgms: str) -> dict[str, Any]:
    """A run of metrics/recipes.json."""
    return {"base": base, "sources": {dgm: {"kind": "dgm", "take": {"rows": rows}} for dgm in dgms}}


RATIOS = {"dgms": {"rich": {"ratio": cell(8.0)}, "plain": {"ratio": cell(6.5)}, "none": {"ratio": cell(None)}}}


def test_only_compared_runs_of_the_base_on_one_scored_dgm_are_paired_the_best_predicted_first() -> None:
    runs = {
        "only-rich": run("base", 200, "rich"),
        "only-plain": run("base", 200, "plain"),
        "blend": run("base", 200, "rich", "plain"),
        "other-base": run("other", 200, "rich"),
        "not-compared": run("base", 200, "rich"),
        "not-scored": run("base", 200, "none"),
    }
    scores = {name: cell(0.5) for name in runs if name != "not-compared"}
    found = match_outcomes(RATIOS, "base", runs, scores)
    assert [(each.dgm, each.run) for each in found] == [("plain", "only-plain"), ("rich", "only-rich")]


def test_runs_of_another_size_are_left_out() -> None:
    runs = {"rich": run("base", 200, "rich"), "plain": run("base", 200, "plain"), "half": run("base", 100, "rich")}
    found = match_outcomes(RATIOS, "base", runs, dict.fromkeys(runs, cell(0.5)))
    assert [each.run for each in found] == ["plain", "rich"]


def outcomes(scores: list[float]) -> list[Outcome]:
    """DGMs with ratios 1, 2, 3 … and the scores of their fine-tunes."""
    return [Outcome(f"d{n}", f"r{n}", cell(float(n)), cell(score)) for n, score in enumerate(scores, 1)]


def test_below_eight_points_there_is_no_coefficient() -> None:
    assert correlate(outcomes([0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])) is None


def test_the_correlation_is_positive_where_a_lower_ratio_has_the_better_fine_tune() -> None:
    found = correlate(outcomes([0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.1, 0.2]))
    assert found is not None
    assert found["value"] == pytest.approx(1 - 6 * 2 / (8 * 63))  # two places exchanged: 1 - 6 sum(d²) / (n (n² - 1))
    low, high = found["ci95"]
    assert (low, high) == pytest.approx((0.8158, 0.9971), abs=1e-3)  # tanh(2.2094 ± 1.96 * 0.5434)
    assert correlate(outcomes([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])) == {"value": -1.0, "ci95": None, "points": 8}
