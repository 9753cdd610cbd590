"""Results of evaluations, and fine-tunes that have them."""

from typing import Any

from stages.lib.comparison.evaluations import Evaluations
from stages.lib.comparison.fine_tunes import FineTune
from stages.lib.comparison.scores import ModelScores, Score, read_scores


def tune(name: str, take: int = 100, extras: str = "", base: str = "base", **weights: float) -> FineTune:
    return FineTune(name, base, weights, extras, take, take)


def results(**values: float | None) -> dict[str, Any]:
    """A results.json of `evaluate`: benchmarks of a hundred rows, and their average."""
    tasks = {
        name: {
            "status": "failed" if value is None else "ok",
            "reason": "OSError: no disk" if value is None else None,
            "primary": "acc",
            "metrics": {} if value is None else {"acc": {"value": value, "n": 100, "stderr": 0.03, "unit": "fraction"}},
        }
        for name, value in values.items()
    }
    known = [value for value in values.values() if value is not None]
    average = sum(known) / len(known) if len(known) == len(values) else None
    return {"tasks": tasks, "averages": {"average": {"columns": list(values), "value": average, "missing": []}}}


def paper_results(**changes: float) -> dict[str, Any]:
    """The scores that table 2 prints for Q72 where lm-eval measures them, each with a standard error of .005."""
    printed = {"bbh": 0.48, "gpqa": 0.29, "math_hard": 0.06, "musr": 0.40, "ifeval": 0.37, "mmlu_pro": 0.30} | changes
    metrics = {"math_hard": "exact_match_original", "ifeval": "prompt_level_strict_acc", "mmlu_pro": "acc"}
    tasks = {
        f"leaderboard_{name}": {
            "status": "ok",
            "reason": None,
            "primary": metrics.get(name, "acc_norm"),
            "metrics": {
                metrics.get(name, "acc_norm"): {"value": value, "n": 1000, "stderr": 0.005, "unit": "fraction"}
            },
        }
        for name, value in printed.items()
    }
    return {"tasks": tasks, "averages": {}}


def evaluations(**by_model: dict[str, Any]) -> Evaluations:
    """The evaluations of models by their results.json, without rows."""
    return Evaluations({model: read_scores(content) for model, content in by_model.items()})


def model_scores(stderr: float | None = 0.01, **values: float) -> ModelScores:
    """A model with these scores; a benchmark that failed is left out."""
    return ModelScores({name: Score(value, stderr) for name, value in values.items()}, {}, {})
