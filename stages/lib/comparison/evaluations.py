"""The evaluations of several models: their scores, and contrasts of them on the same rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum, sqrt
from pathlib import Path
from statistics import variance

import numpy as np

from stages.lib.comparison.contrasts import Seeds, contrast
from stages.lib.comparison.score_rows import ScoreRows, build_rows, read_samples
from stages.lib.comparison.scores import (
    ModelScores,
    Score,
    bounded_score,
    combine,
    list_benchmarks,
    list_measures,
    read_scores,
)
from stages.lib.core.artifacts import require_compared, require_seed
from stages.lib.core.files import read_json
from stages.lib.core.seeds import seed_models
from stages.lib.core.types import Json
from stages.lib.settings.sections import Run


@dataclass(frozen=True)
class Evaluations:
    """What the models of a profile scored. A run that was trained with several seeds is the mean of its models."""

    scores: Mapping[str, ModelScores]  # by model; those of all seeds
    rows: Mapping[str, ScoreRows] = field(default_factory=dict)  # by benchmark and average
    seeds: Seeds = field(default_factory=dict)  # the models of each run with several seeds
    results: Mapping[str, Json] = field(default_factory=dict)  # results.json by model

    @property
    def measures(self) -> list[str]:
        """The names of all averages, then of all benchmarks."""
        return list_measures(self.scores.values())

    @property
    def benchmarks(self) -> list[str]:
        """The names of all benchmarks."""
        return list_benchmarks(self.scores.values())

    def models_of(self, unit: str) -> Sequence[str]:
        """Return the models of a run, one for each seed, or the model itself."""
        return self.seeds.get(unit, [unit])

    def has(self, unit: str, name: str) -> bool:
        """Tell whether a model, or each model of a run, has a score."""
        return all(model in self.scores and name in self.scores[model].all for model in self.models_of(unit))

    def score(self, unit: str, name: str) -> Score | None:
        """Return the score of a model or a run; None when it has none. The interval of a run has its seeds in it."""
        if not self.has(unit, name):
            return None
        known = [self.scores[model].all[name] for model in self.models_of(unit)]
        if len(known) == 1:
            return known[0]
        value = fsum(score.value for score in known) / len(known)
        if not self.are_paired(name, [unit]):
            errors = [score.stderr for score in known if score.stderr is not None]
            spread = variance(score.value for score in known) / len(known)
            stderr = sqrt(fsum(e**2 for e in errors) / len(errors) + spread) if len(errors) == len(known) else None
            return Score(value, stderr, None, min(score.clusters for score in known), known[0].scale)
        made = contrast(self.rows[name], [unit], np.ones((1, 1)), self.seeds)
        stderr, clusters, df = float(made.stderrs[0]), float(made.clusters[0]), float(made.df[0])
        return bounded_score(value, stderr, clusters, self.rows[name].bounds, df, known[0].scale)

    def contrast(self, name: str, factors: Mapping[str, float]) -> Score | None:
        """Add scores of models and runs times their factors; None when one of them has no score.

        The error is paired: what the models share on a row cancels. Where a benchmark is not the mean of its rows, the
        scores count as independent.
        """
        if not all(self.has(unit, name) for unit in factors):
            return None
        if not self.are_paired(name, factors):
            return combine([(factor, score) for unit, factor in factors.items() if (score := self.score(unit, name))])
        made = contrast(self.rows[name], list(factors), np.array([list(factors.values())]).T, self.seeds)
        value = fsum(factor * score.value for unit, factor in factors.items() if (score := self.score(unit, name)))
        stderr, clusters = float(made.stderrs[0]), float(made.clusters[0])
        if not np.isfinite(made.ends).all():  # one row alone, in the benchmark or in one of its parts
            return Score(value, clusters=clusters)
        if min(factors.values()) > 0:  # a mean
            return bounded_score(value, stderr, clusters, self.rows[name].bounds, float(made.df[0]))
        return Score(value, stderr, (float(made.ends[0, 0]), float(made.ends[0, 1])), clusters)

    def are_paired(self, name: str, units: Sequence[str] | Mapping[str, float]) -> bool:
        """Tell whether all models of these units have rows."""
        models = {model for unit in units for model in self.models_of(unit)}
        return name in self.rows and models <= set(self.rows[name].models)


def read_evaluations(folders: Mapping[str, Path], seeds: Seeds) -> Evaluations:
    """Read the results and the scores of all rows of models; `folders` are data/evaluations/<model> by model."""
    results = {model: read_json(folder / "results.json") for model, folder in folders.items()}
    samples = {model: read_samples(folder, results[model]["tasks"]) for model, folder in folders.items()}
    scores = {model: read_scores(content) for model, content in results.items()}
    return Evaluations(scores, build_rows(samples, results), seeds, results)


def read_compared(compare: Sequence[str], runs: Mapping[str, Run]) -> Evaluations:
    """Read the evaluations of all compared models, of a run with several seeds those of all its models."""
    seeds = {name: seed_models(name, runs[name].seeds) for name in compare if name in runs}
    several = {name: models for name, models in seeds.items() if len(models) > 1}
    folders = {model: require_compared(model, "evaluations") for model in compare}
    others = {model: require_seed(model) for models in several.values() for model in models[1:]}
    return read_evaluations(folders | others, several)
